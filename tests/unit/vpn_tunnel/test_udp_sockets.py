"""The outer sockets over loopback: sources, ECN, segmentation and its fallback."""

from __future__ import annotations

import select
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpn_tunnel.data_path import OutgoingBatch, ReceivedDatagram
from vpn_tunnel.endpoint import Endpoint
from vpn_tunnel.udp_sockets import MAX_PAYLOAD, MAX_SEGMENTS, PortUnavailable, UdpSockets, _runs


@pytest.fixture
def ends() -> Iterator[tuple[UdpSockets, UdpSockets]]:
    one, other = UdpSockets.open(), UdpSockets.open()
    yield one, other
    one.close()
    other.close()


def take(sockets: UdpSockets, count: int) -> list[ReceivedDatagram]:
    found: list[ReceivedDatagram] = []
    while len(found) < count:
        ready = select.select(sockets.all, [], [], 5)[0]
        assert ready, f"only {len(found)} of {count} arrived"
        for sock in ready:
            found += sockets.receive(sock)
    return found


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_source_ecn_and_the_way_back(ends: tuple[UdpSockets, UdpSockets], host: str) -> None:
    one, other = ends
    one.send(OutgoingBatch(Endpoint(host, other.port), 2, [b"hello"]))
    (got,) = take(other, 1)
    assert (got.data, got.ecn, got.source.host, got.source.port, got.source.source) == (b"hello", 2, host, one.port, host)
    other.send(OutgoingBatch(got.source, 0, [b"back"]))
    assert take(one, 1)[0].data == b"back"


def test_a_batch_arrives_whole_and_in_order(ends: tuple[UdpSockets, UdpSockets]) -> None:
    one, other = ends
    datagrams = [bytes([n]) * 1000 for n in range(100)] + [b"tail"]
    one.send(OutgoingBatch(Endpoint("127.0.0.1", other.port), 0, datagrams))
    assert [got.data for got in take(other, 101)] == datagrams


def test_without_segmentation_the_same_arrives(ends: tuple[UdpSockets, UdpSockets]) -> None:
    one, other = ends
    one.gso = False
    datagrams = [bytes([n]) * 100 for n in range(20)]
    one.send(OutgoingBatch(Endpoint("127.0.0.1", other.port), 0, datagrams))
    assert [got.data for got in take(other, 20)] == datagrams


def test_a_source_that_is_gone_is_given_up(ends: tuple[UdpSockets, UdpSockets]) -> None:
    one, other = ends
    one.send(OutgoingBatch(Endpoint("127.0.0.1", other.port, "192.0.2.77"), 0, [b"hello"]))
    assert take(other, 1)[0].data == b"hello"


def test_a_port_in_use_is_said(ends: tuple[UdpSockets, UdpSockets]) -> None:
    with pytest.raises(PortUnavailable, match=str(ends[0].port)):
        UdpSockets.open(ends[0].port)


def test_what_the_kernel_refuses_is_counted(ends: tuple[UdpSockets, UdpSockets]) -> None:
    ends[0].send(OutgoingBatch(Endpoint("255.255.255.255", 9), 0, [b"x"]))
    assert ends[0].counters


@given(st.lists(st.integers(1, 2000), max_size=200))
def test_runs_keep_order_and_the_kernels_limits(sizes: list[int]) -> None:
    datagrams = [bytes(size) for size in sizes]
    runs = _runs(datagrams)
    assert [d for run in runs for d in run] == datagrams
    for run in runs:
        assert len(run) <= MAX_SEGMENTS
        assert sum(map(len, run)) <= MAX_PAYLOAD
        assert all(len(d) == len(run[0]) for d in run[:-1])
        assert len(run[-1]) <= len(run[0])
