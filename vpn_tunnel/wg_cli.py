"""I/O: `kvpn-wg [-f] INTERFACE`: a drop-in for wireguard-go, configured through `wg`.

Owns the life of the process: it goes to the background once its socket answers, and ends with SIGTERM, with its interface, or
when its socket file is removed, as wireguard-go does.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Sequence

from vpn_tunnel.asyncio_driver import Tunnel
from vpn_tunnel.backend import chosen
from vpn_tunnel.constants import DEFAULT_MTU
from vpn_tunnel.device import Device
from vpn_tunnel.errors import TunnelError
from vpn_tunnel.tun import open_tun
from vpn_tunnel.uapi_socket import UapiSocket
from vpn_tunnel.udp_sockets import UdpSockets

LOOK = 0.5  # seconds between looks at the socket file


def main(argv: Sequence[str] | None = None) -> int:
    """Run; returns the exit code."""
    parser = argparse.ArgumentParser(prog="kvpn-wg", description="WireGuard in user space; configure it with wg(8).")
    parser.add_argument("-f", "--foreground", action="store_true", help="stay in the foreground")
    parser.add_argument("--version", action="version", version=f"kvpn-wg, {chosen()} data path")
    parser.add_argument("interface", metavar="INTERFACE-NAME")
    args = parser.parse_args(argv)
    foreground = args.foreground or os.environ.get("WG_PROCESS_FOREGROUND") == "1"
    ready = None if foreground else _to_background()
    try:
        asyncio.run(_serve(args.interface, ready))
    except (TunnelError, OSError) as error:
        print(f"kvpn-wg: {args.interface}: {error}", file=sys.stderr)
        return 1
    return 0


def _to_background() -> int:
    """Fork; the parent waits until the child is ready and exits with its verdict. Returns the pipe to write to."""
    reading, writing = os.pipe()
    if os.fork():
        os.close(writing)
        said = os.read(reading, 1)
        os._exit(0 if said == b"1" else 1)
    os.close(reading)
    os.setsid()
    return writing


def _tell_ready(pipe: int) -> None:
    os.write(pipe, b"1")
    os.close(pipe)
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)


async def _serve(name: str, ready: int | None) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    tun = open_tun(name, DEFAULT_MTU)
    device = Device(None, random_bytes=os.urandom, unix_time_ns=time.time_ns)
    tunnel = Tunnel(device, tun, UdpSockets.open())
    tunnel.on_tun_gone = stop.set
    socket = UapiSocket(tunnel)
    try:
        await socket.start()
        tunnel.start()
        if ready is not None:
            _tell_ready(ready)
        while not stop.is_set() and socket.path.exists():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK):
                    await stop.wait()
            device.set_mtu(tun.mtu())
    finally:
        socket.stop()
        tunnel.close()
