"""The device by its claims, one test each, on a clock turned by hand: handshake, roaming, timers, cookies, key changes."""

from __future__ import annotations

import os
from dataclasses import replace
from ipaddress import ip_network

import pytest

from vpn_tunnel.config import PeerConfig
from vpn_tunnel.constants import MAX_CANDIDATE_ENDPOINTS
from vpn_tunnel.data_path import ReceivedDatagram
from vpn_tunnel.endpoint import Endpoint
from vpn_tunnel.errors import DropReason
from vpn_tunnel.events import HandshakeCompleted, HandshakeFailed, PeerRoamed, SessionExpired
from vpn_tunnel.keys import PresharedKey, PrivateKey, PublicKey
from vpn_tunnel.testing import Node, Pair, ipv4_packet, kinds


@pytest.fixture
def pair() -> Pair:
    return Pair()


def reason_of(node: Node) -> set[DropReason]:
    return {reason for reason, count in node.device.counters.items() if count}


# --- handshake ---


def test_one_handshake_carries_the_packet_that_caused_it(pair: Pair) -> None:
    packet = pair.send(pair.a)
    assert pair.b.received == [packet]
    assert kinds(pair.a.sent) == [1, 4]
    assert kinds(pair.b.sent) == [2]
    assert pair.a.events == [HandshakeCompleted(pair.b.public)]
    assert HandshakeCompleted(pair.a.public) in pair.b.events


def test_packets_wait_for_the_session_and_the_oldest_go_first_when_too_many(pair: Pair) -> None:
    packets = [ipv4_packet(pair.a.inner, pair.b.inner, bytes([n])) for n in range(140)]
    pair.a.device.send_packets(packets, pair.clock.now)
    pair.settle()
    assert pair.b.received == packets[12:]
    assert pair.a.device.counters[DropReason.STAGING_OVERFLOW] == 12


def test_an_initiator_without_data_confirms_with_a_keepalive(pair: Pair) -> None:
    assert pair.a.device.force_initiation(pair.b.public, pair.clock.now)
    pair.settle()
    assert [len(d) for d in pair.a.sent] == [148, 32]
    pair.send(pair.b)
    assert len(pair.a.received) == 1


def test_a_responder_does_not_send_before_it_is_confirmed(pair: Pair) -> None:
    pair.deliver = lambda sender, datagram: (sender is pair.a and datagram[0] == 1) or datagram[0] == 2
    pair.send(pair.a)
    assert kinds(pair.b.sent) == [2]
    pair.b.sent.clear()
    pair.send(pair.b)
    assert 4 not in kinds(pair.b.sent)


def test_both_may_initiate_at_once(pair: Pair) -> None:
    pair.b.device.update_peer(pair.a.public, pair.clock.now, endpoint=pair.a.endpoint)
    for node, other in ((pair.a, pair.b), (pair.b, pair.a)):
        node.device.send_packets([ipv4_packet(node.inner, other.inner)], pair.clock.now)
    pair.settle()
    assert len(pair.a.received) == len(pair.b.received) == 1


def test_replayed_initiation_is_old(pair: Pair) -> None:
    pair.send(pair.a)
    first = pair.a.sent[0]
    pair.clock.now += 1
    pair.b.device.receive_datagrams([ReceivedDatagram(first, pair.a.endpoint)], pair.clock.now)
    assert pair.b.device.counters[DropReason.OLD_TIMESTAMP] == 1
    assert pair.b.device.batches_to_send() == []


def test_initiations_within_20_ms_of_each_other_are_a_flood(pair: Pair) -> None:
    pair.connect()
    pair.clock.now += 2
    seen = []
    for step in (0.0, 0.25, 0.25):
        pair.clock.now += step
        assert pair.a.device.force_initiation(pair.b.public, pair.clock.now)
        seen.append(pair.a.device.batches_to_send()[0].datagrams[0])
    for datagram in seen:
        pair.b.device.receive_datagrams([ReceivedDatagram(datagram, pair.a.endpoint)], pair.clock.now)
    assert pair.b.device.counters[DropReason.INITIATION_FLOOD] == 2


