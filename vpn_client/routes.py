"""Which routes to install: a pure decision from what the directory needs and what the host has.

Owns the rules for overlap and for addresses that stay outside. Leaves to others: reading and changing the kernel's
tables (`linux_routes`), private ranges (`bounds`), which prefixes the directory needs (`vpn_directory.routes`).

The rules, in this order, for each prefix:
1. What lies in `exclude` is left out; addresses that must stay outside are carved out.
2. No route of the host equals it or lies within it: it is taken. Less specific routes of the host give way, and that is
   said.
3. Otherwise the host keeps its routes: the directory's addresses within the prefix get host routes of their own, except
   those that the host's routes cover, which are listed. A prefix that the user named with `--include` is taken whole
   even so, unless the host has the very same one: the host's narrower routes go on winning for their addresses.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from vpn_client.bounds import Outside
from vpn_client.host_plan import Address, Network, Note


@dataclass(frozen=True, slots=True)
class ExistingRoute:
    """A route of the host that is not ours; default routes are left out by the reader."""

    network: Network
    device: str
    """Interface name, or the route's type (`unreachable`) where it has none."""
    ranks_first: bool = False
    """A policy rule looks at its table before the main one: more specific routes of ours would not win."""


@dataclass(frozen=True, slots=True)
class Collision:
    """An address or prefix that was wanted and that a route of the host keeps."""

    network: Network
    existing: ExistingRoute


@dataclass(frozen=True, slots=True)
class RouteDecision:
    """What to install, sorted, and what to tell the user."""

    install: tuple[Network, ...]
    notes: tuple[Note, ...] = ()
    collisions: tuple[Collision, ...] = ()


def decide(desired: Iterable[Network], existing: Iterable[ExistingRoute], *, hosts: Iterable[Address] = (),
           include: Iterable[Network] = (), exclude: Iterable[Network] = (),
           outside: Iterable[Outside] = ()) -> RouteDecision:
    """The decision; the order of no argument matters, and nothing here can fail."""
    raise NotImplementedError
