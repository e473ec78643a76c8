"""The four messages of the paper §5.4 between bytes and values.

Owns layout and length checks. Nothing here authenticates: a parsed message is still untrusted.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from vpn_tunnel.constants import (
    COOKIE_REPLY_SIZE,
    INITIATION_SIZE,
    MESSAGE_COOKIE_REPLY,
    MESSAGE_INITIATION,
    MESSAGE_RESPONSE,
    MESSAGE_TRANSPORT,
    RESPONSE_SIZE,
    TRANSPORT_OVERHEAD,
)
from vpn_tunnel.errors import BadMessage, DropReason

# type(1) reserved(3) sender(4) ephemeral(32) static(48) timestamp(28) mac1(16) mac2(16)
_INITIATION = struct.Struct("<II32s48s28s16s16s")
# type(1) reserved(3) sender(4) receiver(4) ephemeral(32) empty(16) mac1(16) mac2(16)
_RESPONSE = struct.Struct("<III32s16s16s16s")
# type(1) reserved(3) receiver(4) nonce(24) cookie(32)
_COOKIE_REPLY = struct.Struct("<II24s32s")
_TYPE = struct.Struct("<I")

_SIZES = {MESSAGE_INITIATION: INITIATION_SIZE, MESSAGE_RESPONSE: RESPONSE_SIZE, MESSAGE_COOKIE_REPLY: COOKIE_REPLY_SIZE}


@dataclass(frozen=True, slots=True)
class Initiation:
    """First message: `static` and `timestamp` are sealed."""

    sender: int
    ephemeral: bytes
    static: bytes
    timestamp: bytes
    mac1: bytes = bytes(16)
    mac2: bytes = bytes(16)

    def pack(self) -> bytes:
        """148 bytes."""
        return _INITIATION.pack(MESSAGE_INITIATION, self.sender, self.ephemeral, self.static, self.timestamp,
                                self.mac1, self.mac2)


@dataclass(frozen=True, slots=True)
class Response:
    """Second message: `empty` is the seal over nothing."""

    sender: int
    receiver: int
    ephemeral: bytes
    empty: bytes
    mac1: bytes = bytes(16)
    mac2: bytes = bytes(16)

    def pack(self) -> bytes:
        """92 bytes."""
        return _RESPONSE.pack(MESSAGE_RESPONSE, self.sender, self.receiver, self.ephemeral, self.empty,
                              self.mac1, self.mac2)


@dataclass(frozen=True, slots=True)
class CookieReply:
    """What a loaded responder sends instead of working."""

    receiver: int
    nonce: bytes
    cookie: bytes

    def pack(self) -> bytes:
        """64 bytes."""
        return _COOKIE_REPLY.pack(MESSAGE_COOKIE_REPLY, self.receiver, self.nonce, self.cookie)


def message_type_untrusted(data: bytes | memoryview) -> int:
    """The type of a datagram whose length fits that type; raises `BadMessage` (BAD_LENGTH, BAD_TYPE)."""
    if len(data) < 4:
        raise BadMessage(DropReason.BAD_LENGTH)
    kind: int = _TYPE.unpack_from(data)[0]  # the reserved bytes take part: non-zero ones make an unknown type
    if kind == MESSAGE_TRANSPORT:
        if len(data) < TRANSPORT_OVERHEAD:
            raise BadMessage(DropReason.BAD_LENGTH)
        return kind
    size = _SIZES.get(kind)
    if size is None:
        raise BadMessage(DropReason.BAD_TYPE)
    if len(data) != size:
        raise BadMessage(DropReason.BAD_LENGTH)
    return kind


def _expect(data: bytes, kind: int) -> None:
    if message_type_untrusted(data) != kind:
        raise BadMessage(DropReason.BAD_TYPE)


def parse_initiation_untrusted(data: bytes) -> Initiation:
    """148 bytes to fields; raises `BadMessage`."""
    _expect(data, MESSAGE_INITIATION)
    return Initiation(*_INITIATION.unpack(data)[1:])


def parse_response_untrusted(data: bytes) -> Response:
    """92 bytes to fields; raises `BadMessage`."""
    _expect(data, MESSAGE_RESPONSE)
    return Response(*_RESPONSE.unpack(data)[1:])


def parse_cookie_reply_untrusted(data: bytes) -> CookieReply:
    """64 bytes to fields; raises `BadMessage`."""
    _expect(data, MESSAGE_COOKIE_REPLY)
    return CookieReply(*_COOKIE_REPLY.unpack(data)[1:])
