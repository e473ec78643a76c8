"""The seam between deciding and moving: established sessions only, batch in, batch out, no I/O, `now` as argument.

Owns keypairs, the replay window, allowed-ips, staging, endpoints as they roam, and the timers that depend on packets
(paper §6.2 to §6.5). Leaves handshakes, cookies, which peers exist and every retry to `device`, which it tells what happened
as `Fact`s. `PythonDataPath` is the reference; a native core implements the same protocol. No call goes out per packet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple, Protocol, TypeAlias

from vpn_tunnel.config import Network
from vpn_tunnel.endpoint import Endpoint
from vpn_tunnel.errors import DropCounters
from vpn_tunnel.noise import SessionKeys

Packet: TypeAlias = bytes | memoryview


class ReceivedDatagram(NamedTuple):
    """One UDP payload, where it came from (with the local address it came to), and the outer ECN bits."""

    data: bytes
    source: Endpoint
    ecn: int = 0


class OutgoingBatch(NamedTuple):
    """UDP payloads for one destination, in order, all with the same outer traffic class."""

    endpoint: Endpoint
    tos: int
    datagrams: list[bytes]


class FactKind(Enum):
    """What a data path tells the device."""

    WANTS_HANDSHAKE = auto()
    """Packets are staged without a session, or the session wants to be renewed, or the peer is silent."""
    WANTS_HANDSHAKE_FOR_TRAFFIC = auto()
    """The same, caused by a packet of the user's just now: the attempt counter starts again."""
    CONFIRMED = auto()
    """The responder's new keypair has carried its first authenticated packet."""
    ROAMED = auto()
    """The peer's endpoint changed."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that happened to one peer."""

    kind: FactKind
    peer: int


class PeerTraffic(NamedTuple):
    """Counters of one peer."""

    rx_bytes: int
    tx_bytes: int
    last_received: float | None
    """Time of the last authenticated message, same clock as `now`."""


class DataPath(Protocol):
    """Moves packets of established sessions. Peers are small integers that the device chose."""

    counters: DropCounters

    def add_peer(self, peer: int) -> None:
        """A peer without sessions, endpoint or allowed-ips."""

    def remove_peer(self, peer: int) -> None:
        """Forget everything of a peer, keys first."""

    def allow(self, network: Network, peer: int) -> None:
        """Give a prefix to a peer, taking it from any other."""

    def disallow(self, network: Network, peer: int) -> None:
        """Take a prefix from a peer."""

    def allowed_ips(self, peer: int) -> tuple[Network, ...]:
        """The prefixes of a peer."""

    def set_mtu(self, mtu: int) -> None:
        """Inner MTU in bytes: padding never exceeds it."""

    def set_endpoint(self, peer: int, endpoint: Endpoint | None) -> None:
        """Where to send from now on."""

    def endpoint(self, peer: int) -> Endpoint | None:
        """Where a peer is."""

    def set_persistent_keepalive(self, peer: int, seconds: int, now: float) -> None:
        """0 is off."""

    def install(self, peer: int, keys: SessionKeys, now: float) -> list[int]:
        """A finished handshake's keys; staged packets follow when they may be used. Returns local indices let go."""

    def expire(self, peer: int) -> list[int]:
        """Forget a peer's sessions; returns the local indices let go."""

    def drop_staged(self, peer: int) -> int:
        """Forget what waits for a session; returns how many packets."""

    def has_session(self, peer: int, now: float) -> bool:
        """Whether packets to this peer would go out at once."""

    def handshake_sent(self, peer: int, size: int, now: float) -> None:
        """The device sent this peer an authenticated handshake message of `size` bytes."""

    def handshake_received(self, peer: int, size: int, now: float) -> None:
        """The device authenticated a handshake message of `size` bytes from this peer."""

    def silent_since(self, peer: int) -> float | None:
        """When the oldest packet went out that nothing has come back after; None when the peer has answered."""

    def receive_transport(self, batch: Sequence[ReceivedDatagram], now: float) -> None:
        """Transport messages from the network; their type has been checked."""

    def send_packets(self, batch: Sequence[Packet], now: float) -> None:
        """IP packets from the host."""

    def handle_deadline(self, now: float) -> None:
        """Act on every timer that is due."""

    def next_deadline(self) -> float | None:
        """When to call `handle_deadline`, seconds; None for never."""

    def take_batches(self) -> list[OutgoingBatch]:
        """Datagrams to send, drained."""

    def take_packets(self) -> list[bytes]:
        """IP packets to write to the TUN, drained."""

    def take_facts(self) -> list[Fact]:
        """What happened, drained, in order."""

    def traffic(self, peer: int) -> PeerTraffic:
        """A peer's counters."""


JitterSource: TypeAlias = Callable[[], float]
"""Seconds between 0 and REKEY_TIMEOUT_JITTER."""
