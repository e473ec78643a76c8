"""mac1, mac2, cookies and the load they depend on."""

from __future__ import annotations

import os

import pytest

from vpn_tunnel.cookies import CookieChecker, CookieJar, LoadMeter
from vpn_tunnel.errors import BadMessage, DropReason
from vpn_tunnel.keys import PrivateKey

PUBLIC = PrivateKey.generate(os.urandom).public_key()
MESSAGE = b"m" * 116 + bytes(32)
SOURCE = b"\xc0\0\2\1\xca\x6c"


@pytest.fixture
def ends() -> tuple[CookieChecker, CookieJar]:
    return CookieChecker(PUBLIC, os.urandom), CookieJar(PUBLIC)


def test_mac1_needs_the_public_key(ends: tuple[CookieChecker, CookieJar]) -> None:
    checker, jar = ends
    checker.check_mac1_untrusted(jar.add_macs(MESSAGE, 0.0))
    with pytest.raises(BadMessage) as caught:
        checker.check_mac1_untrusted(MESSAGE)
    assert caught.value.reason is DropReason.BAD_MAC1


def test_a_cookie_makes_mac2_for_its_source_until_it_is_old(ends: tuple[CookieChecker, CookieJar]) -> None:
    checker, jar = ends
    first = jar.add_macs(MESSAGE, 0.0)
    assert not checker.has_valid_mac2(first, SOURCE, 0.0)
    jar.consume_reply_untrusted(checker.reply(first, 7, SOURCE, 0.0), 0.0)
    second = jar.add_macs(MESSAGE, 1.0)
    assert checker.has_valid_mac2(second, SOURCE, 1.0)
    assert not checker.has_valid_mac2(second, SOURCE[:-1] + b"\0", 1.0), "another port is another source"
    assert not checker.has_valid_mac2(second, SOURCE, 120.0)
    assert jar.add_macs(MESSAGE, 115.1)[-16:] == bytes(16)


def test_a_reply_is_taken_once_and_only_for_the_last_message(ends: tuple[CookieChecker, CookieJar]) -> None:
    checker, jar = ends
    old = jar.add_macs(MESSAGE, 0.0)
    new = jar.add_macs(b"n" * 116 + bytes(32), 0.0)
    with pytest.raises(BadMessage):
        jar.consume_reply_untrusted(checker.reply(old, 7, SOURCE, 0.0), 0.0)
    jar.consume_reply_untrusted(checker.reply(new, 7, SOURCE, 0.0), 0.0)
    with pytest.raises(BadMessage):
        jar.consume_reply_untrusted(checker.reply(new, 7, SOURCE, 0.0), 0.0)


def test_load_begins_with_a_burst_and_sticks_for_a_second() -> None:
    meter = LoadMeter(capacity=80)
    assert [meter.note_handshake(0.0) for _ in range(11)].count(True) == 2
    assert meter.note_handshake(0.9)
    assert not meter.note_handshake(2.5)


def test_a_steady_rate_below_capacity_is_no_load() -> None:
    meter = LoadMeter(capacity=80)
    assert not any(meter.note_handshake(n / 70) for n in range(1000))
