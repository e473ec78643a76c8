"""A network on a manual clock that loses, delays, reorders and repeats datagrams, and watches every nonce."""

from __future__ import annotations

import heapq
import random
import struct
from collections.abc import Iterable

from vpn_tunnel.constants import MESSAGE_TRANSPORT
from vpn_tunnel.data_path import OutgoingBatch, ReceivedDatagram
from vpn_tunnel.endpoint import Endpoint

LOSS = 0.05
REPEAT = 0.01
DELAY = (0.005, 0.080)
"""Seconds; each datagram draws its own, so that they overtake one another."""
_HEAD = struct.Struct("<IIQ")


class NonceReused(AssertionError):
    """Two different datagrams were sealed with one key and one counter."""


class Wire:
    """Datagrams under way. Who is where is `places`: an outer address and port → a party's name."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.places: dict[tuple[str, int], str] = {}
        self._queue: list[tuple[float, int, tuple[str, int], ReceivedDatagram]] = []
        self._count = 0
        self._nonces: set[tuple[str, int, int]] = set()
        self.lost = 0

    def send(self, sender: str, source: Endpoint, batches: Iterable[OutgoingBatch], now: float) -> None:
        """Put a party's datagrams on their way; raises `NonceReused`."""
        for batch in batches:
            for data in batch.datagrams:
                self._watch(sender, data)
                copies = 0 if self.rng.random() < LOSS else 2 if self.rng.random() < REPEAT else 1
                self.lost += copies == 0
                for _ in range(copies):
                    self._count += 1
                    heapq.heappush(self._queue, (now + self.rng.uniform(*DELAY), self._count,
                                                 (batch.endpoint.host, batch.endpoint.port),
                                                 ReceivedDatagram(data, source)))

    def _watch(self, sender: str, data: bytes) -> None:
        """Every transport message has a receiver index, which names the key, and a counter, which is the nonce."""
        if data[0] != MESSAGE_TRANSPORT:
            return
        _, index, counter = _HEAD.unpack_from(data)
        if (sender, index, counter) in self._nonces:
            raise NonceReused(f"{sender} used counter {counter} twice toward index {index:#x}")
        self._nonces.add((sender, index, counter))

    def next_arrival(self) -> float | None:
        """When the next datagram arrives, seconds."""
        return self._queue[0][0] if self._queue else None

    def arrivals(self, now: float) -> Iterable[tuple[str, ReceivedDatagram]]:
        """What has arrived by `now`: the party at that address, and the datagram; nobody there means it is gone."""
        while self._queue and self._queue[0][0] <= now:
            _, _, place, datagram = heapq.heappop(self._queue)
            if (party := self.places.get(place)) is not None:
                yield party, datagram
