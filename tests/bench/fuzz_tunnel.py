"""I/O: `scripts/bench fuzz`: mutated datagrams into a live `Device`: no exception, bounded CPU, tunnel alive.

Real messages of every type, freshly made as sessions come and go, are mutated: bits, lengths, splices, types, indices.
Half of the mutated handshakes get a right mac1, as from someone who knows the public key; mutated inner packets come
sealed, as from a peer with a valid key. Every seed is printed.
"""

from __future__ import annotations

import argparse
import random
import statistics
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from ipaddress import ip_network

from vpn_tunnel.config import PeerConfig
from vpn_tunnel.cookies import CookieJar
from vpn_tunnel.data_path import ReceivedDatagram
from vpn_tunnel.device import Device
from vpn_tunnel.endpoint import Endpoint
from vpn_tunnel.keys import PrivateKey

EPOCH = 1_700_000_000
RENEW_EVERY = 5_000
"""Datagrams between handshakes, so that there is always a live session to aim at."""
CORPUS = 300
LIVE_PACKETS = 100
PACES = (0.0005, 0.00005)
"""Seconds from one datagram to the next: calm, and a flood that demands cookies."""
CPU_BOUND = 5.0
"""No kind of datagram may cost more at the median than this times an honest initiation."""
ANYBODY = Endpoint("198.51.100.9", 9)


class Pair:
    """The device under test and an honest peer, joined in memory, on a clock of our own."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.now = 1000.0
        keys = [PrivateKey.generate(rng.randbytes) for _ in range(2)]
        self.places = (Endpoint("192.0.2.1", 1), Endpoint("192.0.2.2", 2))
        self.devices = [Device(key, random_bytes=rng.randbytes, unix_time_ns=self._unix_ns) for key in keys]
        self.target, self.honest = self.devices
        everything = (ip_network("0.0.0.0/0"), ip_network("::/0"))
        mine = (ip_network("10.0.0.2/32"), ip_network("fd00::2/128"))
        self.target.set_peer(PeerConfig(keys[1].public_key(), allowed_ips=mine), self.now)
        self.target_key, self.honest_key = keys[0].public_key(), keys[1].public_key()
        self.honest.set_peer(PeerConfig(self.target_key, allowed_ips=everything, endpoints=self.places[:1]), self.now)
        self.seen: list[bytes] = []
        self.delivered = 0
        self.handshake()

    def _unix_ns(self) -> int:
        return int((EPOCH + self.now) * 1e9)

    def exchange(self) -> None:
        """Carry datagrams both ways until nothing moves; keep those sent to the target."""
        moved = True
        while moved:
            moved = False
            for sender, receiver in ((1, 0), (0, 1)):
                for batch in self.devices[sender].batches_to_send():
                    moved = True
                    if receiver == 0:
                        self.seen += batch.datagrams
                    self.devices[receiver].receive_datagrams(
                        [ReceivedDatagram(data, self.places[sender]) for data in batch.datagrams], self.now)
        self.delivered += len(self.target.packets_to_write())
        self.honest.packets_to_write()
        del self.seen[:-CORPUS]

    def handshake(self) -> None:
        """A new session, by the honest peer's own doing; every other of its first packets stays on the way."""
        self.now += 6.0
        self.honest.force_initiation(self.target_key, self.now)
        self.exchange()
        for number in range(LIVE_PACKETS):
            self.seen += self.sealed(inner_packet(), deliver=number % 2 == 0)
        del self.seen[:-CORPUS]

    def sealed(self, packet: bytes, *, deliver: bool = False) -> list[bytes]:
        """What the honest peer makes of an inner packet."""
        self.honest.send_packets([packet], self.now)
        made = [data for batch in self.honest.batches_to_send() for data in batch.datagrams]
        if deliver:
            self.target.receive_datagrams([ReceivedDatagram(data, self.places[1]) for data in made], self.now)
        return made

    def alive(self) -> bool:
        """A fresh handshake and one packet come through."""
        self.handshake()
        self.exchange()
        before = self.delivered
        self.honest.send_packets([inner_packet()], self.now)
        self.exchange()
        return self.delivered == before + 1


def inner_packet(size: int = 84) -> bytes:
    """An IPv4 packet from the honest peer."""
    header = struct.pack(">BBHIBBH4s4s", 0x45, 0, size, 0, 64, 17, 0, bytes([10, 0, 0, 2]), bytes([10, 0, 0, 1]))
    return header.ljust(size, b"x")


