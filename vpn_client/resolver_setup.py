"""How this host resolves names, decided from observations: a table, no I/O.

Owns which mode is used and which routing domains are safe to ask for. Leaves to others: observing (`host_observe`),
doing (`linux_resolver`).

The table, first match wins:
| systemd-resolved answers | and programs ask it: nss-resolve before dns, or only its stub in resolv.conf | resolved |
| resolv.conf's header names resolvconf | and a resolvconf of a known flavour is installed | resolvconf |
| resolv.conf's header names NetworkManager | and it runs dnsmasq, which splits | dnsmasq drop-in |
| anything else, no file too | | the file itself |
Whoever wrote the file does not matter when systemd-resolved is asked in the end.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Final

from vpn_client.bounds import is_below
from vpn_client.host_plan import ResolverPlan
from vpn_client.resolv_conf import ResolvConf, parse

STUBS: Final = frozenset({"127.0.0.53", "127.0.0.54"})
"""systemd-resolved's listeners (systemd-resolved.service(8))."""
SPECIAL_USE: Final = frozenset({
    "alt",  # RFC 9476
    "arpa",  # RFC 3172
    "example", "invalid", "localhost", "test",  # RFC 6761
    "local",  # RFC 6762
    "onion",  # RFC 7686
    "internal",  # reserved by ICANN for private use, 2024
    "corp", "home", "lan", "mail", "localdomain", "domain", "intranet", "private",  # RFC 6762 appendix G
})
"""Top-level names with a meaning of their own: special-use names and those that private networks live under."""


MAX_DOMAINS: Final = 256
"""Search and routing domains of one link: systemd-resolved takes 1024, older ones 256."""
REAPPLY_LIMIT: Final = 10
"""Times per REAPPLY_WINDOW that we take the resolver back from someone else, before we stop fighting."""
REAPPLY_WINDOW: Final = 5.0
"""Seconds."""
_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class Mode(StrEnum):
    """Who is told about our resolver."""

    RESOLVED = "systemd-resolved"
    RESOLVCONF = "resolvconf"
    """Debian's resolvconf."""
    OPENRESOLV = "openresolv"
    NETWORK_MANAGER = "NetworkManager"
    """Its dnsmasq, by a drop-in file."""
    FILE = "resolv.conf"

    @property
    def splits(self) -> bool:
        """Whether only our suffixes come to us; otherwise every query does, and we forward what is not ours."""
        return self in (Mode.RESOLVED, Mode.NETWORK_MANAGER)


@dataclass(frozen=True, slots=True)
class Observation:
    """What a host shows of its resolver."""

    resolv_conf: str | None = None
    """Text of the file; None when there is none."""
    nsswitch_hosts: str = ""
    """The `hosts:` line of nsswitch.conf, without its name."""
    resolved_answers: bool = False
    """systemd-resolved answers on the bus, having been started by being asked."""
    resolvconf: str = ""
    """`debian`, `openresolv`, another flavour, or empty without the program."""
    network_manager: str = ""
    """Its version; empty when it is not on the bus."""
    network_manager_dns: str = ""
    """What it hands names to: `systemd-resolved`, `dnsmasq`, `default`, …"""
    bind_mount: bool = False
    """resolv.conf is a mount point of its own, as in containers: it cannot be renamed over."""


def choose(seen: Observation) -> tuple[Mode, str]:
    """(mode, why)."""
    conf = parse(seen.resolv_conf or "")
    if seen.resolved_answers and _asks_resolved(conf, seen.nsswitch_hosts):
        return Mode.RESOLVED, "programs ask systemd-resolved"
    header = conf.header.lower()
    if "resolvconf" in header and seen.resolvconf in ("debian", "openresolv"):
        mode = Mode.OPENRESOLV if seen.resolvconf == "openresolv" else Mode.RESOLVCONF
        return mode, f"{seen.resolvconf} writes resolv.conf"
    if "networkmanager" in header and seen.network_manager and seen.network_manager_dns == "dnsmasq":
        return Mode.NETWORK_MANAGER, f"NetworkManager {seen.network_manager} runs dnsmasq"
    if seen.resolv_conf is None:
        return Mode.FILE, "there is no resolv.conf"
    return Mode.FILE, "resolv.conf is a bind mount" if seen.bind_mount else "a plain resolv.conf"


def _asks_resolved(conf: ResolvConf, nsswitch_hosts: str) -> bool:
    """nss-resolve comes before dns, or every server in resolv.conf is the stub."""
    words = nsswitch_hosts.split()
    if "resolve" in words and "resolve" in words[:words.index("dns") if "dns" in words else None]:
        return True
    return bool(conf.nameservers) and set(conf.nameservers) <= STUBS


@dataclass(frozen=True, slots=True)
class DomainChoice:
    """What the host's resolver is told, and what was left out and why."""

    routing: tuple[str, ...]
    search: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...] = ()


def choose_domains(plan: ResolverPlan, taken: Iterable[str]) -> DomainChoice:
    """Routing domains: our suffixes, and each namespace whose name means nothing elsewhere.

    `taken`: domains that any link or the global configuration routes or searches already. They stay theirs.
    """
    theirs = sorted({domain.lower().strip(".~") for domain in taken} - {""})
    routing, left_out = list(plan.routing_domains), []
    for namespace in sorted(set(plan.namespaces)):
        why = None if namespace in plan.approved_namespaces else why_not(namespace, theirs)
        if not _LABEL.fullmatch(namespace):
            why = "not one label"
        elif why is None and len(routing) + len(plan.search) >= MAX_DOMAINS:
            why = f"more than {MAX_DOMAINS} domains"
        if why is None:
            routing.append(namespace)
        else:
            left_out.append((namespace, why))
    return DomainChoice(tuple(dict.fromkeys(routing)), tuple(dict.fromkeys(plan.search)), tuple(left_out))


def why_not(namespace: str, theirs: Iterable[str]) -> str | None:
    """Why `~namespace` would take names away from someone else; None if it would not."""
    if namespace in SPECIAL_USE:
        return "a special-use name"
    if namespace in delegated_tlds():
        return "a top-level domain of the internet"
    for domain in theirs:
        if is_below(domain, namespace):
            return f"{domain} is routed or searched already"
    return None


@cache
def delegated_tlds() -> frozenset[str]:
    """Top-level domains of the DNS root, from the list in delegated_tlds.txt."""
    text = files(__package__).joinpath("delegated_tlds.txt").read_text("ascii")
    return frozenset(word for line in text.splitlines() if not line.startswith("#") for word in line.split())


@dataclass(slots=True)
class ReapplyLimit:
    """Whether to take the resolver back once more: at most REAPPLY_LIMIT times per REAPPLY_WINDOW, then never again."""

    stopped: bool = False
    _times: deque[float] = field(default_factory=deque)

    def allow(self, now: float) -> bool:
        """Count one attempt at `now`, in monotonic seconds."""
        while self._times and self._times[0] <= now - REAPPLY_WINDOW:
            self._times.popleft()
        self._times.append(now)
        self.stopped |= len(self._times) > REAPPLY_LIMIT
        return not self.stopped
