"""Which routes to install: a pure decision from what the directory needs and what the host has.

Owns the rules for overlap and for addresses that stay outside. Leaves to others: reading and changing the kernel's
tables (`linux_routes`), private ranges (`bounds`), which prefixes the directory needs (`vpn_directory.routes`).

The rules, for each prefix:
1. What lies in `exclude` is left out; addresses that must stay outside are carved out.
2. No route of the host equals it or lies within it: it is taken. Less specific routes of the host give way, and that is
   said.
3. Otherwise the host keeps its routes: the directory's addresses within the prefix get host routes of their own, except
   those that the host's routes cover, which are listed. A prefix that the user named with `--include` is taken whole
   even so, unless the host has the very same one: the host's narrower routes go on winning for their addresses.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Final

from vpn_client.bounds import Outside, covers
from vpn_client.host_plan import Address, Network, Note
from vpn_client.output import Level

STEP: Final = "routes"
NAMED: Final = 5
"""How many addresses a note lists before it counts the rest."""


@dataclass(frozen=True, slots=True)
class ExistingRoute:
    """A route of the host that is not ours; default routes are left out by the reader."""

    network: Network
    device: str
    """Interface name, or the route's type (`unreachable`) where it has none."""
    ranks_first: bool = False
    """A policy rule looks at its table before the main one: more specific routes of ours would not win."""

    def __str__(self) -> str:
        return f"{self.network} on {self.device}"


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
    insisted, existing = frozenset(include), tuple(existing)
    work = _Work(_Table(existing), _sorted(set(map(host_route, hosts))), _sorted(exclude),
                 tuple(sorted(set(outside), key=lambda each: (each.address.version, each.address, each.role))))
    for prefix in _sorted(insisted.union(desired)):
        work.add(prefix, prefix in insisted)
    collisions = dict.fromkeys(work.collisions)
    notes = (*work.notes, *_unreachable(tuple(collisions)))
    kept = {route.network for route in existing}
    return RouteDecision(_sorted(work.install - kept), notes, tuple(collisions))


def host_route(address: Address) -> Network:
    """The prefix that holds just this address."""
    return ip_network(address)


def carve(network: Network, holes: Iterable[Network]) -> list[Network]:
    """The smallest prefixes that hold `network` without `holes`, sorted."""
    pieces = [network]
    for hole in holes:
        pieces = [piece for each in pieces for piece in _without(each, hole)]
    return sorted(pieces, key=_key)


def _without(network: Network, hole: Network) -> Iterable[Network]:
    if covers(hole, network):
        return ()
    if not covers(network, hole):
        return (network,)
    return network.address_exclude(hole)  # type: ignore[arg-type]  # covers() has compared the versions


def _key(network: Network) -> tuple[int, int, int]:
    return network.version, int(network.network_address), network.prefixlen


def _start(network: Network) -> tuple[int, int]:
    return network.version, int(network.network_address)


def _sorted(networks: Iterable[Network]) -> tuple[Network, ...]:
    return tuple(sorted(set(networks), key=_key))


class _Table:
    """The host's routes, to be asked for those around a prefix and those within it."""

    def __init__(self, routes: Iterable[ExistingRoute]) -> None:
        self._routes = sorted(set(routes), key=lambda route: (_key(route.network), route.device, route.ranks_first))
        self._starts = [_start(route.network) for route in self._routes]
        self._around: defaultdict[tuple[int, int, int], list[ExistingRoute]] = defaultdict(list)
        for route in self._routes:
            self._around[_key(route.network)].append(route)
        self._lengths = {version: sorted({route.network.prefixlen for route in self._routes
                                          if route.network.version == version}) for version in (4, 6)}

    def around(self, network: Network) -> list[ExistingRoute]:
        """Routes that hold `network` and more."""
        start, bits = int(network.network_address), network.max_prefixlen
        return [route for length in self._lengths[network.version] if length < network.prefixlen
                for route in self._around.get((network.version, start >> bits - length << bits - length, length), ())]

    def within(self, network: Network) -> list[ExistingRoute]:
        """Routes that equal `network` or lie in it."""
        first = bisect_left(self._starts, _start(network))
        last = bisect_left(self._starts, (network.version, int(network.broadcast_address) + 1))
        return [route for route in self._routes[first:last] if route.network.prefixlen >= network.prefixlen]


