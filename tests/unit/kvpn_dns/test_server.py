"""The sockets: UDP and TCP, pipelining, split prefixes, limits, forwarding."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import dns.message
import pytest

from kvpn_dns import server as server_module
from kvpn_dns.forward import Upstream
from kvpn_dns.server import DnsServer
from kvpn_dns.upstream_io import Forwarder
from tests.unit.kvpn_dns.world import answerer

NAME = "web.shop.svc.cluster.local"


def query(name: str = NAME) -> bytes:
    return dns.message.make_query(name, "A", use_edns=False).to_wire()


def framed(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


async def over_udp(address: tuple[str, int], data: bytes) -> dns.message.Message:
    loop = asyncio.get_running_loop()
    done: asyncio.Future[bytes] = loop.create_future()

    class Client(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: object) -> None:
            if not done.done():
                done.set_result(data)

    transport, _ = await loop.create_datagram_endpoint(Client, remote_addr=address)
    transport.sendto(data)
    try:
        return dns.message.from_wire(await asyncio.wait_for(done, 5))
    finally:
        transport.close()


async def take(reader: asyncio.StreamReader) -> dns.message.Message:
    size = int.from_bytes(await reader.readexactly(2), "big")
    return dns.message.from_wire(await reader.readexactly(size))


def served(check: Callable[[DnsServer, tuple[str, int]], Awaitable[None]], host: str = "127.0.0.1", *,
           forwarder: Forwarder | None = None, allowed: Callable[[str], bool] | None = None) -> DnsServer:
    async def run() -> DnsServer:
        server = DnsServer(answerer(), forwarder, allowed)
        await server.start([(host, 0)])
        try:
            await asyncio.wait_for(check(server, server.addresses[0]), 15)
        finally:
            await server.stop()
        return server

    return asyncio.run(run())


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_udp_and_tcp_answer_the_same(host: str) -> None:
    async def check(server: DnsServer, address: tuple[str, int]) -> None:
        reply = await over_udp(address, query())
        reader, writer = await asyncio.open_connection(*address)
        writer.write(framed(query()))
        assert (await take(reader)).answer == reply.answer
        writer.close()

    served(check, host)


def test_many_queries_on_one_connection_pipelined_and_split_anywhere() -> None:
    async def check(server: DnsServer, address: tuple[str, int]) -> None:
        reader, writer = await asyncio.open_connection(*address)
        stream = framed(query()) * 3
        writer.write(stream[:1])
        await writer.drain()
        await asyncio.sleep(0)
        writer.write(stream[1:])
        for _ in range(3):
            assert (await take(reader)).answer
        writer.close()

    served(check)


def test_connections_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "MAX_TCP_CONNECTIONS", 1)

    async def check(server: DnsServer, address: tuple[str, int]) -> None:
        first, writer = await asyncio.open_connection(*address)
        writer.write(framed(query()))
        await take(first)
        second, other = await asyncio.open_connection(*address)
        assert await second.read() == b""
        writer.close()
        other.close()

    assert served(check).counters["tcp_refused"] == 1


def test_an_idle_connection_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "TCP_IDLE", 0.05)

    async def check(server: DnsServer, address: tuple[str, int]) -> None:
        reader, writer = await asyncio.open_connection(*address)
        assert await reader.read() == b""
        writer.close()

    served(check)


def test_sources_that_may_not_ask_get_silence() -> None:
    async def check(server: DnsServer, address: tuple[str, int]) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(over_udp(address, query()), 0.2)

    assert served(check, allowed=lambda host: False).counters["dropped_source"] == 1


def test_names_of_others_are_relayed_over_both_transports_and_never_owned_ones() -> None:
    async def run() -> None:
        upstream = DnsServer(answerer())
        upstream.answerer.index.short.clear()
        await upstream.start([("127.0.0.1", 0)])
        objects = answerer(objects=[])
        server = DnsServer(objects, Forwarder([Upstream(*upstream.addresses[0])]))
        objects.index.zones.clear()  # so that the name is the upstream's
        await server.start([("127.0.0.1", 0)])
        assert (await over_udp(server.addresses[0], query())).answer
        reader, writer = await asyncio.open_connection(*server.addresses[0])
        writer.write(framed(query()))
        assert (await take(reader)).answer
        writer.close()
        assert server.forwarder is not None
        assert server.forwarder.counters["answered"] == 2
        await server.stop()
        await upstream.stop()

    asyncio.run(run())


def test_without_an_upstream_names_of_others_are_refused() -> None:
    async def check(server: DnsServer, address: tuple[str, int]) -> None:
        assert (await over_udp(address, query("www.example.org"))).rcode() == 5

    served(check)


def test_an_address_in_use_leaves_nothing_bound() -> None:
    async def check(server: DnsServer, address: tuple[str, int]) -> None:
        other = DnsServer(answerer())
        with pytest.raises(OSError, match="in use"):
            await other.start([("127.0.0.1", 0), address])
        assert other.addresses == []

    served(check)
