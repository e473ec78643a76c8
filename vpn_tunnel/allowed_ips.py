"""Cryptokey routing (paper §2): which peer owns an address, by longest prefix; both families, one table.

Owns the table. Each prefix belongs to one peer; giving it to another takes it from the first in the same step.
Prefixes are grouped by length, so a look-up costs one dictionary access for each length in use.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

from vpn_tunnel.config import Network

T = TypeVar("T", bound=Hashable)


class AllowedIps(Generic[T]):
    """Prefix to peer."""

    def __init__(self) -> None:
        self._levels: dict[int, list[tuple[int, dict[int, T]]]] = {4: [], 6: []}
        self._owned: dict[T, dict[Network, None]] = {}
        self._networks: dict[Network, T] = {}

    def insert(self, network: Network, peer: T) -> None:
        """Give `network` to `peer`, taking it from whoever had it."""
        before = self._networks.get(network)
        if before is not None:
            self._owned[before].pop(network, None)
        self._networks[network] = peer
        self._owned.setdefault(peer, {})[network] = None
        self._level(network)[int(network.network_address)] = peer

    def _level(self, network: Network) -> dict[int, T]:
        levels = self._levels[network.version]
        shift = network.max_prefixlen - network.prefixlen
        for existing, table in levels:
            if existing == shift:
                return table
        table = {}
        levels.append((shift, table))
        levels.sort(key=lambda level: level[0])
        return table

    def remove(self, network: Network, peer: T) -> None:
        """Take `network` from `peer`, if it is that peer's."""
        if self._networks.get(network) != peer:
            return
        del self._networks[network]
        self._owned[peer].pop(network, None)
        shift = network.max_prefixlen - network.prefixlen
        levels = self._levels[network.version]
        for level in levels:
            if level[0] == shift:
                del level[1][int(network.network_address)]
                if not level[1]:
                    levels.remove(level)
                return

    def remove_peer(self, peer: T) -> None:
        """Take everything from `peer`."""
        for network in list(self._owned.get(peer, ())):
            self.remove(network, peer)
        self._owned.pop(peer, None)

    def lookup(self, packed: bytes) -> T | None:
        """The owner of an address of 4 or 16 bytes, by longest prefix."""
        value = int.from_bytes(packed, "big")
        for shift, table in self._levels[4 if len(packed) == 4 else 6]:
            peer = table.get(value >> shift << shift)
            if peer is not None:
                return peer
        return None

    def of(self, peer: T) -> tuple[Network, ...]:
        """What `peer` owns, in the order it was given."""
        return tuple(self._owned.get(peer, ()))

    def __iter__(self) -> Iterator[tuple[Network, T]]:
        return iter(self._networks.items())
