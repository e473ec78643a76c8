"""Layout and length checks of the four messages; any bytes raise nothing but BadMessage."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpn_tunnel.errors import BadMessage, DropReason
from vpn_tunnel.messages import (
    CookieReply,
    Initiation,
    Response,
    message_type_untrusted,
    parse_cookie_reply_untrusted,
    parse_initiation_untrusted,
    parse_response_untrusted,
)

INITIATION = Initiation(7, b"e" * 32, b"s" * 48, b"t" * 28, b"1" * 16, b"2" * 16)
RESPONSE = Response(7, 8, b"e" * 32, b"0" * 16, b"1" * 16, b"2" * 16)
COOKIE = CookieReply(7, b"n" * 24, b"c" * 32)
PARSERS: list[tuple[Initiation | Response | CookieReply, Callable[[bytes], object], int]] = [
    (INITIATION, parse_initiation_untrusted, 148), (RESPONSE, parse_response_untrusted, 92),
    (COOKIE, parse_cookie_reply_untrusted, 64)]


@pytest.mark.parametrize(("message", "parse", "size"), PARSERS)
def test_round_trip_and_exact_size(message: Initiation | Response | CookieReply, parse: Callable[[bytes], object],
                                   size: int) -> None:
    data = message.pack()
    assert len(data) == size
    assert parse(data) == message
    for wrong in (data[:-1], data + b"\0"):
        with pytest.raises(BadMessage) as caught:
            parse(wrong)
        assert caught.value.reason is DropReason.BAD_LENGTH


def test_reserved_bytes_must_be_zero() -> None:
    for at in (1, 2, 3):
        data = bytearray(INITIATION.pack())
        data[at] = 1
        with pytest.raises(BadMessage) as caught:
            message_type_untrusted(bytes(data))
        assert caught.value.reason is DropReason.BAD_TYPE


def test_transport_has_at_least_a_header_and_a_tag() -> None:
    assert message_type_untrusted(b"\4\0\0\0" + bytes(28)) == 4
    with pytest.raises(BadMessage):
        message_type_untrusted(b"\4\0\0\0" + bytes(27))


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    for parse in (message_type_untrusted, *(parse for _, parse, _ in PARSERS)):
        with contextlib.suppress(BadMessage):
            assert parse(data) is not None
