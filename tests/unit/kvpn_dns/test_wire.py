"""The guard, case by case (research: what broke other servers)."""

from __future__ import annotations

import struct

import pytest

from kvpn_dns.wire import (
    BadQuery,
    DropReason,
    Rcode,
    encode_name,
    labels_of,
    lower_name,
    pack_error,
    parse_query_untrusted,
)

NAME = encode_name("web.shop")
QUESTION = NAME + b"\0\1\0\1"
OPT = b"\0\0\x29\x10\0\0\0\0\0\0\0"


def packet(body: bytes = QUESTION, *, flags: int = 0x0100, qd: int = 1, an: int = 0, ns: int = 0, ar: int = 0) -> bytes:
    return struct.pack("!6H", 7, flags, qd, an, ns, ar) + body


def verdict(data: bytes) -> Rcode | DropReason | None:
    try:
        parse_query_untrusted(data)
    except BadQuery as error:
        return error.rcode if error.rcode is not None else error.drop
    return None


@pytest.mark.parametrize(("data", "expected"), [
    (packet(), None), (packet(QUESTION + OPT, ar=1), None), (b"", DropReason.SHORT), (packet()[:11], DropReason.SHORT),
    (packet(flags=0x8100), DropReason.RESPONSE), (packet(flags=0x2800), Rcode.NOTIMP), (packet(qd=0), Rcode.FORMERR),
    (packet(qd=2), Rcode.FORMERR), (packet(an=1), Rcode.FORMERR), (packet(ns=1), Rcode.FORMERR), (packet(ar=2), Rcode.FORMERR),
    (packet(QUESTION + b"x"), Rcode.FORMERR), (packet(b"\xc0\x0c\0\1\0\1"), Rcode.FORMERR),
    (packet(b"\x40" + b"a" * 64 + b"\0\0\1\0\1"), Rcode.FORMERR), (packet(b"\x3f" + b"a" * 63), Rcode.FORMERR),
    (packet((b"\x3f" + b"a" * 63) * 4 + b"\0\0\1\0\1"), Rcode.FORMERR), (packet(NAME + b"\0\1"), Rcode.FORMERR),
    (packet(QUESTION + b"\1a" + OPT[1:], ar=1), Rcode.FORMERR), (packet(QUESTION + OPT + b"x", ar=1), Rcode.FORMERR),
    (packet(QUESTION + OPT[:5] + b"\0\1" + OPT[7:], ar=1), Rcode.BADVERS),
    (packet(QUESTION + OPT[:-2] + b"\0\4\0\x0a\0\1", ar=1), Rcode.FORMERR),
    (packet(QUESTION + OPT[:-2] + b"\0\x0c\0\x0a\0\x08cookies!", ar=1), None)])
def test_the_guard(data: bytes, expected: Rcode | DropReason | None) -> None:
    assert verdict(data) == expected


def test_every_prefix_of_a_query_is_dropped_or_refused() -> None:
    whole = packet(QUESTION + OPT, ar=1)
    assert all(verdict(whole[:size]) is not None for size in range(len(whole)))


def test_errors_echo_the_id_and_only_what_may_be_echoed() -> None:
    reply = pack_error(packet(flags=0x7FFF & ~0x7800), Rcode.FORMERR)
    assert struct.unpack("!6H", reply) == (7, 0x8000 | 0x0100 | 0x0010 | 1, 0, 0, 0, 0)
    badvers = pack_error(packet(QUESTION + OPT[:5] + b"\0\1" + OPT[7:], ar=1), Rcode.BADVERS)
    assert badvers[12:12 + len(QUESTION)] == QUESTION
    assert badvers[-6] == 1


def test_names() -> None:
    assert labels_of(encode_name("a.bc.")) == [b"a", b"bc"]
    assert lower_name(b"\3WeB\0") == b"\3web\0"
    for wrong in ("a" * 64, ".".join(["a" * 63] * 5)):
        with pytest.raises(ValueError, match="no DNS name"):
            encode_name(wrong)