@dataclass(slots=True)
class _Work:
    table: _Table
    hosts: tuple[Network, ...]
    exclude: tuple[Network, ...]
    outside: tuple[Outside, ...]
    install: set[Network] = field(default_factory=set)
    notes: list[Note] = field(default_factory=list)
    collisions: list[Collision] = field(default_factory=list)

    def add(self, prefix: Network, insisted: bool) -> None:
        """Decide on one prefix."""
        pieces = carve(prefix, self.exclude)
        if pieces != [prefix]:
            self._say(f"{prefix} is excluded" if not pieces else f"{prefix} without what is excluded")
        if not pieces:
            return
        # Carving makes pieces that are more specific than any route of the host: overlap is judged on the whole prefix.
        around = self.table.around(prefix)
        narrower = [route for route in self.table.within(prefix)
                    if not any(covers(hole, route.network) for hole in self.exclude)]
        ahead = [route for route in around if route.ranks_first]
        takes_whole = insisted and not ahead and all(route.network != prefix for route in narrower)
        if takes_whole or not (narrower or ahead):
            self._take(prefix, pieces, around, narrower)
        else:
            self._take_hosts(prefix, pieces, [*ahead, *narrower])

    def _take(self, prefix: Network, pieces: Sequence[Network], around: Sequence[ExistingRoute],
              narrower: Sequence[ExistingRoute]) -> None:
        if around:
            self._say(f"{prefix} is more specific than {around[-1]}: taken", Level.WARN)
        if narrower:
            self._say(f"{prefix} is taken as you asked; {_list(narrower)} {_stay(narrower)}", Level.WARN)
            self.collisions += [Collision(route.network, route) for route in narrower]
        self._install(prefix, pieces)

    def _take_hosts(self, prefix: Network, pieces: Sequence[Network], kept: Sequence[ExistingRoute]) -> None:
        """Host routes for the directory's addresses that no route in `kept` covers."""
        free: list[Network] = []
        for host in (host for piece in pieces for host in self._hosts_in(piece)):
            owner = next((route for route in kept if covers(route.network, host)), None)
            if owner is None:
                free.append(host)
            else:
                self.collisions.append(Collision(host, owner))
        if prefix.prefixlen == prefix.max_prefixlen and prefix not in self.hosts:
            self.collisions.append(Collision(prefix, kept[0]))
        self._say(f"{prefix} overlaps {_list(kept)}: {len(free)} host routes instead", Level.WARN)
        self._install(prefix, free)

    def _hosts_in(self, piece: Network) -> Sequence[Network]:
        end: tuple[int, int] = (piece.version, int(piece.broadcast_address) + 1)
        return self.hosts[bisect_left(self.hosts, _start(piece), key=_start):bisect_left(self.hosts, end, key=_start)]

    def _install(self, prefix: Network, pieces: Iterable[Network]) -> None:
        holes = [each for each in self.outside if any(each.address in piece for piece in pieces)]
        for each in holes:
            self._say(f"{prefix} without the {each.role} {each.address}")
        for piece in pieces:
            self.install.update(carve(piece, (host_route(each.address) for each in holes)))

    def _say(self, text: str, level: Level = Level.OK) -> None:
        self.notes.append(Note(STEP, text, level))


def _stay(routes: Sequence[ExistingRoute]) -> str:
    return "stays" if len(routes) == 1 else "stay"


def _unreachable(collisions: Sequence[Collision]) -> tuple[Note, ...]:
    if not collisions:
        return ()
    named = [f"{_plain(each.network)} ({each.existing})" for each in collisions]
    return (Note(STEP, f"not reachable: {_list(named)}; to choose: --include or --exclude", Level.WARN),)


def _plain(network: Network) -> str:
    single = network.prefixlen == network.max_prefixlen
    return str(network.network_address) if single else str(network)


def _list(items: Sequence[object]) -> str:
    rest = len(items) - NAMED
    return ", ".join(map(str, items[:NAMED])) + (f" and {rest} more" if rest > 0 else "")
