"""Established sessions: order of checks, cryptokey routing, padding, ECN, counters' limits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpn_tunnel.constants import REJECT_AFTER_MESSAGES
from vpn_tunnel.data_path import ReceivedDatagram
from vpn_tunnel.errors import DropReason
from vpn_tunnel.python_data_path import MAX_ROUTE_CACHE, PythonDataPath
from vpn_tunnel.testing import Pair, ipv4_packet


@pytest.fixture
def pair() -> Pair:
    made = Pair()
    made.connect()
    return made


def sealed(pair: Pair, packet: bytes) -> bytes:
    """A packet of a's as the datagram it becomes."""
    pair.a.device.send_packets([packet], pair.clock.now)
    return pair.a.device.batches_to_send()[0].datagrams[0]


def receive(pair: Pair, datagram: bytes, ecn: int = 0) -> None:
    pair.b.device.receive_datagrams([ReceivedDatagram(datagram, pair.a.endpoint, ecn)], pair.clock.now)
    pair.b.collect()


def test_replayed_data_is_counted_and_dropped(pair: Pair) -> None:
    datagram = sealed(pair, ipv4_packet(pair.a.inner, pair.b.inner))
    receive(pair, datagram)
    receive(pair, datagram)
    assert len(pair.b.received) == 1
    assert pair.b.device.counters[DropReason.REPLAYED] == 1


def test_the_window_moves_only_with_authentic_packets(pair: Pair) -> None:
    datagram = sealed(pair, ipv4_packet(pair.a.inner, pair.b.inner))
    receive(pair, datagram[:8] + (1 << 40).to_bytes(8, "little") + datagram[16:])
    assert pair.b.device.counters[DropReason.BAD_TAG] == 1
    receive(pair, datagram)
    assert len(pair.b.received) == 1


def test_an_inner_source_of_somebody_else_is_spoofed(pair: Pair) -> None:
    receive(pair, sealed(pair, ipv4_packet("10.0.0.99", pair.b.inner)))
    assert pair.b.received == []
    assert pair.b.device.counters[DropReason.BAD_SOURCE] == 1


def test_inner_bytes_that_are_no_packet(pair: Pair) -> None:
    packet = bytearray(ipv4_packet(pair.a.inner, pair.b.inner))
    packet[2:4] = b"\xff\xff"
    receive(pair, sealed(pair, bytes(packet)))
    assert pair.b.device.counters[DropReason.BAD_PACKET] == 1


def test_a_destination_of_nobody_is_answered_with_unreachable(pair: Pair) -> None:
    pair.a.device.send_packets([ipv4_packet(pair.a.inner, "10.9.9.9")], pair.clock.now)
    pair.a.collect()
    assert pair.a.received[0][20:22] == b"\3\1"
    assert pair.a.device.counters[DropReason.NO_PEER_FOR_DESTINATION] == 1


def test_the_last_counters_are_never_used(pair: Pair) -> None:
    path = pair.a.device.data_path
    assert isinstance(path, PythonDataPath)
    current = path._peers[1].keypairs.current
    assert current is not None
    current.send_counter = REJECT_AFTER_MESSAGES
    pair.a.device.send_packets([ipv4_packet(pair.a.inner, pair.b.inner)], pair.clock.now)
    assert all(batch.datagrams[0][0] != 4 for batch in pair.a.device.batches_to_send())
    header = b"\4\0\0\0" + current.remote_index.to_bytes(4, "little") + REJECT_AFTER_MESSAGES.to_bytes(8, "little")
    receive(pair, header + bytes(16))
    assert pair.b.device.counters[DropReason.SESSION_EXPIRED] == 1


@given(size=st.integers(20, 3000), mtu=st.integers(68, 1500))
def test_padding_is_to_16_and_never_beyond_the_mtu(size: int, mtu: int) -> None:
    path = PythonDataPath(lambda: 0.0, mtu)
    padding = path._padding(size)
    last = size % mtu if size > mtu else size
    assert 0 <= padding < 16
    assert (last + padding) % 16 == 0 or last + padding == mtu


def test_padding_is_cut_off_again(pair: Pair) -> None:
    packet = ipv4_packet(pair.a.inner, pair.b.inner, b"y" * 13)
    datagram = sealed(pair, packet)
    assert len(datagram) == 32 + 48
    receive(pair, datagram)
    assert pair.b.received == [packet]


def test_ecn_goes_out_and_congestion_comes_in(pair: Pair) -> None:
    packet = ipv4_packet(pair.a.inner, pair.b.inner, ecn=2)
    pair.a.device.send_packets([packet], pair.clock.now)
    batch = pair.a.device.batches_to_send()[0]
    assert batch.tos == 2
    receive(pair, batch.datagrams[0], ecn=3)
    assert pair.b.received[0][1] & 3 == 3
    receive(pair, sealed(pair, ipv4_packet(pair.a.inner, pair.b.inner)), ecn=3)
    assert pair.b.device.counters[DropReason.BAD_ECN] == 1


def test_an_oversized_packet_is_dropped(pair: Pair) -> None:
    pair.a.device.send_packets([b"\x45" + bytes(15) + bytes([10, 0, 0, 2]) + bytes(65_520)], pair.clock.now)
    assert pair.a.device.counters[DropReason.TOO_BIG] == 1


def test_packets_of_a_batch_share_a_send(pair: Pair) -> None:
    packets = [ipv4_packet(pair.a.inner, pair.b.inner, bytes([n])) for n in range(10)]
    pair.a.device.send_packets([memoryview(packet) for packet in packets], pair.clock.now)
    batches = pair.a.device.batches_to_send()
    assert len(batches) == 1
    assert len(batches[0].datagrams) == 10


def test_the_route_cache_is_bounded(pair: Pair) -> None:
    path = pair.a.device.data_path
    assert isinstance(path, PythonDataPath)
    for number in range(MAX_ROUTE_CACHE + 10):
        path._route(number.to_bytes(4, "big"))
    assert len(path._routes) <= MAX_ROUTE_CACHE


def test_moving_a_prefix_moves_the_traffic(pair: Pair) -> None:
    receive(pair, sealed(pair, ipv4_packet(pair.a.inner, pair.b.inner)))
    path = pair.b.device.data_path
    path.add_peer(77)
    path.allow(path.allowed_ips(1)[0], 77)
    receive(pair, sealed(pair, ipv4_packet(pair.a.inner, pair.b.inner)))
    assert pair.b.device.counters[DropReason.BAD_SOURCE] == 1