def test_a_slow_path_completes_although_initiations_are_forced_faster(pair: Pair) -> None:
    pair.connect()
    pair.clock.now += 2
    assert pair.a.device.force_initiation(pair.b.public, pair.clock.now)
    slow = pair.a.device.batches_to_send()[0].datagrams[0]
    pair.clock.now += 0.3
    assert pair.a.device.force_initiation(pair.b.public, pair.clock.now)
    pair.a.device.batches_to_send()
    pair.b.device.receive_datagrams([ReceivedDatagram(slow, pair.a.endpoint)], pair.clock.now)
    pair.settle()
    assert HandshakeCompleted(pair.b.public) in pair.a.events


def test_preshared_key_on_one_side_never_connects(pair: Pair) -> None:
    pair.a.device.update_peer(pair.b.public, pair.clock.now, preshared_key=PresharedKey(os.urandom(32)))
    pair.send(pair.a)
    assert pair.b.received == []
    assert reason_of(pair.a) == {DropReason.BAD_HANDSHAKE}


def test_preshared_key_changes_with_the_next_handshake(pair: Pair) -> None:
    pair.connect()
    key = PresharedKey(os.urandom(32))
    pair.a.device.update_peer(pair.b.public, pair.clock.now, preshared_key=key)
    pair.b.device.update_peer(pair.a.public, pair.clock.now, preshared_key=key)
    pair.send(pair.a)
    assert len(pair.b.received) == 1
    pair.clock.now += 2
    pair.a.device.force_initiation(pair.b.public, pair.clock.now)
    pair.settle()
    assert HandshakeCompleted(pair.b.public) in pair.a.events


def test_a_private_key_change_ends_sessions_and_silences_the_old_key(pair: Pair) -> None:
    pair.connect()
    pair.a.device.set_private_key(PrivateKey.generate(os.urandom), pair.clock.now)
    pair.send(pair.a)
    assert pair.b.received == []
    assert pair.b.device.counters[DropReason.UNKNOWN_PEER] == 1


def test_without_a_private_key_nothing_is_sent_or_answered() -> None:
    pair = Pair()
    initiation = None
    pair.b.device.set_private_key(None, pair.clock.now)
    pair.a.device.send_packets([ipv4_packet(pair.a.inner, pair.b.inner)], pair.clock.now)
    initiation = pair.a.device.batches_to_send()[0].datagrams[0]
    pair.b.device.receive_datagrams([ReceivedDatagram(initiation, pair.a.endpoint)], pair.clock.now)
    assert pair.b.device.batches_to_send() == []
    assert reason_of(pair.b) == {DropReason.NO_PRIVATE_KEY}


def test_ones_own_key_is_no_peer(pair: Pair) -> None:
    pair.a.device.set_peer(PeerConfig(pair.a.public), pair.clock.now)
    assert not pair.a.device.has_peer(pair.a.public)


@pytest.mark.parametrize("public", [bytes(32), b"\1" + bytes(31)])
def test_a_peer_of_low_order_never_makes_us_send(pair: Pair, public: bytes) -> None:
    key = PublicKey(public)
    pair.a.device.set_peer(PeerConfig(key, allowed_ips=(ip_network("10.0.0.9"),), endpoints=(pair.b.endpoint,)),
                           pair.clock.now)
    pair.a.device.send_packets([ipv4_packet(pair.a.inner, "10.0.0.9")], pair.clock.now)
    assert pair.a.device.batches_to_send() == []


# --- roaming and candidates ---


def test_endpoint_follows_authenticated_data_only(pair: Pair) -> None:
    pair.connect()
    elsewhere = Endpoint("198.51.100.7", 9)
    pair.a.device.send_packets([ipv4_packet(pair.a.inner, pair.b.inner)], pair.clock.now)
    datagram = pair.a.device.batches_to_send()[0].datagrams[0]
    forged = datagram[:-1] + bytes([datagram[-1] ^ 1])
    pair.b.device.receive_datagrams([ReceivedDatagram(forged, elsewhere)], pair.clock.now)
    assert pair.b.device.peers()[0].endpoint == pair.a.endpoint
    pair.b.device.receive_datagrams([ReceivedDatagram(datagram, elsewhere)], pair.clock.now)
    assert pair.b.device.peers()[0].endpoint == elsewhere
    pair.b.collect()
    assert pair.b.events == [PeerRoamed(pair.a.public, elsewhere)]


