"""The status of all sessions: one versioned JSON object, and the screen that people read.

Owns both forms. Leaves to others: where the facts come from (`worker`), when a state is called what (`session`).

`{"version":1,"daemon":{…},"sessions":[{"session","profile","state","reasons",…}]}`. Ages and durations are seconds at
the time of writing; names of fields are only ever added.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from vpn_client.exit_codes import ExitCode
from vpn_client.output import duration, size

VERSION: Final = 1
CONNECTED: Final = frozenset({"up", "stale"})
"""States whose traffic a probe has proved."""

Facts = Mapping[str, Any]


def document(sessions: Sequence[Facts], daemon: Facts | None) -> dict[str, Any]:
    """The status object; `daemon` is None when none runs."""
    return {"version": VERSION, "daemon": None if daemon is None else dict(daemon), "sessions": [*map(dict, sessions)]}


def exit_code(status: Facts, session: str | None = None) -> ExitCode:
    """0 when every session asked about has been proved, 3 otherwise."""
    asked = [each for each in status["sessions"] if session in (None, each["session"])]
    proved = bool(asked) and all(each["state"] in CONNECTED for each in asked)
    return ExitCode.OK if proved else ExitCode.NOT_CONNECTED


def rates(before: Facts | None, after: Facts) -> dict[str, float]:
    """Bytes per second between two statuses of one session; zeros without an earlier one."""
    seconds = after["at"] - before["at"] if before else 0.0
    if before is None or seconds <= 0 or after["rx_bytes"] < before["rx_bytes"]:
        return {"rx_per_second": 0.0, "tx_per_second": 0.0}
    return {f"{way}_per_second": (after[f"{way}_bytes"] - before[f"{way}_bytes"]) / seconds for way in ("rx", "tx")}


def text(status: Facts) -> str:
    """One screen."""
    if not status["sessions"]:
        return "not connected: no session" if status["daemon"] else "not connected: kvpnd is not running"
    return "\n\n".join("\n".join(session_lines(each)) for each in status["sessions"])


def session_lines(facts: Facts) -> Iterator[str]:
    """The lines of one session, the most wanted first."""
    yield head(facts)
    for reason in facts.get("reasons", ()):
        yield f"  why       {reason}"
    for name, words in (("tunnel", tunnel_words), ("address", address_words), ("routes", route_words),
                        ("dns", dns_words), ("directory", directory_words), ("policy", policy_words),
                        ("probe", probe_words), ("drops", drop_words)):
        if line := words(facts):
            yield f"  {name:<10}{line}"
    for note in facts.get("notes", ()):
        yield f"  note      {note['name']}: {note['text']}"


def head(facts: Facts) -> str:
    """`default  UP for 2 h 13 min  laptop.toml`."""
    for_ = f" for {duration(facts['up_for'])}" if facts.get("up_for") is not None else ""
    return f"{facts['session']}  {facts['state'].upper()}{for_}  {facts['profile']}"


def tunnel_words(facts: Facts) -> str:
    """Path, handshake, traffic, backend."""
    tunnel = facts.get("tunnel")
    if not tunnel:
        return ""
    age = tunnel["last_handshake_age"]
    handshake = "no handshake yet" if age is None else f"last handshake {duration(age)} ago"
    traffic = f"rx {_traffic(tunnel, 'rx')}, tx {_traffic(tunnel, 'tx')}"
    return " · ".join((f"udp {tunnel['endpoint'] or 'no path yet'}", handshake, traffic,
                       f"{tunnel['backend']} data path", f"reconnects {facts.get('reconnects', 0)}"))


def _traffic(tunnel: Facts, way: str) -> str:
    return f"{size(tunnel[f'{way}_bytes'])} ({size(tunnel[f'{way}_per_second'])}/s)"


def address_words(facts: Facts) -> str:
    """Our addresses and where they are."""
    host = facts.get("host")
    return f"{', '.join(host['addresses'])} on {host['interface']}, mtu {host['mtu']}" if host else ""


def route_words(facts: Facts) -> str:
    """The first few prefixes, and how many more."""
    routes = (facts.get("host") or {}).get("routes")
    if not routes:
        return ""
    more = f" and {len(routes) - 6} more" if len(routes) > 6 else ""
    return ", ".join(routes[:6]) + more


def dns_words(facts: Facts) -> str:
    """How the host's names come to us, and whether they do."""
    dns = facts.get("dns")
    if not dns:
        return ""
    counts = f" · {dns['queries']} queries" if dns.get("queries") is not None else ""
    return f"{dns['mode']}: {', '.join(dns['suffixes'])} at {dns['server']}{counts}"


def directory_words(facts: Facts) -> str:
    """Revision and freshness."""
    directory = facts.get("directory")
    if not directory:
        return ""
    age = f" · heard {duration(directory['age'])} ago" if directory.get("age") is not None else ""
    return f"{directory['state']}, revision {directory['rev']}, {directory['services']} services{age}"


def policy_words(facts: Facts) -> str:
    """Whether anything is checked at all."""
    policy = (facts.get("gateway") or {}).get("policy")
    if policy is None:
        return ""
    return "open: every service of the directory can be reached" if policy == "open" else str(policy)


def probe_words(facts: Facts) -> str:
    """What was proved, and when."""
    probe = facts.get("probe")
    if not probe:
        return "none yet"
    return f"{'ok' if probe['ok'] else 'failed'} {duration(probe['age'])} ago: {probe['evidence']}"


def drop_words(facts: Facts) -> str:
    """What was thrown away, by reason; nothing is no line."""
    return ", ".join(f"{reason} {count}" for reason, count in sorted((facts.get("drops") or {}).items()) if count)
