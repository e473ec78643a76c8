"""I/O: the control API, HTTP/JSON on the gateway's tunnel addresses and nowhere else.

The source address is the identity: cryptokey routing has proved it. Owns refusing everybody and everything else (foreign Host
or Origin: a page in a browser must not read it), and streaming the directory with bounded queues.
"""

from __future__ import annotations

import asyncio
import ipaddress
import zlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from aiohttp import web

from vpn_directory.codec import encode
from vpn_directory.gateway_service import CONTROL_PORT, NAME, NAMESPACE
from vpn_directory.messages import Gone, Message
from vpn_directory.publisher import Subscription
from vpn_directory.version import VERSION
from vpn_gateway.metrics import render
from vpn_gateway.state import GatewayState, LivePeer
from vpn_tunnel.device import Device

MAX_WATCHES: Final = 4096
WRITE_AT_ONCE: Final = 64 * 1024  # bytes gathered before the loop is given back
STALLED: Final = 30.0  # seconds that a reader may keep us from writing
_PEER: Final = web.RequestKey("peer", LivePeer)


class ControlApi:
    """Serves one gateway's state."""

    def __init__(self, state: GatewayState, device: Device, public_key: str, health: Callable[[], list[str]]) -> None:
        self._state = state
        self._device = device
        self._public_key = public_key
        self._health = health
        self._runner: web.AppRunner | None = None
        self._wakers: set[asyncio.Event] = set()

    async def start(self, port: int = CONTROL_PORT, hosts: tuple[str, ...] | None = None) -> None:
        """Listen on the tunnel addresses."""
        app = web.Application(middlewares=[self._guard])
        app.add_routes([web.get("/v1/session", self._session), web.get("/v1/directory", self._directory),
                        web.get("/healthz", self._healthz), web.get("/metrics", self._metrics)])
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await self._runner.setup()
        for host in hosts or self._state.config.addresses:
            await web.TCPSite(self._runner, host, port).start()

    async def stop(self) -> None:
        """Close every connection."""
        for waker in self._wakers:
            waker.set()
        if self._runner is not None:
            await self._runner.cleanup()

    def published(self) -> None:
        """Something was published: watchers write."""
        for waker in self._wakers:
            waker.set()

    # --- who may ask ---

    @web.middleware
    async def _guard(self, request: web.Request,
                     handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> web.StreamResponse:
        peer = self._state.by_address.get(_canonical(request.remote))
        if peer is None:
            return _refused("this address is no peer's")
        if not self._is_own_host(request.headers.get("Host", "")):
            return _refused("the Host header names somebody else")
        origin = request.headers.get("Origin")
        if origin is not None and not self._is_own_host(origin.partition("://")[2]):
            return _refused("requests from other origins are not served")
        request[_PEER] = peer
        return await handler(request)

    def _is_own_host(self, text: str) -> bool:
        host = text.lower().removesuffix(f":{CONTROL_PORT}").strip("[]")
        short = f"{NAME}.{NAMESPACE}"
        return host in (*self._state.config.addresses, short, f"{short}.svc", f"{short}.svc.{self._state.config.cluster_domain}")

    # --- answers ---

    async def _session(self, request: web.Request) -> web.StreamResponse:
        state, peer = self._state, request[_PEER]
        publisher = state.publisher
        return web.json_response({
            "version": 1,
            "gateway": {"version": VERSION, "publicKey": self._public_key, "epoch": publisher.epoch},
            "peer": {"name": peer.peer.name, "publicKey": str(peer.peer.public_key), "addresses": list(peer.addresses)},
            "policy": "open",
            "dns": {"clusterDomain": state.config.cluster_domain, "clustersetDomain": state.config.clusterset_domain},
            "directory": {"epoch": publisher.epoch, "rev": publisher.rev, "stale": publisher.stale},
            "mtu": state.config.mtu})

    async def _healthz(self, request: web.Request) -> web.StreamResponse:
        reasons = self._health()
        body = {"status": "failing" if reasons else "ok", "reasons": reasons, "warnings": self._state.problems}
        return web.json_response(body, status=503 if reasons else 200)

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text=render(self._state, self._device), content_type="text/plain")

    async def _directory(self, request: web.Request) -> web.StreamResponse:
        query = request.query
        publisher = self._state.publisher
        if "watch" not in query:
            return await self._stream(request, publisher.listing(), None)
        if len(self._wakers) >= MAX_WATCHES:
            return web.json_response({"error": f"{MAX_WATCHES} watches are open already"}, status=503)
        if "epoch" not in query:
            return await self._stream(request, publisher.listing(), publisher.subscribe())
        rev = query.get("rev", "")
        resumed = publisher.resume(query["epoch"], int(rev)) if rev.isascii() and rev.isdigit() and len(rev) <= 20 else None
        if resumed is None:
            return web.Response(status=410, body=encode(Gone("that revision is no longer held; list again")),
                                content_type="application/x-ndjson")
        return await self._stream(request, [], resumed)

    async def _stream(self, request: web.Request, first: list[Message], then: Subscription | None) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson", "Cache-Control": "no-store"})
        squeeze = None
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            response.headers["Content-Encoding"] = "gzip"
            squeeze = zlib.compressobj(6, zlib.DEFLATED, 31)
        waker = asyncio.Event()
        waker.set()  # a resumed watch has what it missed
        self._wakers.add(waker)
        try:
            await response.prepare(request)
            await _write(response, squeeze, first)
            while then is not None and await self._follow(response, squeeze, then, waker):
                pass
            if squeeze is not None:
                await response.write(squeeze.flush())
        except (ConnectionError, TimeoutError):
            pass  # the reader went away, or stopped reading
        finally:
            self._wakers.discard(waker)
            if then is not None:
                self._state.publisher.unsubscribe(then)
        return response

    async def _follow(self, response: web.StreamResponse, squeeze: Any, then: Subscription, waker: asyncio.Event) -> bool:
        await waker.wait()
        waker.clear()
        messages = []
        while (message := then.take()) is not None:
            messages.append(message)
        await _write(response, squeeze, messages)
        return not then.ended and self._runner is not None


async def _write(response: web.StreamResponse, squeeze: Any, messages: list[Message]) -> None:
    """Lines in portions, so that a long list never blocks the loop."""
    lines: list[bytes] = []
    size = 0
    for number, message in enumerate(messages, 1):
        line = encode(message)
        lines.append(line)
        size += len(line)
        if size >= WRITE_AT_ONCE or number == len(messages):
            data = b"".join(lines)
            lines, size = [], 0
            if squeeze is not None:
                data = squeeze.compress(data) + squeeze.flush(zlib.Z_SYNC_FLUSH)
            async with asyncio.timeout(STALLED):
                await response.write(data)
            await asyncio.sleep(0)


def _canonical(remote: str | None) -> str:
    try:
        address = ipaddress.ip_address((remote or "").partition("%")[0])
    except ValueError:
        return ""
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def _refused(why: str) -> web.Response:
    body: Mapping[str, str] = {"error": "forbidden", "reason": why}
    return web.json_response(body, status=403)