def test_the_same_initiation_goes_to_every_candidate_and_the_response_chooses(pair: Pair) -> None:
    dead, alive = Endpoint("203.0.113.1", 1), pair.b.endpoint
    pair.a.device.set_peer(pair.b.peer_config(endpoints=(dead, alive)), pair.clock.now)
    fresh = Pair(seed=2)
    fresh.a.device.set_peer(replace(fresh.b.peer_config(), endpoints=(dead, fresh.b.endpoint)), fresh.clock.now)
    other = Node(fresh.clock, fresh.rng, 9)
    other.device.set_peer(fresh.b.peer_config(endpoints=(dead, fresh.b.endpoint)), fresh.clock.now)
    other.device.send_packets([ipv4_packet(other.inner, fresh.b.inner)], fresh.clock.now)
    batches = other.device.batches_to_send()
    assert [batch.endpoint for batch in batches] == [dead, fresh.b.endpoint]
    assert batches[0].datagrams == batches[1].datagrams
    assert other.device.peers()[0].endpoint == dead
    fresh.b.device.set_peer(other.peer_config(), fresh.clock.now)
    fresh.b.device.receive_datagrams([ReceivedDatagram(batches[1].datagrams[0], other.endpoint)], fresh.clock.now)
    response = fresh.b.device.batches_to_send()[0].datagrams[0]
    other.device.receive_datagrams([ReceivedDatagram(response, fresh.b.endpoint)], fresh.clock.now)
    assert other.device.peers()[0].endpoint == fresh.b.endpoint


def test_a_path_that_works_one_way_only_does_not_win(pair: Pair) -> None:
    """The responder hears first by a path whose answers are lost; the second path brings the handshake through."""
    one_way, good = Endpoint("203.0.113.1", 1), pair.a.endpoint
    pair.a.device.send_packets([ipv4_packet(pair.a.inner, pair.b.inner)], pair.clock.now)
    initiation = pair.a.device.batches_to_send()[0].datagrams[0]
    pair.b.device.receive_datagrams([ReceivedDatagram(initiation, one_way), ReceivedDatagram(initiation, good)],
                                    pair.clock.now)
    answers = pair.b.device.batches_to_send()
    assert [batch.endpoint for batch in answers] == [one_way, good]
    assert answers[0].datagrams == answers[1].datagrams
    pair.a.device.receive_datagrams([ReceivedDatagram(answers[1].datagrams[0], pair.b.endpoint)], pair.clock.now)
    pair.settle()
    assert pair.b.device.peers()[0].endpoint == good
    assert len(pair.b.received) == 1


def test_an_unproved_path_does_not_replace_the_one_in_use(pair: Pair) -> None:
    pair.connect()
    pair.clock.now += 2
    pair.a.device.force_initiation(pair.b.public, pair.clock.now)
    initiation = pair.a.device.batches_to_send()[0].datagrams[0]
    elsewhere = Endpoint("203.0.113.1", 1)
    pair.b.device.receive_datagrams([ReceivedDatagram(initiation, elsewhere)], pair.clock.now)
    assert pair.b.device.batches_to_send()[0].endpoint == elsewhere
    assert pair.b.device.peers()[0].endpoint == pair.a.endpoint


def test_answering_again_ends_with_the_number_of_candidates(pair: Pair) -> None:
    pair.a.device.send_packets([ipv4_packet(pair.a.inner, pair.b.inner)], pair.clock.now)
    initiation = pair.a.device.batches_to_send()[0].datagrams[0]
    sources = [Endpoint("203.0.113.1", port) for port in range(1, 40)]
    pair.b.device.receive_datagrams([ReceivedDatagram(initiation, source) for source in sources], pair.clock.now)
    assert len(pair.b.device.batches_to_send()) == 1 + MAX_CANDIDATE_ENDPOINTS


def test_forced_initiations_wait_a_second_of_silence_and_250_ms_between(pair: Pair) -> None:
    pair.connect()
    force, now = pair.a.device.force_initiation, pair.clock.now
    assert [force(pair.b.public, now + t) for t in (0.5, 1.0, 1.2, 1.3)] == [False, True, False, True]


# --- timers ---


def test_new_handshake_after_two_minutes_of_traffic(pair: Pair) -> None:
    pair.connect()
    for _ in range(12):
        pair.advance(9.9)
        pair.send(pair.a)
    assert 1 not in kinds(pair.a.sent)
    pair.advance(2)
    pair.send(pair.a)
    assert kinds(pair.a.sent).count(1) == 1
    assert 1 not in kinds(pair.b.sent), "only the initiator rekeys by time"


