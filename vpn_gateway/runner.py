"""I/O: the gateway as a process: opens the TUN, follows the object files, carries out what `state` decides.

Owns order: closed doors first, then addresses, then peers; and that everything it made is gone when it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import signal
import time
from typing import Final

from vpn_directory.object_files import Fingerprint, ObjectFiles, ObjectsMissing
from vpn_gateway.config import GatewayConfig
from vpn_gateway.control_api import ControlApi
from vpn_gateway.linux_forwarding import enable_forwarding, host_addresses
from vpn_gateway.packet_filter import REMOVE_SCRIPT, base_script
from vpn_gateway.private_key import load_or_create
from vpn_gateway.state import Actions, GatewayState
from vpn_tunnel.asyncio_driver import Tunnel, clock, open_tunnel
from vpn_tunnel.host_commands import CommandError, ip_json, run_ip, run_nft

POLL: Final = 0.1  # seconds between looks at the object files
EXPIRY: Final = 1.0  # seconds between looks for expired peers
LOG: Final = logging.getLogger("kvpn.gateway")


def _today() -> float:
    """Unix seconds: a Peer expires at a date, not after a run time."""
    return time.time_ns() / 1e9


class Gateway:
    """One run of the gateway."""

    def __init__(self, config: GatewayConfig) -> None:
        self._config = config
        self._files = ObjectFiles(config.objects)
        self._seen: Fingerprint | None = None
        self._state = GatewayState(config, secrets.token_hex(8), clock())
        self._failing: dict[str, str] = {"objects": "no objects have been read yet", "filter": "no filter is in force yet"}
        self._ticked = 0.0
        self._told = 0

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        config = self._config
        key = load_or_create(config.private_key_file)
        run_nft(base_script(config, host_addresses(ip_json("addr"), config.interface)))
        try:
            tunnel = open_tunnel(config.interface, private_key=key, mtu=config.mtu, listen_port=config.listen_port)
            try:
                await self._serve(tunnel, str(key.public_key()))
            finally:
                tunnel.close()
        finally:
            run_nft(REMOVE_SCRIPT)

    async def _serve(self, tunnel: Tunnel, public_key: str) -> None:
        stop = asyncio.Event()
        tunnel.on_tun_gone = stop.set
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        self._configure_host()
        self._failing.pop("filter", None)
        api = ControlApi(self._state, tunnel.device, public_key, lambda: list(self._failing.values()))
        LOG.info("policy: open: every peer reaches every address of the directory")
        await self._read_objects(tunnel)
        await api.start()
        tunnel.start()
        LOG.info("ready: WireGuard on UDP %d, public key %s, %d peers", tunnel.sockets.port, public_key, len(self._state.live))
        try:
            while not stop.is_set():
                await self._round(tunnel, api, stop)
        finally:
            LOG.info("ending")
            await api.stop()

    def _configure_host(self) -> None:
        config = self._config
        v4, v6 = config.addresses
        run_ip(f"addr add {v4}/{config.pool4.prefixlen} dev {config.interface}",
               f"addr add {v6}/{config.pool6.prefixlen} dev {config.interface} nodad",
               f"link set {config.interface} up txqueuelen 1000")
        for problem in enable_forwarding(config.interface):
            LOG.warning(problem)

    async def _round(self, tunnel: Tunnel, api: ControlApi, stop: asyncio.Event) -> None:
        wait = min(POLL, max(0.0, self._state.publisher.next_deadline() - clock()))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await stop.wait()
        now = clock()
        if now - self._ticked >= EXPIRY:
            self._ticked = now
            await self._carry_out(tunnel, self._state.tick(now, _today()))
        await self._read_objects(tunnel)
        self._state.publisher.poll(clock())
        if self._told != self._state.publisher.told:
            self._told = self._state.publisher.told
            api.published()

    async def _read_objects(self, tunnel: Tunnel) -> None:
        try:
            seen = await asyncio.to_thread(self._files.fingerprint)
            if seen == self._seen:
                return
            loaded = await asyncio.to_thread(self._files.read)
        except (OSError, ObjectsMissing) as error:
            self._lost_objects(str(error))
            return
        self._seen = seen
        self._state.publisher.set_stale(False)
        if self._failing.pop("objects", None):
            LOG.info("objects read from %s", self._config.objects)
        await self._carry_out(tunnel, self._state.replace_objects(loaded.objects, loaded.errors, clock(), _today()))

    def _lost_objects(self, why: str) -> None:
        if self._failing.get("objects") != why:
            LOG.error("objects: %s; the last good state stays in force", why)
        self._failing["objects"] = why
        self._seen = None
        self._state.publisher.set_stale(True)

    async def _carry_out(self, tunnel: Tunnel, actions: Actions) -> None:
        for line in actions.said:
            LOG.info(line)
        for public_key in actions.remove:
            tunnel.remove_peer(public_key)
        if actions.filter_script:
            try:
                await asyncio.to_thread(run_nft, actions.filter_script)
            except CommandError as error:
                self._failing["filter"] = f"the packet filter refused a change: {error.why}"
                LOG.error(self._failing["filter"])
        for peer in actions.add:
            tunnel.set_peer(peer.config())
