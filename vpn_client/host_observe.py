"""I/O: what this host has: routes, default gateways, resolvers, and how it resolves names.

Owns the reading, in whatever network namespace it is called. Changes nothing. Leaves to others: what the output means
(`kernel_tables`, `resolv_conf`), what follows (`routes`, `resolver_setup`).
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from vpn_client.bounds import Outside
from vpn_client.host_plan import Address
from vpn_client.host_tools import answer, find
from vpn_client.kernel_tables import default_gateways, existing_routes
from vpn_client.resolv_conf import parse, upstreams
from vpn_client.resolver_setup import STUBS, Observation
from vpn_client.routes import ExistingRoute
from vpn_tunnel.host_commands import ip_json


@dataclass(frozen=True, slots=True)
class Paths:
    """Where a Linux keeps what its resolver is made of."""

    resolv_conf: Path = Path("/etc/resolv.conf")
    nsswitch: Path = Path("/etc/nsswitch.conf")
    dnsmasq: Path = Path("/etc/NetworkManager/dnsmasq.d")
    """Drop-ins for NetworkManager's dnsmasq (NetworkManager.conf(5), `dns=dnsmasq`)."""
    resolved: Path = Path("/run/systemd/resolve")
    """systemd-resolved's state: `resolv.conf` with the real servers, `netif/INDEX` with each link's settings."""
    mounts: Path = Path("/proc/self/mountinfo")


LINUX: Final = Paths()


@dataclass(frozen=True, slots=True)
class HostRoutes:
    """What routes have to respect."""

    existing: tuple[ExistingRoute, ...]
    gateways: tuple[Address, ...]


def observe_routes(own: str) -> HostRoutes:
    """Routes and default gateways, without those through the interface `own`. CommandError if `ip` fails."""
    routes: dict[int, Any] = {}
    rules: dict[int, Any] = {}
    for version in (4, 6):
        routes[version] = ip_json(f"-{version}", "route", "show", "table", "all")
        rules[version] = ip_json(f"-{version}", "rule", "show")
    return HostRoutes(existing_routes(routes, rules, (own,)), default_gateways(routes, (own,)))


def observe_upstreams(own: tuple[str, ...], paths: Paths = LINUX) -> tuple[str, ...]:
    """The resolvers that this host's questions end up at, never our own addresses.

    Behind systemd-resolved's stub these are its servers, for through the stub our own suffixes would come back to us.
    """
    named = upstreams(read_text(paths.resolv_conf) or "", own)
    behind = upstreams(read_text(paths.resolved / "resolv.conf") or "", own) if STUBS.intersection(named) else ()
    real = tuple(server for server in dict.fromkeys((*behind, *named)) if server not in STUBS)
    return real or named


def outside(endpoints: tuple[str, ...], gateways: tuple[Address, ...],
            resolvers: tuple[str, ...]) -> tuple[Outside, ...]:
    """Everything that no route of ours may cover. A name among `endpoints` is left to who resolves it."""
    named = [*(("endpoint", endpoint) for endpoint in endpoints),
             *(("resolver", resolver) for resolver in resolvers if not resolver.startswith("127."))]
    found = [Outside(gateway, "default gateway") for gateway in gateways]
    for role, text in named:
        try:
            found.append(Outside(ip_address(text.partition("%")[0]), role))
        except ValueError:
            continue
    return tuple(dict.fromkeys(found))


def observe_resolver(paths: Paths = LINUX) -> Observation:
    """How names are resolved here. Asking systemd-resolved starts it where it can be started, so that comes first."""
    answers = find("resolvectl") is not None and answer(["resolvectl", "domain"]) is not None
    text = read_text(paths.resolv_conf)
    header = parse(text or "").header.lower()
    manager = network_manager() if "networkmanager" in header else ("", "")
    return Observation(
        resolv_conf=text, nsswitch_hosts=nsswitch_hosts(read_text(paths.nsswitch) or ""), resolved_answers=answers,
        resolvconf=resolvconf_flavour() if "resolvconf" in header else "", network_manager=manager[0],
        network_manager_dns=manager[1], bind_mount=is_mount(paths.resolv_conf, paths))


def nsswitch_hosts(text: str) -> str:
    """The `hosts:` line of nsswitch.conf(5)."""
    found = re.search(r"^hosts:([^#\n]*)", text, re.MULTILINE)
    return found[1].strip() if found else ""


def resolvconf_flavour() -> str:
    """`debian`, `openresolv`, the first word of another one's version, or empty without it."""
    path = find("resolvconf")
    if path is None:
        return ""
    said = answer(["resolvconf", "--version"]) or ""
    if said.startswith("openresolv"):
        return "openresolv"
    # Debian's has no --version: it is a script that says its name.
    text = read_text(Path(path)) or ""
    return "debian" if "/etc/resolvconf" in text and "openresolv" not in text else said.partition(" ")[0] or "unknown"


def network_manager() -> tuple[str, str]:
    """(version, DNS mode) of a running NetworkManager, or empty."""
    version = (answer(["nmcli", "-t", "-f", "VERSION", "general"]) or "").strip() if find("nmcli") else ""
    name = "org.freedesktop.NetworkManager"
    manager = f"/{name.replace('.', '/')}/DnsManager"
    mode = answer(["busctl", "get-property", name, manager, f"{name}.DnsManager", "Mode"])
    return version, (mode or "").strip().removeprefix("s ").strip('"') if version else ""


def taken_domains(own: str) -> tuple[str, ...]:
    """Domains that systemd-resolved routes or searches, on any link but ours and globally."""
    return parse_link_domains(answer(["resolvectl", "domain"]) or "", own)


def parse_link_domains(text: str, own: str) -> tuple[str, ...]:
    """Domains in the output of `resolvectl domain`: `Global: lan`, `Link 2 (eth0): ~corp lan`."""
    found: list[str] = []
    for line in text.splitlines():
        who, _, domains = line.partition(":")
        if not who.endswith(f"({own})"):
            found += domains.split()
    return tuple(dict.fromkeys(found))


def link_index(interface: str) -> int | None:
    """The kernel's number for an interface, None without one."""
    try:
        return socket.if_nametoindex(interface)
    except OSError:
        return None


def is_mount(path: Path, paths: Paths = LINUX) -> bool:
    """Whether a file is a mount point, as resolv.conf is in containers and in `ip netns exec`."""
    points = [line.split()[4] for line in (read_text(paths.mounts) or "").splitlines() if len(line.split()) > 4]
    return str(path.resolve()).replace(" ", "\\040") in points


def read_text(path: Path) -> str | None:
    """A file as Latin-1 text, so that any byte survives; None if it cannot be read."""
    try:
        return path.read_bytes().decode("latin-1")
    except OSError:
        return None
