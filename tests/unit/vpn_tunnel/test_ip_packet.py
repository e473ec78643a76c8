"""What the tunnel reads of an IP packet, and the errors it answers with; scapy is the oracle."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import ICMPv6DestUnreach, IPv6

from vpn_tunnel.ip_packet import checksum, decapsulate_ecn, destination, source_untrusted, unreachable

V4 = bytes(IP(src="10.0.0.1", dst="10.0.0.2", tos=2) / UDP(sport=1, dport=2) / b"hello")
V6 = bytes(IPv6(src="fd00::1", dst="fd00::2", tc=1) / UDP(sport=1, dport=2) / b"hello")


def test_addresses_lengths_and_ecn() -> None:
    assert source_untrusted(V4 + bytes(11)) == (bytes([10, 0, 0, 1]), len(V4))
    assert source_untrusted(V6 + bytes(3)) == (V6[8:24], len(V6))
    assert destination(V4) == (bytes([10, 0, 0, 2]), 2)
    assert destination(V6) == (V6[24:40], 1)


def test_a_declared_length_beyond_the_bytes_is_refused() -> None:
    assert source_untrusted(V4[:-1]) is None
    assert source_untrusted(V6[:-1]) is None
    assert source_untrusted(V4[:2] + b"\0\x13" + V4[4:]) is None


@given(st.binary(max_size=80))
def test_any_bytes(data: bytes) -> None:
    source_untrusted(data)
    destination(data)
    answer = unreachable(data)
    assert answer is None or len(answer) >= 28


@given(st.binary(min_size=1, max_size=60).map(lambda b: b + b"\0" * (len(b) % 2)))
def test_a_checksum_verifies_itself(data: bytes) -> None:
    assert checksum(data + checksum(data).to_bytes(2, "big")) in (0, 0xFFFF)


def test_checksum_of_rfc_1071() -> None:
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0xFFFF - 0xDDF2
    assert checksum(b"\x01") == 0xFEFF


def test_congestion_is_carried_inside_and_the_checksum_stays_right() -> None:
    marked = decapsulate_ecn(V4, 3)
    assert marked is not None
    assert IP(marked).tos & 3 == 3
    assert bytes(IP(marked)) == bytes(IP(marked).__class__(bytes(_without_checksum(marked))))
    six = decapsulate_ecn(V6, 3)
    assert six is not None
    assert IPv6(six).tc & 3 == 3
    assert decapsulate_ecn(V4, 1) == V4


def _without_checksum(packet: bytes) -> bytes:
    fresh = IP(packet)
    del fresh.chksum
    return bytes(fresh)


def test_congestion_on_a_packet_that_cannot_carry_it_drops_it() -> None:
    assert decapsulate_ecn(V4[:1] + b"\0" + V4[2:], 3) is None


def test_unreachable_errors_are_what_rfc_792_and_4443_say() -> None:
    four = IP(unreachable(V4) or b"")
    assert (four[ICMP].type, four[ICMP].code, four.src, four.dst) == (3, 1, "10.0.0.2", "10.0.0.1")
    assert bytes(four) == _without_checksum(bytes(four))
    six = IPv6(unreachable(V6) or b"")
    assert (six[ICMPv6DestUnreach].code, six.dst) == (3, "fd00::1")


def test_errors_and_multicast_are_not_answered() -> None:
    assert unreachable(bytes(IP(src="10.0.0.1", dst="224.0.0.1") / UDP())) is None
    assert unreachable(bytes(IP(src="10.0.0.1", dst="10.0.0.2") / ICMP(type=3))) is None
    assert unreachable(bytes(IPv6(src="fd00::1", dst="ff02::1") / UDP())) is None
