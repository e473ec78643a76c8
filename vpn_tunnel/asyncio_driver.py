"""I/O: the event loop around a `Device`: read, decide, send, write, tell, re-arm; always in that order.

Owns the one timer and the fairness between directions (a bounded batch a wake-up). `Tunnel` is what client and gateway use.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable

from vpn_tunnel.config import PeerConfig
from vpn_tunnel.constants import DEFAULT_MTU
from vpn_tunnel.device import Device, PeerStatus
from vpn_tunnel.events import Event
from vpn_tunnel.keys import PrivateKey, PublicKey
from vpn_tunnel.pump import Pump
from vpn_tunnel.tun import Tun, TunUnavailable, open_tun
from vpn_tunnel.udp_sockets import UdpSockets


def clock() -> float:
    """Seconds since boot, suspend included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Tunnel(Pump):
    """A device with its descriptors, and Python's pump between them. `stop()` closes nothing; `close()` closes what it has."""

    def __init__(self, device: Device, tun: Tun, sockets: UdpSockets) -> None:
        self.device = device
        self.tun = tun
        self.sockets = sockets
        self.on_event: Callable[[Event], None] | None = None
        self.on_tun_gone: Callable[[], None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._armed: float | None = None

    def start(self) -> None:
        """Begin moving packets; inside a running loop."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self.tun.fd, self._tun_readable)
        self._listen()
        self.flush()

    def _listen(self) -> None:
        assert self._loop is not None
        for sock in self.sockets.all:
            self._loop.add_reader(sock.fileno(), self._socket_readable, sock)

    def stop(self) -> None:
        """End; the descriptors stay open."""
        if self._loop is None:
            return
        self._loop.remove_reader(self.tun.fd)
        for sock in self.sockets.all:
            self._loop.remove_reader(sock.fileno())
        if self._timer is not None:
            self._timer.cancel()
        self._loop = self._timer = self._armed = None

    def close(self) -> None:
        """Stop and close descriptors; the interface disappears."""
        self.stop()
        self.tun.close()
        self.sockets.close()

    def replace_sockets(self, sockets: UdpSockets) -> None:
        """Go on with other sockets (another listen port) and close the ones in use."""
        loop = self._loop
        if loop is not None:
            for sock in self.sockets.all:
                loop.remove_reader(sock.fileno())
        self.sockets.close()
        self.sockets = sockets
        if loop is not None:
            self._listen()

    # --- configuration, in force at once ---

    def set_peer(self, config: PeerConfig) -> None:
        """As `Device.set_peer`."""
        self.device.set_peer(config, clock())
        self.flush()

    def remove_peer(self, public_key: PublicKey) -> None:
        """As `Device.remove_peer`."""
        self.device.remove_peer(public_key, clock())
        self.flush()

    def force_initiation(self, public_key: PublicKey) -> bool:
        """As `Device.force_initiation`."""
        sent = self.device.force_initiation(public_key, clock())
        self.flush()
        return sent

    def status(self) -> list[PeerStatus]:
        """As `Device.peers`."""
        return self.device.peers()

    # --- the loop ---

    def _tun_readable(self) -> None:
        try:
            packets = self.tun.read_batch()
        except OSError:  # the interface was deleted under us
            assert self._loop is not None
            self._loop.remove_reader(self.tun.fd)
            if self.on_tun_gone is not None:
                self.on_tun_gone()
            return
        self.device.send_packets(packets, clock())
        self.flush()

    def _socket_readable(self, sock: socket.socket) -> None:
        datagrams = self.sockets.receive(sock)
        if datagrams:
            self.device.receive_datagrams(datagrams, clock())
            self.flush()

    def _deadline(self) -> None:
        self._timer = self._armed = None
        self.device.handle_deadline(clock())
        self.flush()

    def flush(self) -> None:
        """Send, write, tell and re-arm."""
        for batch in self.device.batches_to_send():
            self.sockets.send(batch)
        self.tun.write_all(self.device.packets_to_write())
        while (event := self.device.next_event()) is not None:
            if self.on_event is not None:
                self.on_event(event)
        self._arm()

    def _arm(self) -> None:
        """Keep a timer that fires early enough: re-arming for each packet would cost more than an idle wake-up."""
        when = self.device.next_deadline()
        if self._loop is None or when is None or (self._armed is not None and self._armed <= when):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._armed = when
        self._timer = self._loop.call_later(max(0.0, when - clock()), self._deadline)


def open_tunnel(name: str, *, private_key: PrivateKey, mtu: int = DEFAULT_MTU, listen_port: int = 0,
                fwmark: int = 0) -> Tunnel:
    """Open the interface and the sockets with a new device on this machine's clocks and randomness.

    Raises `TunUnavailable` or `PortUnavailable`."""
    sockets = UdpSockets.open(listen_port, fwmark)
    try:
        tun = open_tun(name, mtu)
    except TunUnavailable:
        sockets.close()
        raise
    device = Device(private_key, random_bytes=os.urandom, unix_time_ns=time.time_ns, mtu=mtu)
    return Tunnel(device, tun, sockets)