def test_receiving_late_makes_the_initiator_rekey_once(pair: Pair) -> None:
    pair.connect()
    for _ in range(17):
        pair.clock.now += 9.9  # no deadline is handled, so that nothing else initiates
        pair.b.device.send_packets([ipv4_packet(pair.b.inner, pair.a.inner)], pair.clock.now)
        pair.settle()
    assert kinds(pair.a.sent).count(1) == 1


def test_handshake_is_retried_every_five_seconds_for_ninety(pair: Pair) -> None:
    pair.deliver = lambda sender, datagram: False
    start = pair.clock.now
    pair.send(pair.a)
    pair.advance(89)
    assert 17 <= len(pair.a.sent) <= 18
    pair.advance(8)
    assert HandshakeFailed(pair.b.public) in pair.a.events
    count = len(pair.a.sent)
    pair.advance(300)
    assert len(pair.a.sent) == count
    assert pair.a.device.counters[DropReason.HANDSHAKE_GAVE_UP] == 1
    assert pair.clock.now - start > 390


def test_traffic_starts_a_new_attempt_after_giving_up(pair: Pair) -> None:
    pair.deliver = lambda sender, datagram: False
    pair.send(pair.a)
    pair.advance(120)
    pair.deliver = lambda sender, datagram: True
    packet = pair.send(pair.a)
    assert pair.b.received == [packet]


def test_one_keepalive_ten_seconds_after_data_without_an_answer(pair: Pair) -> None:
    pair.connect()
    pair.advance(30)
    pair.send(pair.a)
    pair.b.sent.clear()
    pair.advance(9.9)
    assert pair.b.sent == []
    pair.advance(0.2)
    assert [len(d) for d in pair.b.sent] == [32]
    pair.a.sent.clear()
    pair.advance(60)
    assert len(pair.b.sent) == 1, "a keepalive is not answered with a keepalive"
    assert pair.a.sent == []


def test_silence_after_data_for_fifteen_seconds_initiates(pair: Pair) -> None:
    pair.connect()
    pair.deliver = lambda sender, datagram: sender is pair.a and datagram[0] == 4
    pair.send(pair.a)
    pair.a.sent.clear()
    pair.advance(14.9)
    assert pair.a.sent == []
    pair.advance(0.5)
    assert kinds(pair.a.sent) == [1]


def test_persistent_keepalive_connects_and_keeps_the_interval(pair: Pair) -> None:
    pair.a.device.update_peer(pair.b.public, pair.clock.now, persistent_keepalive=25)
    pair.settle()
    assert kinds(pair.a.sent) == [1, 4]
    pair.a.sent.clear()
    pair.advance(24.9)
    assert pair.a.sent == []
    pair.advance(25.2)
    assert [len(d) for d in pair.a.sent] == [32, 32]


def test_a_session_of_180_seconds_carries_nothing_more(pair: Pair) -> None:
    pair.connect()
    pair.a.device.send_packets([ipv4_packet(pair.a.inner, pair.b.inner)], pair.clock.now)
    late = pair.a.device.batches_to_send()[0].datagrams[0]
    pair.clock.now += 180
    pair.b.device.receive_datagrams([ReceivedDatagram(late, pair.a.endpoint)], pair.clock.now)
    assert pair.b.device.counters[DropReason.SESSION_EXPIRED] == 1
    pair.a.sent.clear()
    pair.send(pair.a)
    assert kinds(pair.a.sent)[0] == 1, "staged behind a handshake, not sealed with the old key"


def test_keys_are_forgotten_after_540_seconds(pair: Pair) -> None:
    pair.connect()
    pair.advance(539)
    assert SessionExpired(pair.b.public) not in pair.a.events
    pair.advance(2)
    assert SessionExpired(pair.b.public) in pair.a.events
    assert not pair.a.device.data_path.has_session(1, pair.clock.now)


def test_a_day_of_protocol_time(pair: Pair) -> None:
    pair.connect()
    for _ in range(24 * 60):
        pair.advance(60)
        packet = pair.send(pair.a if pair.rng.random() < 0.5 else pair.b)
        assert packet in pair.a.received + pair.b.received
        pair.a.received.clear()
        pair.b.received.clear()
    handshakes = (kinds(pair.a.sent) + kinds(pair.b.sent)).count(1)
    assert 24 * 20 <= handshakes <= 24 * 60, "a session lives two to three minutes"
    assert not reason_of(pair.a) | reason_of(pair.b)


