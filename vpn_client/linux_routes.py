"""I/O: our routes in the kernel: read, apply the difference, flush.

Owns the protocol number that marks them. Leaves to others: which routes (`routes`).
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_network
from typing import Final

from vpn_client.host_plan import Network
from vpn_tunnel.host_commands import CommandError, ip_json, run_ip

PROTOCOL: Final = 107
"""Marks our routes (ip-route(8), `proto`): no routing daemon in rtnetlink.h or rt_protos uses it."""


def read_routes(interface: str) -> frozenset[Network]:
    """Our routes on the link, by their mark."""
    found: set[Network] = set()
    for version in (4, 6):
        shown = ip_json(f"-{version}", "route", "show", "dev", interface, "proto", str(PROTOCOL))
        found.update(ip_network(route["dst"]) for route in shown)
    return frozenset(found)


def change_routes(interface: str, wanted: Iterable[Network]) -> list[tuple[Network, str]]:
    """Make our routes on the link these; returns those that the kernel refused, each with why.

    `add`, never `replace`: a route of someone else that has appeared in the meantime stays.
    """
    desired, present = frozenset(wanted), read_routes(interface)
    _run([f"route del {route} dev {interface} proto {PROTOCOL}" for route in present - desired])
    refused = _run([f"route add {route} dev {interface} proto {PROTOCOL}" for route in desired - present])
    return [(ip_network(line.split()[2]), why) for line, why in refused]


def _run(lines: list[str]) -> list[tuple[str, str]]:
    """Run the lines in one batch; if that stops at one, run each by itself and return those that fail."""
    if not lines:
        return []
    try:
        run_ip(*lines)
    except CommandError:
        return [(line, why) for line in sorted(lines) if (why := _try(line))]
    return []


def _try(line: str) -> str:
    """Why a line fails, or empty. A batch that stopped half-way has run some already, which is no failure."""
    try:
        run_ip(line)
    except CommandError as error:
        return "" if _is_done(line) else error.why
    return ""


def _is_done(line: str) -> bool:
    _, verb, prefix, _, interface, *_ = line.split()
    return (ip_network(prefix) in read_routes(interface)) == (verb == "add")


def flush_routes(interface: str) -> None:
    """Remove every route of ours on the link."""
    change_routes(interface, ())
