"""DNS messages as bytes: the guard that every query passes first, and the packing of answers.

Owns what may be asked at all (RFC 1035, 6891, 9619): one question, no answers, at most one OPT. Work is bounded by the
packet's length; nothing here follows compression pointers.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final

HEADER: Final = struct.Struct("!HHHHHH")
MAX_NAME: Final = 255  # bytes on the wire
MAX_QUERY: Final = 4096  # bytes taken from a datagram
UDP_PLAIN: Final = 512  # bytes of an answer without EDNS
UDP_EDNS: Final = 1232  # bytes of an answer with EDNS, at most: fits every path without fragments
CLASS_IN: Final = 1

QR, AA, TC, RD, RA, CD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080, 0x0010


class Type(IntEnum):
    """Record types that we answer or treat apart."""

    A = 1
    NS = 2
    CNAME = 5
    SOA = 6
    PTR = 12
    HINFO = 13
    TXT = 16
    AAAA = 28
    SRV = 33
    OPT = 41
    IXFR = 251
    AXFR = 252
    ANY = 255


class Rcode(IntEnum):
    """Response codes; BADVERS needs the OPT record's upper bits."""

    NOERROR = 0
    FORMERR = 1
    SERVFAIL = 2
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5
    BADVERS = 16


class DropReason(StrEnum):
    """Why a packet got no answer at all."""

    SHORT = "short"
    """Less than a header."""
    RESPONSE = "response"
    """QR is set: answering answers is how loops begin."""
    SOURCE = "source"
    """The source may not ask here."""


class BadQuery(ValueError):
    """A packet that is no query we answer: `rcode` to reply with, or `drop` when it deserves none."""

    def __init__(self, *, rcode: Rcode | None = None, drop: DropReason | None = None) -> None:
        super().__init__(str(rcode or drop))
        self.rcode = rcode
        self.drop = drop


@dataclass(slots=True)
class Query:
    """One question that passed the guard."""

    ident: int
    flags: int
    qname: bytes
    """Lower case, on the wire, with the root label."""
    question: bytes
    """As it came, for the echo that keeps the sender's case (0x20)."""
    qtype: int
    qclass: int
    edns_size: int | None
    edns_do: int
    packet: bytes

    def labels(self) -> list[bytes]:
        """The name's labels in lower case."""
        return labels_of(self.qname)


def labels_of(name: bytes) -> list[bytes]:
    """Labels of an uncompressed name on the wire."""
    labels, at = [], 0
    while name[at]:
        labels.append(name[at + 1:at + 1 + name[at]])
        at += 1 + name[at]
    return labels


_LOWER = bytes(byte + 32 if 65 <= byte <= 90 else byte for byte in range(256))


def lower_name(name: bytes) -> bytes:
    """A wire name in lower case. Length bytes are at most 63, below the letters, so one table serves."""
    return name.translate(_LOWER)


def encode_name(text: str) -> bytes:
    """A dotted name (no escapes) on the wire. Raises ValueError when a label or the name is too long."""
    labels = [label.encode() for label in text.rstrip(".").split(".") if label]
    wire = b"".join(bytes([len(label)]) + label for label in labels if len(label) < 64) + b"\0"
    if len(wire) > MAX_NAME or any(len(label) > 63 for label in labels):
        raise ValueError(f"{text!r} is no DNS name")
    return wire


def parse_query_untrusted(packet: bytes) -> Query:
    """The guard. Raises `BadQuery` and nothing else."""
    if len(packet) < HEADER.size:
        raise BadQuery(drop=DropReason.SHORT)
    ident, flags, questions, answers, authorities, additionals = HEADER.unpack_from(packet)
    if flags & QR:
        raise BadQuery(drop=DropReason.RESPONSE)
    if flags & 0x7800:
        raise BadQuery(rcode=Rcode.NOTIMP)
    if questions != 1 or answers or authorities or additionals > 1:
        raise BadQuery(rcode=Rcode.FORMERR)
    end = _name_end_untrusted(packet)
    if len(packet) < end + 4:
        raise BadQuery(rcode=Rcode.FORMERR)
    qtype, qclass = struct.unpack_from("!HH", packet, end)
    query = Query(ident, flags, lower_name(packet[12:end]), packet[12:end + 4], qtype, qclass, None, 0, packet)
    if additionals:
        _read_opt_untrusted(packet, end + 4, query)
    elif len(packet) != end + 4:
        raise BadQuery(rcode=Rcode.FORMERR)
    return query


