"""I/O: the configuration socket `/var/run/wireguard/<interface>.sock`, mode 0600, on which `wg` finds a tunnel.

Owns the socket file and carrying a parsed request out on a `Tunnel`. Leaves the text to `uapi`.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from pathlib import Path
from typing import Final

from vpn_tunnel.asyncio_driver import Tunnel, clock
from vpn_tunnel.config import PeerConfig
from vpn_tunnel.uapi import MAX_LINE, MAX_REQUEST, BadRequest, DeviceChange, PeerChange, parse_set_untrusted, render_get
from vpn_tunnel.udp_sockets import PortUnavailable, UdpSockets

FOLDER: Final = Path("/var/run/wireguard")
MAX_CLIENTS: Final = 16


class UapiSocket:
    """Serves one tunnel."""

    def __init__(self, tunnel: Tunnel, folder: Path = FOLDER) -> None:
        self.path = folder / f"{tunnel.tun.name}.sock"
        self._tunnel = tunnel
        self._fwmark = 0
        self._server: asyncio.Server | None = None
        self._clients = 0

    async def start(self) -> None:
        """Bind. A stale socket file is replaced; one that answers raises OSError (EADDRINUSE)."""
        self.path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        if await self._answers():
            raise OSError(errno.EADDRINUSE, f"{self.path} belongs to a running tunnel")
        self.path.unlink(missing_ok=True)
        before = os.umask(0o077)
        try:
            self._server = await asyncio.start_unix_server(self._serve, self.path, limit=MAX_LINE * 2)
        finally:
            os.umask(before)
        self.path.chmod(0o600)

    async def _answers(self) -> bool:
        try:
            _, writer = await asyncio.open_unix_connection(self.path)
        except OSError:
            return False
        writer.close()
        return True

    def stop(self) -> None:
        """Close and remove the socket file."""
        if self._server is not None:
            self._server.close()
        self.path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._clients >= MAX_CLIENTS:
            writer.close()
            return
        self._clients += 1
        try:
            with contextlib.suppress(ConnectionError, ValueError):
                while line := (await reader.readline()).decode("ascii", "replace").strip():
                    writer.write((await self._answer(line, reader)).encode())
                    await writer.drain()
        finally:
            self._clients -= 1
            writer.close()

    async def _answer(self, operation: str, reader: asyncio.StreamReader) -> str:
        lines = await _until_blank(reader)
        if operation == "get=1" and not lines:
            tunnel = self._tunnel
            text = render_get(tunnel.device.private_key, tunnel.sockets.port, self._fwmark, tunnel.status())
            return f"{text}errno=0\n\n"
        if operation != "set=1":
            return f"errno={errno.EINVAL}\n\n"
        try:
            self._carry_out(parse_set_untrusted(lines))
        except BadRequest as error:
            return f"errno={error.code}\n\n"
        except PortUnavailable:
            return f"errno={errno.EADDRINUSE}\n\n"
        return "errno=0\n\n"

    def _carry_out(self, change: DeviceChange) -> None:
        device, now = self._tunnel.device, clock()
        if change.listen_port is not None and change.listen_port != self._tunnel.sockets.port:
            self._tunnel.replace_sockets(UdpSockets.open(change.listen_port, self._fwmark))
        if change.fwmark is not None:
            self._fwmark = change.fwmark
            self._tunnel.sockets.set_fwmark(change.fwmark)
        changes_key = change.private_key is not None or change.remove_private_key
        if changes_key and change.private_key != device.private_key:
            device.set_private_key(change.private_key, now)
        if change.replace_peers:
            for status in device.peers():
                device.remove_peer(status.public_key, now)
        for peer in change.peers:
            self._carry_out_peer(peer, now)
        self._tunnel.flush()

    def _carry_out_peer(self, change: PeerChange, now: float) -> None:
        device, key = self._tunnel.device, change.public_key
        if change.remove:
            device.remove_peer(key, now)
            return
        if not device.has_peer(key):
            if change.update_only:
                return
            device.set_peer(PeerConfig(key), now)
        if device.has_peer(key):
            device.update_peer(key, now, preshared_key=change.preshared_key or False, endpoint=change.endpoint,
                               persistent_keepalive=change.persistent_keepalive,
                               replace_allowed_ips=change.replace_allowed_ips,
                               add_allowed_ips=change.add_allowed_ips, remove_allowed_ips=change.remove_allowed_ips)


async def _until_blank(reader: asyncio.StreamReader) -> list[str]:
    lines: list[str] = []
    size = 0
    while line := (await reader.readline()).decode("ascii", "replace").strip():
        size += len(line)
        if size > MAX_REQUEST:
            raise ValueError("request too large")
        lines.append(line)
    return lines