# --- cookies ---


def loaded(pair: Pair) -> None:
    """Put b under load with junk that has a valid mac1."""
    stranger = Node(pair.clock, pair.rng, 7)
    stranger.device.set_peer(pair.b.peer_config(endpoints=(pair.b.endpoint,)), pair.clock.now)
    stranger.device.send_packets([ipv4_packet("10.0.0.7", pair.b.inner)], pair.clock.now)
    datagram = stranger.device.batches_to_send()[0].datagrams[0]
    pair.b.device.receive_datagrams([ReceivedDatagram(datagram, stranger.endpoint)] * 60, pair.clock.now)
    pair.b.device.batches_to_send()


def test_under_load_a_stranger_gets_a_cookie_and_the_retry_with_it_is_served(pair: Pair) -> None:
    loaded(pair)
    pair.send(pair.a)
    assert kinds(pair.b.sent) == [3]
    assert pair.b.received == []
    assert pair.b.device.peers()[0].endpoint is None, "a cookie reply proves nothing"
    pair.clock.now += 5.4
    loaded(pair)
    pair.a.device.handle_deadline(pair.clock.now)
    pair.settle()
    assert len(pair.b.received) == 1


def test_load_is_forgotten_after_a_second(pair: Pair) -> None:
    loaded(pair)
    pair.clock.now += 1.1
    pair.send(pair.a)
    assert len(pair.b.received) == 1


def test_cookie_replies_to_nothing_are_refused(pair: Pair) -> None:
    pair.a.device.receive_datagrams([ReceivedDatagram(b"\3\0\0\0" + bytes(60), pair.b.endpoint)], pair.clock.now)
    assert reason_of(pair.a) == {DropReason.UNKNOWN_INDEX}


def test_responses_need_a_cookie_under_load_too(pair: Pair) -> None:
    pair.a.device.send_packets([ipv4_packet(pair.a.inner, pair.b.inner)], pair.clock.now)
    initiation = pair.a.device.batches_to_send()[0].datagrams[0]
    pair.b.device.receive_datagrams([ReceivedDatagram(initiation, pair.a.endpoint)], pair.clock.now)
    response = pair.b.device.batches_to_send()[0].datagrams[0]
    for _ in range(60):
        pair.a.device._load.note_handshake(pair.clock.now)
    pair.a.device.receive_datagrams([ReceivedDatagram(response, pair.b.endpoint)], pair.clock.now)
    assert pair.a.device.counters[DropReason.COOKIE_SENT] == 1
    (batch,) = pair.a.device.batches_to_send()
    assert batch.datagrams[0][0] == 3
    pair.b.device.receive_datagrams([ReceivedDatagram(batch.datagrams[0], pair.a.endpoint)], pair.clock.now)
    assert not reason_of(pair.b), "the responder finds whom the cookie is for"


# --- untrusted bytes ---


def test_no_reply_without_a_valid_mac1(pair: Pair) -> None:
    pair.a.device.send_packets([ipv4_packet(pair.a.inner, pair.b.inner)], pair.clock.now)
    datagram = bytearray(pair.a.device.batches_to_send()[0].datagrams[0])
    datagram[120] ^= 1
    pair.b.device.receive_datagrams([ReceivedDatagram(bytes(datagram), pair.a.endpoint)], pair.clock.now)
    assert pair.b.device.batches_to_send() == []
    assert reason_of(pair.b) == {DropReason.BAD_MAC1}


def test_mutations_of_every_message_never_raise_and_never_deliver(pair: Pair) -> None:
    pair.send(pair.a)
    pair.send(pair.b)
    trace = [(pair.b, pair.a.endpoint, d) for d in pair.a.sent] + [(pair.a, pair.b.endpoint, d) for d in pair.b.sent]
    pair.a.received.clear()
    pair.b.received.clear()
    for receiver, source, datagram in trace:
        for at in range(len(datagram)):
            mutated = bytearray(datagram)
            mutated[at] ^= 1 << pair.rng.randrange(8)
            receiver.device.receive_datagrams([ReceivedDatagram(bytes(mutated), source),
                                               ReceivedDatagram(datagram[:at], source)], pair.clock.now)
        receiver.collect()
    assert pair.a.received == pair.b.received == []
