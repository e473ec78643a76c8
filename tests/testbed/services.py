"""I/O: the pods of a test cluster in one process: `python -m tests.testbed.services KIND NAME ADDRESS PORT …`.

Four words a listener: `http` answers with the pod's name and the caller's address, `tcp` and `udp` send back what
comes, `dns` is an office resolver that knows `NAME` → `ADDRESS` and nothing else. Prints `ready` when all listen.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import cast

from dnslib import QTYPE, RCODE, RR, A, DNSRecord

Address = tuple[str, int]


class HttpPod:
    """An HTTP/1.1 server that tells who it is and whom it sees."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request per connection."""
        try:
            await reader.readuntil(b"\r\n\r\n")
            body = f"hello from {self.name}, you are {writer.get_extra_info('peername')[0]}\n".encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n"
                         b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
            await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            pass
        finally:
            writer.close()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send back what comes until the other side ends."""
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


class Udp(asyncio.DatagramProtocol):
    """Answers datagrams: an echo, or one name for the office resolver."""

    def __init__(self, kind: str, name: str, address: str) -> None:
        self.kind, self.name, self.address = kind, name, address

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, source: Address) -> None:
        """One datagram in, one out."""
        self.transport.sendto(data if self.kind == "udp" else self.answer(data), source)

    def answer(self, query: bytes) -> bytes:
        """Our one name, NODATA for its other types, NXDOMAIN for all else."""
        record = DNSRecord.parse(query)
        reply: DNSRecord = record.reply(ra=1)
        if str(record.q.qname).rstrip(".").lower() != self.name:
            reply.header.rcode = RCODE.NXDOMAIN
        elif record.q.qtype == QTYPE.A:
            reply.add_answer(RR(record.q.qname, QTYPE.A, ttl=60, rdata=A(self.address)))
        return bytes(reply.pack())


async def listen(kind: str, name: str, address: str, port: int) -> None:
    """Open one listener."""
    loop = asyncio.get_running_loop()
    if kind in ("http", "tcp"):
        await asyncio.start_server(HttpPod(name).serve if kind == "http" else echo, address, port)
    else:
        await loop.create_datagram_endpoint(lambda: Udp(kind, name, "192.0.2.80"), (address, port))


async def main(words: Sequence[str]) -> None:
    """Listen for ever."""
    for at in range(0, len(words), 4):
        kind, name, address, port = words[at:at + 4]
        await listen(kind, name, address, int(port))
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
