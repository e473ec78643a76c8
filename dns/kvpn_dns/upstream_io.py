"""I/O: asking upstream resolvers, one fresh socket and so one random port for each question.

Owns time-outs and the bound on questions in flight. Leaves which reply counts to `forward`.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from collections import Counter

from kvpn_dns.forward import ATTEMPTS, MAX_IN_FLIGHT, TIMEOUT, Relay, Upstream
from kvpn_dns.wire import Query, Rcode, pack_answer


class Forwarder:
    """Relays queries to `upstreams` in order; SERVFAIL when none answers."""

    def __init__(self, upstreams: list[Upstream]) -> None:
        self.upstreams = upstreams
        self.counters: Counter[str] = Counter()
        self._in_flight = 0

    async def ask(self, query: Query, *, tcp: bool) -> bytes:
        """The answer to relay."""
        if self._in_flight >= MAX_IN_FLIGHT:
            self.counters["too_many"] += 1
            return pack_answer(query, Rcode.SERVFAIL, [], tcp=tcp, aa=False)
        self._in_flight += 1
        try:
            return await self._ask_all(query, tcp=tcp)
        finally:
            self._in_flight -= 1

    async def _ask_all(self, query: Query, *, tcp: bool) -> bytes:
        for _ in range(ATTEMPTS):
            for upstream in self.upstreams:
                relay = Relay(query, secrets.randbelow(65536))
                with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                    async with asyncio.timeout(TIMEOUT):
                        reply = await (_over_tcp if tcp else _over_udp)(relay, upstream)
                    self.counters["answered"] += 1
                    return reply
                self.counters["failed"] += 1
        return pack_answer(query, Rcode.SERVFAIL, [], tcp=tcp, aa=False)


async def _over_udp(relay: Relay, upstream: Upstream) -> bytes:
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in upstream.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.connect((upstream.host, upstream.port))  # the kernel drops what comes from elsewhere
        await loop.sock_sendall(sock, relay.request)
        while True:
            reply = relay.accept_untrusted(await loop.sock_recv(sock, 65_535))
            if reply is not None:
                return reply


async def _over_tcp(relay: Relay, upstream: Upstream) -> bytes:
    reader, writer = await asyncio.open_connection(upstream.host, upstream.port)
    try:
        writer.write(len(relay.request).to_bytes(2, "big") + relay.request)
        size = int.from_bytes(await reader.readexactly(2), "big")
        reply = relay.accept_untrusted(await reader.readexactly(size))
        if reply is None:
            raise OSError("the upstream answered something else")
        return reply
    finally:
        writer.close()
