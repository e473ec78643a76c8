"""Two devices, a clock turned by hand and a network that misbehaves as told: for tests of whoever builds on the tunnel.

Owns no protocol. Randomness comes from a seed, so a failure can be run again.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from ipaddress import IPv4Address, ip_network

from vpn_tunnel.config import PeerConfig
from vpn_tunnel.data_path import ReceivedDatagram
from vpn_tunnel.device import Device
from vpn_tunnel.endpoint import Endpoint
from vpn_tunnel.events import Event
from vpn_tunnel.keys import PrivateKey

UNIX_EPOCH_NS = 1_700_000_000_000_000_000


class ManualClock:
    """Seconds that pass only when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def unix_ns(self) -> int:
        """Wall-clock nanoseconds that go with `now`."""
        return UNIX_EPOCH_NS + int(self.now * 1e9)


def ipv4_packet(source: str, destination: str, payload: bytes = b"", *, ecn: int = 0) -> bytes:
    """An IPv4 packet of protocol 253 (experiments) without options; its header checksum is left zero."""
    header = bytes([0x45, ecn]) + (20 + len(payload)).to_bytes(2, "big") + bytes(4) + bytes([64, 253, 0, 0])
    return header + IPv4Address(source).packed + IPv4Address(destination).packed + payload


class Node:
    """A device with one outer address, one inner address, and what came out of it."""

    def __init__(self, clock: ManualClock, rng: random.Random, number: int) -> None:
        self.key = PrivateKey.generate(rng.randbytes)
        self.public = self.key.public_key()
        self.device = Device(self.key, random_bytes=rng.randbytes, unix_time_ns=clock.unix_ns)
        self.endpoint = Endpoint(f"192.0.2.{number}", 51820)
        self.inner = f"10.0.0.{number}"
        self.received: list[bytes] = []
        self.events: list[Event] = []
        self.sent: list[bytes] = []

    def peer_config(self, *, endpoints: tuple[Endpoint, ...] = (), keepalive: int = 0) -> PeerConfig:
        """How others configure this node."""
        return PeerConfig(self.public, allowed_ips=(ip_network(self.inner),), endpoints=endpoints,
                          persistent_keepalive=keepalive)

    def collect(self) -> None:
        """Take what the device has for the host and its owner."""
        self.received += self.device.packets_to_write()
        while (event := self.device.next_event()) is not None:
            self.events.append(event)


class Pair:
    """Node `a` knows where `b` is; `b` learns where `a` is. `deliver(sender, datagram)` False loses a datagram."""

    def __init__(self, seed: int = 1) -> None:
        self.rng = random.Random(seed)
        self.clock = ManualClock()
        self.a, self.b = Node(self.clock, self.rng, 1), Node(self.clock, self.rng, 2)
        self.deliver: Callable[[Node, bytes], bool] = lambda sender, datagram: True
        self.a.device.set_peer(self.b.peer_config(endpoints=(self.b.endpoint,)), self.clock.now)
        self.b.device.set_peer(self.a.peer_config(), self.clock.now)

    def settle(self) -> None:
        """Carry datagrams to and fro at this instant until both are silent."""
        for _ in range(100):
            carried = self._carry(self.a, self.b) + self._carry(self.b, self.a)
            if not carried:
                return
        raise AssertionError("the two never fall silent")

    def _carry(self, sender: Node, receiver: Node) -> int:
        datagrams = [d for batch in sender.device.batches_to_send() for d in batch.datagrams]
        sender.sent += datagrams
        for datagram in datagrams:
            if self.deliver(sender, datagram):
                receiver.device.receive_datagrams([ReceivedDatagram(datagram, sender.endpoint)], self.clock.now)
        sender.collect()
        receiver.collect()
        return len(datagrams)

    def send(self, sender: Node, payload: bytes = b"x" * 32) -> bytes:
        """One packet from a node to the other; returns it."""
        other = self.b if sender is self.a else self.a
        packet = ipv4_packet(sender.inner, other.inner, payload)
        sender.device.send_packets([packet], self.clock.now)
        self.settle()
        return packet

    def connect(self) -> None:
        """A session, confirmed, and nothing noted of how it came about."""
        self.send(self.a)
        for node in (self.a, self.b):
            node.received.clear()
            node.events.clear()
            node.sent.clear()

    def advance(self, seconds: float) -> None:
        """Let time pass, stopping at every deadline on the way."""
        end = self.clock.now + seconds
        while True:
            deadlines = [d for node in (self.a, self.b) if (d := node.device.next_deadline()) is not None]
            due = min((d for d in deadlines if d <= end), default=None)
            self.clock.now = max(self.clock.now, end if due is None else due)
            for node in (self.a, self.b):
                node.device.handle_deadline(self.clock.now)
            self.settle()
            if due is None:
                return


def kinds(datagrams: list[bytes]) -> list[int]:
    """Message types, for reading a trace."""
    return [datagram[0] for datagram in datagrams]