class Mutator:
    """Turns real datagrams into hostile ones."""

    def __init__(self, pair: Pair) -> None:
        self.pair, self.rng = pair, pair.rng
        self._jar = CookieJar(pair.target_key)
        self.kinds: Sequence[tuple[str, Callable[[], list[bytes]]]] = (
            ("bits", lambda: [self._bits(self._real())]), ("length", lambda: [self._length(self._real())]),
            ("splice", lambda: [self._splice()]), ("noise", lambda: [self.rng.randbytes(self.rng.randrange(200))]),
            ("mac1", lambda: [self._with_mac1(self._bits(self._handshake()))]), ("replay", lambda: [self._real()]),
            ("inner", lambda: self.pair.sealed(self._bits(inner_packet(self.rng.randrange(20, 200))))))

    def make(self) -> tuple[str, list[bytes]]:
        """A kind, and what to deliver."""
        name, make = self.rng.choice(self.kinds)
        return name, make()

    def _real(self) -> bytes:
        return self.rng.choice(self.pair.seen)

    def _handshake(self) -> bytes:
        found = [data for data in self.pair.seen[-CORPUS:] if data[0] in (1, 2)]
        return self.rng.choice(found) if found else self._real()

    def _bits(self, data: bytes) -> bytes:
        changed = bytearray(data)
        for _ in range(self.rng.choice((1, 1, 2, 8))):
            changed[self.rng.randrange(len(changed))] ^= 1 << self.rng.randrange(8)
        return bytes(changed)

    def _length(self, data: bytes) -> bytes:
        size = self.rng.randrange(len(data) + 64)
        return data[:size] + self.rng.randbytes(max(0, size - len(data)))

    def _splice(self) -> bytes:
        one, other = self._real(), self._real()
        at = self.rng.randrange(min(len(one), len(other)))
        return one[:at] + other[at:]

    def _with_mac1(self, data: bytes) -> bytes:
        return self._jar.add_macs(data[:-32] + bytes(32), self.pair.now) if len(data) >= 92 else data


class Report:
    """What was delivered and what it cost."""

    def __init__(self) -> None:
        self.count: Counter[str] = Counter()
        self.nanoseconds: dict[str, list[int]] = {}

    def note(self, kind: str, spent: int) -> None:
        """One datagram; costs are kept for a sample of each kind."""
        self.count[kind] += 1
        kept = self.nanoseconds.setdefault(kind, [])
        if len(kept) < 50_000:
            kept.append(spent)

    def lines(self) -> list[str]:
        """A Markdown table."""
        rows = ["| mutation | datagrams | µs CPU p50 | p99 | max |", "|---|---|---|---|---|"]
        for kind, costs in sorted(self.nanoseconds.items()):
            ranks = statistics.quantiles(costs, n=100)
            rows.append(f"| {kind} | {self.count[kind]} | {ranks[49] / 1e3:.1f} | {ranks[98] / 1e3:.1f} "
                        f"| {max(costs) / 1e3:.0f} |")
        return rows

    def worst_median(self) -> float:
        """Of all kinds, nanoseconds."""
        return max(statistics.median(costs) for costs in self.nanoseconds.values())


def honest_cost(pair: Pair) -> float:
    """Median nanoseconds that the target spends on a valid initiation."""
    costs = []
    for _ in range(50):
        pair.now += 6.0
        pair.honest.force_initiation(pair.target_key, pair.now)
        (batch,) = pair.honest.batches_to_send()
        costs.append(deliver(pair, batch.datagrams))
        pair.exchange()
    return statistics.median(costs)


def deliver(pair: Pair, datagrams: Sequence[bytes]) -> int:
    """Thread nanoseconds for the target to take these from anybody."""
    batch = [ReceivedDatagram(data, ANYBODY) for data in datagrams]
    began = time.thread_time_ns()
    pair.target.receive_datagrams(batch, pair.now)
    return time.thread_time_ns() - began


def fuzz(pair: Pair, count: int) -> Report:
    """Deliver `count` mutated datagrams; any exception is a defect and ends the run."""
    mutator, report = Mutator(pair), Report()
    while (done := sum(report.count.values())) < count:
        kind, datagrams = mutator.make()
        for datagram in datagrams:
            report.note(kind, deliver(pair, [datagram]))
        pair.now += PACES[done // RENEW_EVERY % len(PACES)]
        pair.target.batches_to_send()
        pair.target.packets_to_write()
        while pair.target.next_event():
            pass
        if done % RENEW_EVERY == 0 or not datagrams:
            pair.handshake()
    return report


def main(argv: Sequence[str] | None = None) -> int:
    """Fuzz, print, exit 1 when CPU is not bounded or the tunnel is dead; an exception shows its traceback and seed."""
    parser = argparse.ArgumentParser(prog="scripts/bench fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000, help="datagrams")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    options = parser.parse_args(argv)
    print(f"seed {options.seed}", flush=True)
    pair = Pair(random.Random(options.seed))
    honest = honest_cost(pair)
    report = fuzz(pair, options.count)
    print(*report.lines(), sep="\n")
    print("dropped:", ", ".join(f"{reason} {count}" for reason, count in pair.target.counters.most_common()))
    alive, bounded = pair.alive(), report.worst_median() <= CPU_BOUND * honest
    print(f"{'holds ' if bounded else 'BROKEN'} no mutation costs more than {CPU_BOUND:.0f} honest initiations "
          f"({honest / 1e3:.0f} µs)")
    print(f"{'holds ' if alive else 'BROKEN'} the tunnel works after {sum(report.count.values())} mutated datagrams")
    return 0 if alive and bounded else 1


if __name__ == "__main__":
    sys.exit(main())
