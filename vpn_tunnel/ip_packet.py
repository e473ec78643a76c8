"""As much of an IP packet as the tunnel reads: version, addresses, length, ECN; and the ICMP error it may answer with.

Owns RFC 6040 tunnelling of ECN. Nothing here interprets transports.
"""

from __future__ import annotations

import struct
from typing import Final

IPV4_HEADER: Final = 20  # bytes
IPV6_HEADER: Final = 40  # bytes
_ECN_CE = 3


def source_untrusted(packet: bytes | memoryview) -> tuple[bytes, int] | None:
    """(source address, total length) of a decrypted packet, or None when it is no whole IP packet; padding may follow."""
    size = len(packet)
    version = packet[0] >> 4 if size else 0
    if version == 4 and size >= IPV4_HEADER:
        total = (packet[2] << 8) | packet[3]
        return (bytes(packet[12:16]), total) if IPV4_HEADER <= total <= size else None
    if version == 6 and size >= IPV6_HEADER:
        total = IPV6_HEADER + ((packet[4] << 8) | packet[5])
        return (bytes(packet[8:24]), total) if total <= size else None
    return None


def destination(packet: bytes | memoryview) -> tuple[bytes, int] | None:
    """(destination address, ECN bits) of a packet that the host routed into the tunnel, or None when it is no IP packet."""
    size = len(packet)
    version = packet[0] >> 4 if size else 0
    if version == 4 and size >= IPV4_HEADER:
        return bytes(packet[16:20]), packet[1] & 3
    if version == 6 and size >= IPV6_HEADER:
        return bytes(packet[24:40]), (packet[1] >> 4) & 3
    return None


def decapsulate_ecn(packet: bytes, outer: int) -> bytes | None:
    """The inner packet with the outer header's congestion mark carried over (RFC 6040 §4.2); None: must be dropped."""
    if outer != _ECN_CE:
        return packet
    version = packet[0] >> 4
    inner = packet[1] & 3 if version == 4 else (packet[1] >> 4) & 3
    if inner == 0:
        return None
    if inner == _ECN_CE:
        return packet
    return _marked_v4(packet) if version == 4 else packet[:1] + bytes([packet[1] | (_ECN_CE << 4)]) + packet[2:]


def _marked_v4(packet: bytes) -> bytes:
    header = bytearray(packet[: (packet[0] & 15) * 4])
    header[1] |= _ECN_CE
    header[10:12] = b"\0\0"
    header[10:12] = checksum(bytes(header)).to_bytes(2, "big")
    return bytes(header) + packet[len(header):]


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071) of `data`."""
    if len(data) % 2:
        data += b"\0"
    total = int.from_bytes(data, "big") % 0xFFFF
    return 0xFFFF - total if total or not any(data) else 0


def unreachable(packet: bytes) -> bytes | None:
    """ICMP host unreachable (RFC 792) or ICMPv6 address unreachable (RFC 4443 §3.1) for a packet that the host sent.

    None for what must not be answered: ICMP errors, multicast and broken packets. The error's source is the packet's
    destination, for the tunnel has no address of its own."""
    if len(packet) >= IPV4_HEADER and packet[0] >> 4 == 4:
        return _unreachable_v4(packet)
    if len(packet) >= IPV6_HEADER and packet[0] >> 4 == 6:
        return _unreachable_v6(packet)
    return None


def _unreachable_v4(packet: bytes) -> bytes | None:
    start = (packet[0] & 15) * 4
    fragment = ((packet[6] << 8) | packet[7]) & 0x1FFF
    icmp_error = packet[9] == 1 and packet[start:start + 1] in (b"\x03", b"\x04", b"\x05", b"\x0b", b"\x0c")
    if icmp_error or fragment or packet[16] >= 224 or start < IPV4_HEADER:
        return None
    quoted = packet[: start + 8]
    body = struct.pack("!BBHI", 3, 1, 0, 0) + quoted
    body = body[:2] + checksum(body).to_bytes(2, "big") + body[4:]
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 0, 0, 64, 1, 0, packet[16:20], packet[12:16])
    return header[:10] + checksum(header).to_bytes(2, "big") + header[12:] + body


def _unreachable_v6(packet: bytes) -> bytes | None:
    icmp_error = packet[6] == 58 and len(packet) > IPV6_HEADER and packet[40] < 128
    if icmp_error or packet[24] == 0xFF or packet[8] == 0xFF:
        return None
    quoted = packet[: 1280 - IPV6_HEADER - 8]
    body = struct.pack("!BBHI", 1, 3, 0, 0) + quoted
    source, target = packet[24:40], packet[8:24]
    pseudo = source + target + struct.pack("!I3xB", len(body), 58)
    body = body[:2] + checksum(pseudo + body).to_bytes(2, "big") + body[4:]
    return struct.pack("!IHBB16s16s", 6 << 28, len(body), 58, 64, source, target) + body
