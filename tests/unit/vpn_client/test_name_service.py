"""The session's resolver on loopback: TTL zero, SERVFAIL without a directory, forwarding only on demand."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

import dns.asyncquery
import dns.message
import dns.rcode
import pytest

from tests.unit.vpn_client.fakes import ITEMS
from tests.unit.vpn_client.test_probe import resolver
from vpn_client import name_service
from vpn_client.exit_codes import Failure
from vpn_client.name_service import NameService
from vpn_client.session import DirectoryLink
from vpn_directory.model import Delete, Put, Service, ServiceKind

WEB = "web.shop.svc.cluster.local."


@pytest.fixture(autouse=True)
def any_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(name_service, "PORT", 0)


def with_names(then: Callable[[NameService, int], Awaitable[None]]) -> None:
    async def go() -> None:
        names = NameService(("cluster.local",))
        _, port = await names.start("127.0.0.1")
        try:
            await then(names, port)
        finally:
            await names.stop()
    asyncio.run(go())


async def ask(port: int, name: str, kind: str = "A") -> dns.message.Message:
    return await dns.asyncquery.udp(dns.message.make_query(name, kind), "127.0.0.1", timeout=5, port=port)


def test_no_directory_no_answer() -> None:
    async def then(names: NameService, port: int) -> None:
        assert (await ask(port, WEB)).rcode() == dns.rcode.SERVFAIL
        names.apply(map(Put, ITEMS))
        for link, code in ((DirectoryLink.LIVE, dns.rcode.NOERROR), (DirectoryLink.STALE, dns.rcode.NOERROR),
                           (DirectoryLink.LOST, dns.rcode.NOERROR), (DirectoryLink.EXPIRED, dns.rcode.SERVFAIL)):
            names.set_link(link)
            assert (await ask(port, WEB)).rcode() == code
    with_names(then)


def test_every_change_is_seen_by_the_next_look_up() -> None:
    async def then(names: NameService, port: int) -> None:
        names.apply(map(Put, ITEMS))
        names.set_link(DirectoryLink.LIVE)
        answer = (await ask(port, WEB)).answer[0]
        assert (answer.ttl, answer[0].to_text()) == (0, "10.96.0.7")
        moved = Service("cluster.local", "shop", "web", ServiceKind.CLUSTER_IP, ("10.96.0.8",), ("10.96.0.8",))
        names.apply([Put(moved)])
        assert (await ask(port, WEB)).answer[0][0].to_text() == "10.96.0.8"
        names.apply([Delete(moved.key)])
        gone = await ask(port, WEB)
        assert gone.rcode() == dns.rcode.NXDOMAIN
        assert gone.authority[0].ttl == 0
        assert gone.authority[0][0].minimum == 0
    with_names(then)


def test_others_names_are_forwarded_only_when_the_host_sends_everything() -> None:
    async def then(names: NameService, port: int) -> None:
        (host, upstream), sock = await resolver(("A 192.0.2.80",), 0)
        try:
            assert (await ask(port, "intranet.example.")).rcode() == dns.rcode.REFUSED
            names.forward_to([f"{host}:{upstream}"])
            names.set_link(DirectoryLink.LIVE)
            assert (await ask(port, "kvpn.example.")).answer[0][0].to_text() == "192.0.2.80"
            assert (await ask(port, "nope.cluster.local.")).rcode() == dns.rcode.NXDOMAIN
            names.forward_to([])
            assert (await ask(port, "kvpn.example.")).rcode() == dns.rcode.REFUSED
        finally:
            asyncio.get_running_loop().remove_reader(sock)
            sock.close()
    with_names(then)


def test_only_this_host_is_answered() -> None:
    async def then(names: NameService, port: int) -> None:
        assert [names._is_local(source) for source in ("127.0.0.1", "::1", "198.18.0.9", "192.0.2.1")] == [
            True, True, False, False]
        assert names._server._allowed == names._is_local
    with_names(then)


def test_queries_are_counted() -> None:
    async def then(names: NameService, port: int) -> None:
        await ask(port, WEB)
        assert names.counters()["queries"] == 1
    with_names(then)


def test_a_taken_port_leads_to_another_and_then_to_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    async def go() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken, \
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            for each in (taken, free):
                each.bind(("127.0.0.1", 0))
            first, second = taken.getsockname()[1], free.getsockname()[1]
            monkeypatch.setattr(name_service, "PORT", first)
            monkeypatch.setattr(name_service, "FALLBACK_PORTS", (second,))
            names = NameService(("cluster.local",))
            with pytest.raises(Failure, match="Address already in use"):
                await names.start("127.0.0.1")
            free.close()
            assert await names.start("127.0.0.1") == ("127.0.0.1", second)
            await names.stop()
    asyncio.run(go())
