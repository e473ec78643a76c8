"""I/O: HTTP/1.1 to the gateway's control API: h11 over an asyncio stream that can leave through the tunnel only.

Owns one request per connection, its limits and its timeouts. Leaves to others: what is asked (`directory_client`,
`probe`, `worker`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import zlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import h11

MAX_BODY: Final = 1024 * 1024
"""Bytes of an answer that is read as a whole."""
MAX_INFLATED: Final = 256 * 1024
"""Bytes that one step of decompression may yield; the rest waits, so that a tiny answer cannot fill the memory."""
READ_SIZE: Final = 64 * 1024
KEEPALIVE_IDLE: Final = 1
"""Seconds until the kernel asks whether the other end of an idle stream is there: the session's liveness probe."""
KEEPALIVE_COUNT: Final = 20
"""Unanswered questions until the kernel gives the connection up; the session reconnects long before."""


class HttpError(Exception):
    """The exchange failed below HTTP: refused, reset, silent, or not HTTP."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go. `interface` and `source` tie them to the tunnel; empty in tests without one."""

    host: str
    port: int
    interface: str = ""
    source: str = ""

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(slots=True)
class Response:
    """Status and headers (lower case); the body comes from `body()`, once."""

    status: int
    headers: Mapping[str, str]
    _connection: h11.Connection = field(repr=False)
    _reader: asyncio.StreamReader = field(repr=False)

    async def body(self, silence: float) -> AsyncIterator[bytes]:
        """Decoded chunks as they arrive; HttpError after `silence` seconds without one, or on a broken stream."""
        gzip = zlib.decompressobj(wbits=31) if self.headers.get("content-encoding") == "gzip" else None
        while (event := await _next_event(self._connection, self._reader, silence)) is not None:
            if not isinstance(event, h11.Data):
                return
            if gzip is None:
                yield bytes(event.data)
                continue
            for chunk in inflate(gzip, bytes(event.data)):
                yield chunk

    async def read(self, silence: float) -> bytes:
        """The whole body; HttpError when it is longer than MAX_BODY."""
        whole = bytearray()
        async for chunk in self.body(silence):
            whole += chunk
            if len(whole) > MAX_BODY:
                raise HttpError(f"an answer longer than {MAX_BODY} bytes")
        return bytes(whole)


def inflate(gzip: zlib._Decompress, data: bytes) -> list[bytes]:
    """What `data` adds, in pieces of MAX_INFLATED bytes; HttpError when it is not gzip."""
    pieces = []
    try:
        while data:
            pieces.append(gzip.decompress(data, MAX_INFLATED))
            data = gzip.unconsumed_tail
    except zlib.error as error:
        raise HttpError(f"bad gzip: {error}") from None
    return [piece for piece in pieces if piece]


@contextlib.asynccontextmanager
async def get(target: Target, path: str, *, timeout: float, headers: Mapping[str, str] | None = None,
              host: str = "") -> AsyncIterator[Response]:
    """One GET; `timeout` seconds until the response's head. HttpError for everything that is not an answer."""
    reader, writer = await _connect(target, timeout)
    try:
        connection = h11.Connection(h11.CLIENT)
        lines = [("Host", host or target.authority), ("User-Agent", "kvpn"), ("Connection", "close"),
                 *(headers or {}).items()]
        request = h11.Request(method="GET", target=path, headers=lines)
        writer.write((connection.send(request) or b"") + (connection.send(h11.EndOfMessage()) or b""))
        head = await _next_event(connection, reader, timeout)
        assert isinstance(head, h11.Response)
        yield Response(head.status_code, {name.decode(): value.decode("latin-1") for name, value in head.headers},
                       connection, reader)
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _connect(target: Target, timeout: float) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    family = socket.AF_INET6 if ":" in target.host else socket.AF_INET
    connection = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        if target.interface:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, target.interface.encode() + b"\0")
        if target.source:
            connection.bind((target.source, 0))
        _watch_liveness(connection)
        async with asyncio.timeout(timeout):
            await asyncio.get_running_loop().sock_connect(connection, (target.host, target.port))
            return await asyncio.open_connection(sock=connection)
    except TimeoutError:
        connection.close()
        raise HttpError(f"{target.authority} does not answer within {timeout:.1f} s") from None
    except OSError as error:
        connection.close()
        raise HttpError(f"{target.authority}: {_why(error)}") from None
    except asyncio.CancelledError:
        connection.close()
        raise


def _watch_liveness(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_IDLE)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_COUNT)


async def _next_event(connection: h11.Connection, reader: asyncio.StreamReader,
                      silence: float) -> h11.Event | None:
    """The next event that is not an interim response; None at the end of the stream."""
    try:
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                data = await asyncio.wait_for(reader.read(READ_SIZE), silence)
                if not data and connection.their_state is h11.SEND_RESPONSE:
                    raise HttpError("it hung up before it answered")
                connection.receive_data(data)
            elif isinstance(event, h11.ConnectionClosed) or event is h11.PAUSED:
                return None
            elif isinstance(event, h11.Event) and not isinstance(event, h11.InformationalResponse):
                return event
    except TimeoutError:
        raise HttpError(f"silent for {silence:.1f} s") from None
    except OSError as error:
        raise HttpError(_why(error)) from None
    except h11.RemoteProtocolError as error:
        raise HttpError(f"not HTTP: {error}") from None


def _why(error: OSError) -> str:
    """The kernel's words; asyncio puts its own in their place."""
    return os.strerror(error.errno) if error.errno else str(error)
