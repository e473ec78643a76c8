"""Relaying a query that is not ours: which bytes go out, and which bytes are its answer. Pure.

Owns fresh ids, the checks on a reply (RFC 5452 §9.1) and the rule which upstreams may be asked. Leaves sockets and ports to
`upstream_io`. Bytes are relayed, not parsed beyond the question.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Final, Self

from kvpn_dns.wire import QR, Query, lower_name

TIMEOUT: Final = 2.0  # seconds for one attempt
ATTEMPTS: Final = 2  # rounds over the upstreams
MAX_IN_FLIGHT: Final = 512  # queries relayed at once
DNS_PORT: Final = 53


class BadUpstream(ValueError):
    """Text that is no `ADDRESS[:PORT]`, or names ourselves."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """A resolver to ask."""

    host: str
    port: int = DNS_PORT

    @classmethod
    def parse(cls, text: str) -> Self:
        """`192.0.2.1`, `192.0.2.1:5353`, `2001:db8::1` or `[2001:db8::1]:53`; raises `BadUpstream`."""
        host, port = text.strip(), str(DNS_PORT)
        if host.startswith("["):
            host, _, port = host[1:].partition("]:")
            port = port or str(DNS_PORT)
            host = host.rstrip("]")
        elif host.count(":") == 1:
            host, _, port = host.partition(":")
        try:
            address, number = ipaddress.ip_address(host), int(port)
        except ValueError as error:
            raise BadUpstream(f"{text!r} is no resolver: expected ADDRESS or ADDRESS:PORT") from error
        if not 0 < number < 65536:
            raise BadUpstream(f"{text!r}: the port must be between 1 and 65535")
        return cls(str(address), number)


def usable(upstreams: list[Upstream], own: list[tuple[str, int]]) -> list[Upstream]:
    """The upstreams without ourselves: a saved resolv.conf may name us, and asking would never end."""
    return [upstream for upstream in upstreams if (upstream.host, upstream.port) not in own]


class Relay:
    """One query on its way."""

    def __init__(self, query: Query, ident: int) -> None:
        self._query = query
        self._ident = ident.to_bytes(2, "big")
        self.request = self._ident + query.packet[2:]

    def accept_untrusted(self, reply: bytes) -> bytes | None:
        """The reply with the asker's id, or None for what is not the answer to this question."""
        question = self._query.question
        if len(reply) < 12 + len(question) or reply[:2] != self._ident or not reply[2] & (QR >> 8):
            return None
        if reply[4:6] != b"\0\1" or lower_name(reply[12:8 + len(question)]) != self._query.qname:
            return None
        if reply[8 + len(question):12 + len(question)] != question[-4:]:
            return None
        return self._query.ident.to_bytes(2, "big") + reply[2:]
