"""A control API on loopback that answers each request with bytes that the test has chosen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from vpn_client.http_client import Target

Answer = Callable[[str, asyncio.StreamWriter], Awaitable[None]]


def head(status: int = 200, *lines: str) -> bytes:
    """A response's head; without a length the body ends with the connection."""
    return "\r\n".join((f"HTTP/1.1 {status} X", "Connection: close", *lines, "", "")).encode()


@asynccontextmanager
async def gateway(answer: Answer) -> AsyncIterator[tuple[Target, list[str]]]:
    """(where it listens, the request heads that it has read)."""
    requests: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            requests.append((await reader.readuntil(b"\r\n\r\n")).decode())
            await answer(requests[-1].split()[1], writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield Target("127.0.0.1", server.sockets[0].getsockname()[1]), requests
    finally:
        server.close()
