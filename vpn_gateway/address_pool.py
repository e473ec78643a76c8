"""Tunnel addresses of peers: they follow from the Peer's uid and its age, the same on every replica and after a restart. Pure.

Owns the ten minutes that a released address rests. IPv4 and IPv6 share one number within their pools.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

from vpn_gateway.config import GatewayConfig
from vpn_gateway.peers import PeerObject

REST: Final = 600.0  # seconds before a released address is given to somebody else
_RESERVED: Final = 2  # the network's and the gateway's number


class PoolExhausted(RuntimeError):
    """Every address is taken or rests."""


class AddressPool:
    """Numbers within the pools by Peer uid."""

    def __init__(self, config: GatewayConfig) -> None:
        self._pool4, self._pool6 = config.pool4, config.pool6
        # The broadcast address of the smaller pool stays unused.
        self._size = min(config.pool4.num_addresses, config.pool6.num_addresses) - _RESERVED - 1
        self._leased: dict[str, int] = {}
        self._resting: dict[int, tuple[str, float]] = {}

    def assign(self, peers: Iterable[PeerObject], now: float) -> dict[str, tuple[str, str]]:
        """(IPv4, IPv6) by uid for `peers`, oldest first; those that are gone release theirs. Raises `PoolExhausted`."""
        peers = list(peers)
        self._release({peer.uid for peer in peers}, now)
        taken = set(self._leased.values())
        for peer in peers:
            if peer.uid not in self._leased:
                number = self._free(peer.uid, taken)
                self._leased[peer.uid] = number
                self._resting.pop(number, None)
                taken.add(number)
        return {peer.uid: self._addresses(self._leased[peer.uid]) for peer in peers}

    def _release(self, alive: set[str], now: float) -> None:
        self._resting = {number: entry for number, entry in self._resting.items() if now - entry[1] < REST}
        for uid in [uid for uid in self._leased if uid not in alive]:
            self._resting[self._leased.pop(uid)] = (uid, now)

    def _free(self, uid: str, taken: set[int]) -> int:
        start = int.from_bytes(hashlib.blake2b(uid.encode(), digest_size=8).digest(), "big") % self._size
        for step in range(self._size):
            number = (start + step) % self._size
            rests = number in self._resting and self._resting[number][0] != uid
            if number not in taken and not rests:
                return number
        raise PoolExhausted(f"no address is free in {self._pool4}; give --pool4 and --pool6 larger prefixes")

    def _addresses(self, number: int) -> tuple[str, str]:
        return str(self._pool4[number + _RESERVED]), str(self._pool6[number + _RESERVED])
