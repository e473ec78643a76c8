"""What configuration changes do to a running device, and what it tells of itself."""

from __future__ import annotations

import os
from dataclasses import replace
from ipaddress import ip_network
from itertools import pairwise

import pytest

from vpn_tunnel import device as device_module
from vpn_tunnel.config import PeerConfig
from vpn_tunnel.data_path import OutgoingBatch
from vpn_tunnel.device import Device
from vpn_tunnel.errors import DropReason, LocalProtocolError
from vpn_tunnel.keys import PrivateKey
from vpn_tunnel.testing import Pair, ipv4_packet, kinds


@pytest.fixture
def pair() -> Pair:
    return Pair()


def test_removing_a_peer_stops_both_directions(pair: Pair) -> None:
    pair.connect()
    pair.b.device.remove_peer(pair.a.public, pair.clock.now)
    pair.send(pair.a)
    assert pair.b.received == []
    assert pair.b.device.peers() == []
    assert pair.b.device.counters[DropReason.UNKNOWN_INDEX] == 1


def test_changing_allowed_ips_keeps_the_session(pair: Pair) -> None:
    pair.connect()
    config = replace(pair.b.peer_config(endpoints=(pair.b.endpoint,)), allowed_ips=(ip_network("10.0.0.0/24"),))
    pair.a.device.set_peer(config, pair.clock.now)
    pair.send(pair.a)
    assert 1 not in kinds(pair.a.sent)
    assert len(pair.b.received) == 1
    assert pair.a.device.peers()[0].allowed_ips == (ip_network("10.0.0.0/24"),)


def test_traffic_waits_for_an_endpoint_that_comes_later(pair: Pair) -> None:
    pair.b.device.send_packets([ipv4_packet(pair.b.inner, pair.a.inner)], pair.clock.now)
    assert pair.b.device.batches_to_send() == []
    pair.b.device.update_peer(pair.a.public, pair.clock.now, endpoint=pair.a.endpoint)
    pair.settle()
    assert len(pair.a.received) == 1


def test_handshake_messages_are_marked_and_data_is_not(pair: Pair) -> None:
    pair.a.device.send_packets([ipv4_packet(pair.a.inner, pair.b.inner)], pair.clock.now)
    batches: list[OutgoingBatch] = pair.a.device.batches_to_send()
    assert batches[0].tos == 0x88


def test_indices_are_random_and_given_back() -> None:
    pair = Pair()
    used = []
    for _ in range(20):
        pair.connect()
        pair.clock.now += 2
        pair.a.device.force_initiation(pair.b.public, pair.clock.now)
        used.append(int.from_bytes(pair.a.device.batches_to_send()[0].datagrams[0][4:8], "little"))
    assert len({b - a for a, b in pairwise(used)}) > 10
    assert len(pair.a.device._indices) < 15


def test_status_counts_as_wg_does(pair: Pair) -> None:
    for _ in range(10):
        pair.send(pair.a, b"x" * 64)
        pair.send(pair.b, b"x" * 64)
    status = pair.a.device.peers()[0]
    assert (status.rx_bytes, status.tx_bytes) == (10 * 128 + 92, 10 * 128 + 148)
    assert status.latest_handshake_ns > 0


def test_a_device_holds_a_bounded_number_of_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_module, "MAX_PEERS", 1)
    device = Device(None, random_bytes=os.urandom, unix_time_ns=lambda: 0)
    device.set_peer(PeerConfig(PrivateKey.generate(os.urandom).public_key()), 0)
    with pytest.raises(LocalProtocolError):
        device.set_peer(PeerConfig(PrivateKey.generate(os.urandom).public_key()), 0)
