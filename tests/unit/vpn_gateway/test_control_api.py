"""The control API over loopback: who may ask, and what the answers hold."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from tests.unit.vpn_directory.fixtures import located, pod
from tests.unit.vpn_gateway.objects import CONFIG, key, peer
from vpn_directory.codec import decode_untrusted
from vpn_directory.messages import ChangeSet, Gone, ListEnd, ListHead, Mark
from vpn_gateway.control_api import ControlApi
from vpn_gateway.state import GatewayState
from vpn_tunnel.device import Device

Call = Callable[[ControlApi, GatewayState, aiohttp.ClientSession, str], Awaitable[None]]


def serve(check: Call, *, known: bool = True, health: list[str] | None = None) -> None:
    async def run() -> None:
        state = GatewayState(replace(CONFIG), "epoch1", 0.0)
        state.replace_objects(located(peer("a"), pod("shop", "p", "10.1.0.1")), (), 0.0, 0.0)
        state.publisher.flush(0.1)
        if known:
            state.by_address["127.0.0.1"] = state.live[0]
        device = Device(None, random_bytes=os.urandom, unix_time_ns=lambda: 0)
        api = ControlApi(state, device, "PUBLIC", lambda: health or [])
        await api.start(port=0, hosts=("127.0.0.1",))
        assert api._runner is not None
        port = api._runner.addresses[0][1]
        async with aiohttp.ClientSession(headers={"Host": "198.18.0.1:4780"}) as session:
            await asyncio.wait_for(check(api, state, session, f"http://127.0.0.1:{port}"), 20)
        await api.stop()

    asyncio.run(run())


def test_session() -> None:
    async def check(api: ControlApi, state: GatewayState, session: aiohttp.ClientSession, url: str) -> None:
        body = await (await session.get(f"{url}/v1/session")).json()
        assert body["peer"]["name"] == "a"
        assert body["peer"]["publicKey"] == key("a")
        assert body["policy"] == "open"
        assert body["gateway"]["publicKey"] == "PUBLIC"

    serve(check)


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Host": "127.0.0.1"}, {"Origin": "http://evil.example"},
                                     {"Origin": "null"}])
def test_foreign_host_and_origin_are_forbidden(headers: dict[str, str]) -> None:
    async def check(api: ControlApi, state: GatewayState, session: aiohttp.ClientSession, url: str) -> None:
        for path in ("/v1/session", "/v1/directory", "/healthz", "/metrics", "/nowhere"):
            assert (await session.get(url + path, headers=headers)).status == 403

    serve(check)


@pytest.mark.parametrize("host", ["198.18.0.1", "[fd6b:7670:6e00::1]:4780", "kvpn-gateway.kvpn-system",
                                  "kvpn-gateway.kvpn-system.svc.cluster.local:4780"])
def test_its_own_names_are_served(host: str) -> None:
    async def check(api: ControlApi, state: GatewayState, session: aiohttp.ClientSession, url: str) -> None:
        assert (await session.get(f"{url}/v1/session", headers={"Host": host})).status == 200

    serve(check)


def test_a_source_that_is_no_peer_is_forbidden() -> None:
    async def check(api: ControlApi, state: GatewayState, session: aiohttp.ClientSession, url: str) -> None:
        assert (await session.get(f"{url}/v1/session")).status == 403

    serve(check, known=False)


def test_listing_then_changes_and_resume() -> None:
    async def check(api: ControlApi, state: GatewayState, session: aiohttp.ClientSession, url: str) -> None:
        lines = [decode_untrusted(line) for line in (await (await session.get(f"{url}/v1/directory")).read()).splitlines()]
        head = lines[0]
        assert isinstance(head, ListHead)
        assert isinstance(lines[-2], ListEnd)
        response = await session.get(f"{url}/v1/directory?watch=1&epoch={head.epoch}&rev={head.rev}")
        state.replace_objects(located(peer("a"), pod("shop", "q", "10.1.0.2")), (), 1.0, 1.0)
        state.publisher.flush(1.0)
        api.published()
        seen: list[Any] = []
        while not any(isinstance(message, ChangeSet) for message in seen):
            seen.append(decode_untrusted(await response.content.readline()))
        assert isinstance(seen[0], Mark)
        response.close()

    serve(check)


def test_a_resumed_watch_gets_what_it_missed_at_once() -> None:
    async def check(api: ControlApi, state: GatewayState, session: aiohttp.ClientSession, url: str) -> None:
        rev = state.publisher.rev
        state.replace_objects(located(peer("a"), pod("shop", "q", "10.1.0.2")), (), 1.0, 1.0)
        state.publisher.flush(1.0)
        state.by_address["127.0.0.1"] = state.live[0]
        response = await session.get(f"{url}/v1/directory?watch=1&epoch=epoch1&rev={rev}")
        assert isinstance(decode_untrusted(await response.content.readline()), ChangeSet)
        response.close()

    serve(check)


@pytest.mark.parametrize("query", ["epoch=other&rev=1", "epoch=epoch1&rev=99", "epoch=epoch1&rev=x", "epoch=epoch1"])
def test_a_revision_that_is_not_held_is_gone(query: str) -> None:
    async def check(api: ControlApi, state: GatewayState, session: aiohttp.ClientSession, url: str) -> None:
        response = await session.get(f"{url}/v1/directory?watch=1&{query}")
        assert response.status == 410
        assert isinstance(decode_untrusted(await response.read()), Gone)

    serve(check)


def test_gzip_for_whoever_takes_it() -> None:
    async def check(api: ControlApi, state: GatewayState, session: aiohttp.ClientSession, url: str) -> None:
        async with aiohttp.ClientSession(auto_decompress=False, headers={"Host": "198.18.0.1"}) as raw:
            response = await raw.get(f"{url}/v1/directory", headers={"Accept-Encoding": "gzip"})
            assert gzip.decompress(await response.read()).startswith(b'{"count"')

    serve(check)


def test_health_is_honest_and_metrics_count() -> None:
    async def failing(api: ControlApi, state: GatewayState, session: aiohttp.ClientSession, url: str) -> None:
        response = await session.get(f"{url}/healthz")
        assert (response.status, json.loads(await response.read())["reasons"]) == (503, ["no filter"])
        text = await (await session.get(f"{url}/metrics")).text()
        assert "kvpn_peers 1\n" in text
        assert "kvpn_policy_open 1\n" in text

    serve(failing, health=["no filter"])
