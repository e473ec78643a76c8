"""The doctor's checks: each looks at facts and says ok, warn or fail, with evidence and one fix.

Owns what is healthy. Leaves to others: gathering the facts (`doctor_facts`), printing (`commands_show`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from vpn_client.output import Level, duration

HANDSHAKE_MAX_AGE: Final = 180.0
"""Seconds; a session's keys are refused after this (WireGuard paper §6.1, Reject-After-Time)."""
SKEW_WARN: Final = 30.0
"""Seconds between this clock and the gateway's: tokens and certificates begin to fail."""
RELEASE_TIME: Final = 1_767_225_600
"""Unix seconds, 2026-01-01: no correct clock shows less. A clock set back makes the gateway refuse handshakes."""
OVERHEAD: Final = 60
"""Bytes: IPv4, UDP and transport message headers and the tag (paper §5.4.6); 20 more over IPv6."""
MIN_MTU: Final = 1280
"""Bytes; IPv6 needs it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's outcome."""

    name: str
    level: Level
    evidence: str
    fix: str = ""

    def to_json(self) -> dict[str, str]:
        """The form for `-o json` and the control socket."""
        return {"name": self.name, "level": self.level.value, "evidence": self.evidence, "fix": self.fix}


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """What was seen of one session, beyond its status."""

    status: Mapping[str, Any]
    interface_up: bool = True
    firewall: bool | None = True
    """Our nftables table is loaded; None when that cannot be seen."""
    resolver_in_use: bool | None = True
    """resolv.conf names our resolver; None where the host's resolver is another."""
    own_answer: str = ""
    """What our resolver answers for the gateway's name, or `error: …`."""
    host_answer: str = ""
    """What the host's resolver answers for it, or `error: …`."""
    http: str = ""
    """Evidence of a probe, or `error: …`."""
    clock_skew: float | None = None
    """Seconds, the gateway's clock minus ours."""
    rp_filter: int = 0
    """Effective value for the interface."""
    endpoint_device: str = ""
    """Interface that the route to the gateway's endpoint leaves by, or `error: …`."""
    path_mtu: int | None = None
    """Bytes that the route to the endpoint carries."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What was seen of the machine."""

    root: bool
    """CAP_NET_ADMIN is in force here, or a daemon that has it answers."""
    tun_error: str
    missing_programs: tuple[str, ...]
    daemon: Mapping[str, Any] | None
    client_version: str
    leftovers: tuple[str, ...]
    dns_mode: str
    dns_why: str
    dns_splits: bool
    nsswitch_hosts: str
    unix_time: float
    backend: str
    """Name, or `error: …`."""
    interfaces: tuple[str, ...] = ()
    profile: str = ""
    """What reading the given profile said; empty without one."""
    handshake: str = ""
    """Evidence of a handshake with the profile's gateway, or `error: …`."""
    sessions: tuple[SessionFacts, ...] = field(default=())


Check = Callable[[Facts], Iterator[Finding]]


def examine_facts(facts: Facts) -> list[Finding]:
    """Every check's findings, in the order in which a person should act on them."""
    return [finding for check in CHECKS for finding in check(facts)]


def _finding(name: str, bad: bool, level: Level, evidence: str, otherwise: str, fix: str) -> Finding:
    return Finding(name, level, evidence, fix) if bad else Finding(name, Level.OK, otherwise)


def tun_device(facts: Facts) -> Iterator[Finding]:
    """/dev/net/tun can be opened."""
    yield _finding("tun device", bool(facts.tun_error), Level.FAIL, f"/dev/net/tun: {facts.tun_error}",
                   "/dev/net/tun can be opened",
                   "modprobe tun; in a container: --device=/dev/net/tun --cap-add=NET_ADMIN")


def rights(facts: Facts) -> Iterator[Finding]:
    """Somebody here may change the network."""
    yield _finding("rights", not facts.root, Level.WARN, "no CAP_NET_ADMIN here, and no kvpnd answers",
                   "CAP_NET_ADMIN is at hand", "use sudo, or install the kvpnd service and join group kvpn")


def programs(facts: Facts) -> Iterator[Finding]:
    """The host's own tools are there."""
    yield _finding("programs", bool(facts.missing_programs), Level.FAIL,
                   f"not found: {', '.join(facts.missing_programs)}", "ip and nft are there",
                   "apt-get install iproute2 nftables")


def backend(facts: Facts) -> Iterator[Finding]:
    """The data path that was asked for is there."""
    yield _finding("backend", facts.backend.startswith("error: "), Level.FAIL, facts.backend.removeprefix("error: "),
                   f"{facts.backend} data path", "unset KVPN_BACKEND, or install that backend")


