"""I/O: the resolver's sockets, UDP and TCP on the same addresses.

Owns draining a socket per wake-up, limits on TCP connections, and that a question waiting for an upstream holds up no other.
Leaves every answer to `answer` and every upstream to `upstream_io`.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

from kvpn_dns.answer import Answerer, Forward, Reply
from kvpn_dns.upstream_io import Forwarder
from kvpn_dns.wire import MAX_QUERY, DropReason, Query, Rcode, pack_answer

DRAIN: Final = 64  # datagrams taken at one wake-up
MAX_TCP_CONNECTIONS: Final = 64
TCP_IDLE: Final = 10.0  # seconds without a query
MAX_WRITE_BUFFER: Final = 1 << 20  # bytes waiting for a TCP client that does not read

Address = tuple[str, int]


class DnsServer:
    """Serves an answerer; what is not owned goes to the forwarder, or is REFUSED without one."""

    def __init__(self, answerer: Answerer, forwarder: Forwarder | None = None,
                 allowed: Callable[[str], bool] | None = None) -> None:
        self.answerer = answerer
        self.forwarder = forwarder
        self.counters: Counter[str] = Counter()
        self._allowed = allowed
        self._udp: list[socket.socket] = []
        self._tcp: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections = 0

    @property
    def addresses(self) -> list[Address]:
        """Where it listens."""
        return [sock.getsockname()[:2] for sock in self._udp]

    async def start(self, listen: Sequence[Address]) -> None:
        """Bind UDP and TCP on every address; OSError leaves nothing bound."""
        try:
            for host, port in listen:
                await self._bind(host, port)
        except OSError:
            await self.stop()
            raise

    async def _bind(self, host: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        udp = socket.socket(family, socket.SOCK_DGRAM)
        self._udp.append(udp)
        udp.setblocking(False)
        udp.bind((host, port))
        port = udp.getsockname()[1]
        self._tcp.append(await asyncio.start_server(self._serve_tcp, host, port, family=family, backlog=64))
        asyncio.get_running_loop().add_reader(udp.fileno(), self._readable, udp)

    async def stop(self) -> None:
        """Close every socket and forget questions in flight."""
        for udp in self._udp:
            asyncio.get_running_loop().remove_reader(udp.fileno())
            udp.close()
        for server in self._tcp:
            server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._udp.clear()
        self._tcp.clear()

    # --- UDP ---

    def _readable(self, udp: socket.socket) -> None:
        answer, allowed = self.answerer.answer, self._allowed
        for _ in range(DRAIN):
            try:
                packet, source = udp.recvfrom(MAX_QUERY)
            except (BlockingIOError, ConnectionError):
                return
            if allowed is not None and not allowed(source[0]):
                self.counters[f"dropped_{DropReason.SOURCE}"] += 1
                continue
            outcome = answer(packet)
            if isinstance(outcome, Reply):
                self._send(udp, outcome.data, source)
            elif isinstance(outcome, Forward):
                self._spawn(self._relay_udp(udp, outcome.query, source))

    def _send(self, udp: socket.socket, data: bytes, source: Any) -> None:
        try:
            udp.sendto(data, source)
        except OSError:  # no room, or nobody there: the asker asks again
            self.counters["send_failed"] += 1

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _relay_udp(self, udp: socket.socket, query: Query, source: Any) -> None:
        data = await self._forward(query, tcp=False)
        if udp.fileno() >= 0:
            self._send(udp, data, source)

    async def _forward(self, query: Query, *, tcp: bool) -> bytes:
        if self.forwarder is None or not self.forwarder.upstreams:
            return pack_answer(query, Rcode.REFUSED, [], tcp=tcp, aa=False)
        return await self.forwarder.ask(query, tcp=tcp)

    # --- TCP ---

    async def _serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host = writer.get_extra_info("peername")[0]
        if self._connections >= MAX_TCP_CONNECTIONS or (self._allowed is not None and not self._allowed(host)):
            self.counters["tcp_refused"] += 1
            writer.close()
            return
        self._connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                while await self._one_tcp(reader, writer):
                    pass
        finally:
            self._tasks.discard(task)
            self._connections -= 1
            writer.close()

    async def _one_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        async with asyncio.timeout(TCP_IDLE):
            size = int.from_bytes(await reader.readexactly(2), "big")
            packet = await reader.readexactly(size)
        outcome = self.answerer.answer(packet, tcp=True)
        if isinstance(outcome, Forward):
            data = await self._forward(outcome.query, tcp=True)
        elif isinstance(outcome, Reply):
            data = outcome.data
        else:
            return False
        writer.write(len(data).to_bytes(2, "big") + data)
        if writer.transport.get_write_buffer_size() > MAX_WRITE_BUFFER:
            return False
        async with asyncio.timeout(TCP_IDLE):
            await writer.drain()
        return True
