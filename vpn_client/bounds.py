"""What kvpnd refuses, from the user and from the gateway alike (DESIGN §5): foreign routes and foreign names.

Owns the private ranges and the checks. Leaves to others: what the host has (`host_observe`), carving protected
addresses out of a prefix (`routes`), reading root's configuration file (`daemon`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_network
from typing import Final

from vpn_client.host_plan import Address, Network

PRIVATE: Final[tuple[Network, ...]] = tuple(ip_network(text) for text in (
    "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16",  # RFC 1918
    "100.64.0.0/10",  # RFC 6598
    "198.18.0.0/15",  # RFC 2544
    "fc00::/7",  # RFC 4193
))
"""Where a route may lead unless root's own configuration file widens it."""


class Reason(StrEnum):
    """Why a route or a suffix is refused."""

    NOT_PRIVATE = "not in a private range"
    COVERS = "covers an address that must stay outside the tunnel"
    NOT_APPROVED = "not below a suffix that the profile approves"


@dataclass(frozen=True, slots=True)
class Outside:
    """An address that no route of ours may cover."""

    address: Address
    role: str
    """`default gateway`, `resolver`, `endpoint`."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One thing that was refused: what, why, and what would make it acceptable."""

    what: str
    reason: Reason
    why: str
    fix: str


def check_routes(routes: Iterable[Network], *, widened: Sequence[Network] = (),
                 outside: Sequence[Outside] = ()) -> tuple[tuple[Network, ...], tuple[Refusal, ...]]:
    """(allowed, refused). `widened`: from root's configuration file only, never from a user or a gateway."""
    allowed, refused = [], []
    for route in routes:
        refusal = _refuse_route(route, widened, outside)
        if refusal is None:
            allowed.append(route)
        else:
            refused.append(refusal)
    return tuple(allowed), tuple(refused)


def in_private_range(route: Network, widened: Sequence[Network] = ()) -> bool:
    """Whether every address of `route` is private, or root allows it."""
    return any(covers(known, route) for known in (*PRIVATE, *widened))


def covers(one: Network, other: Network) -> bool:
    """Whether `one` holds every address of `other`."""
    return one.version == other.version and one.prefixlen <= other.prefixlen and other.network_address in one


def _refuse_route(route: Network, widened: Sequence[Network], outside: Sequence[Outside]) -> Refusal | None:
    if not in_private_range(route, widened):
        return Refusal(str(route), Reason.NOT_PRIVATE, "kvpnd routes private ranges only",
                       "let root add it to allow_routes in kvpnd's configuration file")
    covered = [each for each in outside if each.address in route]
    if covered:
        named = ", ".join(f"the {each.role} {each.address}" for each in covered)
        return Refusal(str(route), Reason.COVERS, f"it covers {named}", "name a narrower prefix, or --exclude them")
    return None


def check_suffixes(domains: Iterable[str], approved: Sequence[str]) -> tuple[tuple[str, ...], tuple[Refusal, ...]]:
    """(allowed, refused): a domain passes when it equals or is below a suffix that the profile approves."""
    allowed, refused = [], []
    for domain in domains:
        if any(is_below(domain, suffix) for suffix in approved if suffix.strip(".")):
            allowed.append(domain)
        else:
            refused.append(Refusal(domain, Reason.NOT_APPROVED, "the profile approves "
                                   + (", ".join(approved) or "no suffix"), "add it to [dns] of the profile"))
    return tuple(allowed), tuple(refused)


def is_below(domain: str, suffix: str) -> bool:
    """Whether `domain` equals `suffix` or ends in it at a label boundary; case and a final dot do not count."""
    name, end = domain.lower().rstrip("."), suffix.lower().strip(".")
    return name == end or name.endswith("." + end)