def leftovers(facts: Facts) -> Iterator[Finding]:
    """No dead daemon's changes are still on the host."""
    yield _finding("leftovers", bool(facts.leftovers), Level.FAIL,
                   f"journals of a dead daemon: {', '.join(facts.leftovers)}", "no journal without a daemon",
                   "sudo kvpn down --force")


def daemon(facts: Facts) -> Iterator[Finding]:
    """A daemon runs, of our version."""
    if facts.daemon is None:
        yield Finding("daemon", Level.OK, "kvpnd is not running; sudo kvpn up starts it")
        return
    skew = facts.daemon["version"] != facts.client_version
    yield _finding("daemon", skew, Level.WARN,
                   f"kvpnd is {facts.daemon['version']}, this is {facts.client_version}",
                   f"kvpnd {facts.daemon['version']}, pid {facts.daemon['pid']}", "kvpn down, then kvpn up")


def clock(facts: Facts) -> Iterator[Finding]:
    """The clock is not absurd: handshakes carry its time, and the gateway refuses one that goes back."""
    yield _finding("clock", facts.unix_time < RELEASE_TIME, Level.FAIL, "the clock is years behind",
                   "the clock is plausible", "set the clock: timedatectl set-ntp true")
    for each in facts.sessions:
        if each.clock_skew is not None:
            yield _finding("clock skew", abs(each.clock_skew) > SKEW_WARN, Level.WARN,
                           f"the gateway's clock differs by {duration(abs(each.clock_skew))}",
                           "this clock and the gateway's agree", "timedatectl set-ntp true, here or there")


def dns_owner(facts: Facts) -> Iterator[Finding]:
    """Whether only our names can be given to us."""
    yield _finding("host resolver", not facts.dns_splits, Level.WARN,
                   f"{facts.dns_mode} ({facts.dns_why}): it cannot split, so all queries pass through kvpn",
                   f"{facts.dns_mode} ({facts.dns_why}): only our suffixes come to us",
                   "use systemd-resolved for split DNS")


def mdns(facts: Facts) -> Iterator[Finding]:
    """No multicast DNS module answers for `.local` before the resolver."""
    full = {"mdns", "mdns4", "mdns6"}
    words = facts.nsswitch_hosts.split()
    first = next((word for word in words if word in full or word in ("dns", "resolve")), "")
    suffixes = [each for session in facts.sessions for each in session.status.get("suffixes", ())] or ["cluster.local"]
    clash = first in full and any(suffix.split(".")[-1] == "local" for suffix in suffixes)
    yield _finding("mdns", clash, Level.WARN, f"nsswitch.conf asks {first} first, which takes *.local for itself",
                   "no multicast DNS comes before the resolver for .local",
                   "in /etc/nsswitch.conf use mdns4_minimal, after resolve or dns")


def gateway_handshake(facts: Facts) -> Iterator[Finding]:
    """The gateway of the given profile answers, or the sessions' gateways have answered lately."""
    if facts.profile:
        yield _finding("profile", facts.profile.startswith("error: "), Level.FAIL,
                       facts.profile.removeprefix("error: "), facts.profile, "correct the profile")
    if facts.handshake:
        yield _finding("handshake", facts.handshake.startswith("error: "), Level.FAIL,
                       facts.handshake.removeprefix("error: "), facts.handshake,
                       "check the endpoint, that UDP gets through, and that the gateway knows this key")
    for each in facts.sessions:
        age = (each.status.get("tunnel") or {}).get("last_handshake_age")
        old = age is None or age > HANDSHAKE_MAX_AGE
        yield _finding("handshake", old, Level.FAIL,
                       "none yet" if age is None else f"the last one is {duration(age)} old",
                       f"{duration(age or 0)} ago",
                       "check that UDP gets to the gateway: kvpn status names the endpoint")


def endpoint_route(facts: Facts) -> Iterator[Finding]:
    """The gateway's endpoint is reached outside the tunnel."""
    for each in facts.sessions:
        device = each.endpoint_device
        inside = device in facts.interfaces
        bad = inside or device.startswith("error: ") or not device
        why = f"the endpoint is routed into {device}" if inside else f"no route: {device.removeprefix('error: ')}"
        yield _finding("endpoint route", bad, Level.FAIL, why, f"by {device}, outside the tunnel",
                       "kvpn down, mend the host's routes, kvpn up")


def mtu(facts: Facts) -> Iterator[Finding]:
    """The tunnel's packets fit the path."""
    for each in facts.sessions:
        inner = (each.status.get("host") or {}).get("mtu", 0)
        tight = each.path_mtu is not None and inner + OVERHEAD > each.path_mtu
        small = 0 < inner < MIN_MTU
        why = f"{inner} inside needs more than the path's {each.path_mtu}" if tight else f"{inner}: too small for IPv6"
        yield _finding("mtu", tight or small, Level.WARN, why,
                       f"{inner} inside, {each.path_mtu or 'unknown'} on the path",
                       "set interface.mtu in the profile lower" if tight else "use a path with at least 1360 bytes")