def _name_end_untrusted(packet: bytes) -> int:
    at, limit = 12, min(len(packet), 12 + MAX_NAME)
    while at < limit:
        size = packet[at]
        if size == 0:
            return at + 1
        if size > 63:
            raise BadQuery(rcode=Rcode.FORMERR)
        at += 1 + size
    raise BadQuery(rcode=Rcode.FORMERR)


def _read_opt_untrusted(packet: bytes, at: int, query: Query) -> None:
    if len(packet) < at + 11 or packet[at] != 0:
        raise BadQuery(rcode=Rcode.FORMERR)
    kind, size, extended, version, flags, length = struct.unpack_from("!HHBBHH", packet, at + 1)
    if kind != Type.OPT or at + 11 + length != len(packet) or not _options_fit(packet[at + 11:]):
        raise BadQuery(rcode=Rcode.FORMERR)
    query.edns_size, query.edns_do = size, flags & 0x8000
    if version or extended:
        raise BadQuery(rcode=Rcode.BADVERS)


def _options_fit(data: bytes) -> bool:
    at = 0
    while at + 4 <= len(data):
        at += 4 + int.from_bytes(data[at + 2:at + 4], "big")
    return at == len(data)


def record(owner: bytes, kind: int, ttl: int, rdata: bytes) -> bytes:
    """One resource record, class IN; `owner` is a wire name or a pointer."""
    return owner + struct.pack("!HHIH", kind, CLASS_IN, ttl, len(rdata)) + rdata


def _opt(rcode: int, do: int) -> bytes:
    return struct.pack("!BHHBBHH", 0, Type.OPT, UDP_EDNS, rcode >> 4, 0, do, 0)


def pack_answer(query: Query, rcode: int, answers: list[bytes], authority: bytes = b"",
                additionals: list[bytes] | None = None, *, tcp: bool, aa: bool = True) -> bytes:
    """A whole response. What does not fit into UDP is left out from the end, additionals first, and TC says so."""
    edns = query.edns_size is not None
    limit = 65_535 if tcp else max(UDP_PLAIN, min(query.edns_size or 0, UDP_EDNS))
    opt = _opt(rcode, query.edns_do) if edns else b""
    extra = additionals or []
    used = HEADER.size + len(query.question) + len(opt) + len(authority)
    answers_fit, used = _fitting(answers, used, limit)
    extra_fit, used = _fitting(extra, used, limit) if len(answers_fit) == len(answers) else ([], used)
    truncated = len(answers_fit) < len(answers)
    flags = QR | (AA if aa else 0) | RA | (TC if truncated else 0) | (query.flags & (RD | CD)) | (rcode & 15)
    header = HEADER.pack(query.ident, flags, 1, len(answers_fit), 1 if authority else 0, len(extra_fit) + edns)
    return b"".join((header, query.question, *answers_fit, authority, *extra_fit, opt))


def _fitting(records: list[bytes], used: int, limit: int) -> tuple[list[bytes], int]:
    total = used + sum(map(len, records))
    if total <= limit:
        return records, total
    fit = []
    for one in records:
        if used + len(one) > limit:
            break
        fit.append(one)
        used += len(one)
    return fit, used


def pack_error(packet: bytes, rcode: Rcode) -> bytes:
    """A response to a packet that did not pass the guard: header alone, with an OPT record where the code needs one."""
    ident, flags = struct.unpack_from("!HH", packet)
    opt = _opt(rcode, 0) if rcode is Rcode.BADVERS else b""
    question = b""
    if rcode is Rcode.BADVERS:  # the guard had read the question by then
        question = packet[12:_name_end_untrusted(packet) + 4]
    opcode = flags & 0x7800
    return HEADER.pack(ident, QR | opcode | (flags & (RD | CD)) | (rcode & 15), 1 if question else 0, 0, 0,
                       1 if opt else 0) + question + opt