def interface(facts: Facts) -> Iterator[Finding]:
    """Our interface is up."""
    for each in facts.sessions:
        name = (each.status.get("host") or {}).get("interface", "")
        yield _finding("interface", not each.interface_up, Level.FAIL, f"{name or 'none'} is down or gone",
                       f"{name} is up", "kvpn down, kvpn up")


def firewall(facts: Facts) -> Iterator[Finding]:
    """The host is closed toward the tunnel."""
    for each in facts.sessions:
        if each.firewall is not None:
            yield _finding("firewall", not each.firewall, Level.FAIL,
                           "our nftables table is gone: the tunnel can open connections to this host",
                           "this host is closed toward the tunnel", "kvpn down, kvpn up; see who flushes nftables")


def reverse_path(facts: Facts) -> Iterator[Finding]:
    """Strict reverse path filtering drops what has no route back through the tunnel."""
    for each in facts.sessions:
        yield _finding("rp_filter", each.rp_filter == 1, Level.WARN,
                       "strict: answers from an address without a route through the tunnel are dropped",
                       "reverse path filtering is off or loose", "sysctl net.ipv4.conf.all.rp_filter=2")


def routes(facts: Facts) -> Iterator[Finding]:
    """The directory's prefixes do not collide with the host's routes."""
    yield from _notes(facts, "routes", "routes", "no collision with this host's routes",
                      "choose with --include or --exclude")


def namespaces(facts: Facts) -> Iterator[Finding]:
    """Each namespace's short names come to us."""
    yield from _notes(facts, "dns", "short names", "every namespace's short names come to us",
                      "use <service>.<namespace>.svc.<suffix> for those namespaces", containing="not asked of us")


def _notes(facts: Facts, step: str, name: str, fine: str, fix: str, containing: str = "") -> Iterator[Finding]:
    for each in facts.sessions:
        texts = [note["text"] for note in each.status.get("notes", ())
                 if note["name"] == step and containing in note["text"]]
        yield _finding(name, bool(texts), Level.WARN, "; ".join(texts[:3]), fine, fix)


def resolv_conf(facts: Facts) -> Iterator[Finding]:
    """Nobody has written over our resolver."""
    for each in facts.sessions:
        if each.resolver_in_use is not None:
            yield _finding("resolv.conf", not each.resolver_in_use, Level.FAIL,
                           "somebody has written over it: names do not come to us", "it names our resolver",
                           "stop the program that writes it (DHCP client?), then kvpn down, kvpn up")


def names(facts: Facts) -> Iterator[Finding]:
    """Our resolver answers, and the host's resolver gives the same answer."""
    for each in facts.sessions:
        yield _finding("own resolver", each.own_answer.startswith("error: "), Level.FAIL,
                       each.own_answer.removeprefix("error: "), f"answers {each.own_answer}", "kvpn down, kvpn up")
        wrong = each.host_answer != each.own_answer and not each.own_answer.startswith("error: ")
        yield _finding("names", wrong, Level.FAIL,
                       f"programs get {each.host_answer.removeprefix('error: ')} instead of {each.own_answer}",
                       "this host's programs get the same answer",
                       "see who owns DNS here: the checks `host resolver` and `resolv.conf`")


def end_to_end(facts: Facts) -> Iterator[Finding]:
    """HTTP reaches the gateway by name, through the tunnel."""
    for each in facts.sessions:
        yield _finding("end to end", each.http.startswith("error: "), Level.FAIL, each.http.removeprefix("error: "),
                       each.http, "kvpn status says what is wrong; the checks above say why")


def directory(facts: Facts) -> Iterator[Finding]:
    """The local directory is fresh."""
    for each in facts.sessions:
        state = (each.status.get("directory") or {}).get("state", "unsynced")
        level = Level.WARN if state in ("stale", "lost") else Level.FAIL
        yield _finding("directory", state != "live", level, f"{state}: names may be old or answer SERVFAIL", "live",
                       "look at the gateway: kvpn status, and its /healthz")


def versions(facts: Facts) -> Iterator[Finding]:
    """Client and gateway are of one release."""
    for each in facts.sessions:
        found = (each.status.get("gateway") or {}).get("version", "unknown")
        yield _finding("gateway version", found != facts.client_version, Level.WARN,
                       f"the gateway is {found}, this is {facts.client_version}", f"both are {found}",
                       "upgrade the older one")


CHECKS: Final[tuple[Check, ...]] = (
    tun_device, rights, programs, backend, leftovers, daemon, clock, dns_owner, mdns, gateway_handshake, endpoint_route,
    mtu, interface, firewall, reverse_path, routes, namespaces, resolv_conf, names, end_to_end, directory, versions)
