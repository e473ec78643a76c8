"""I/O: the TUN device, opened through pytun, read and written as whole IP packets.

Owns the descriptor. Leaves addresses, routes and link state to whoever plans the host.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from typing import Final

import pytun

from vpn_tunnel.constants import DEFAULT_MTU
from vpn_tunnel.errors import TunnelError

READ_BATCH: Final = 64  # packets taken at one wake-up, so that one direction cannot starve the other
_LARGEST: Final = 65_535  # bytes


class TunUnavailable(TunnelError):
    """The device cannot be opened; the message says why and what to do."""


class Tun:
    """An open TUN interface without packet information header, non-blocking."""

    def __init__(self, device: pytun.TunTapDevice) -> None:
        self._device = device
        self.name: str = device.name
        self.fd: int = device.fileno()
        self.write_errors = 0
        os.set_blocking(self.fd, False)

    def read_batch(self) -> list[bytes]:
        """What waits in the queue, at most `READ_BATCH` packets. Raises OSError once the interface is gone."""
        packets: list[bytes] = []
        with contextlib.suppress(BlockingIOError):
            while len(packets) < READ_BATCH:
                packets.append(os.read(self.fd, _LARGEST))
        return packets

    def write_all(self, packets: Sequence[bytes]) -> None:
        """Hand packets to the host. One that it refuses (link down, malformed) is counted and the rest go on."""
        for packet in packets:
            try:
                os.write(self.fd, packet)
            except OSError:
                self.write_errors += 1

    def mtu(self) -> int:
        """The interface's MTU now: the host may change it."""
        try:
            return int(self._device.mtu)
        except (pytun.Error, OSError):
            return DEFAULT_MTU

    def close(self) -> None:
        """Close the descriptor; the interface goes with it."""
        self._device.close()


def open_tun(name: str, mtu: int = DEFAULT_MTU) -> Tun:
    """Create the interface `name` (`%d` lets the kernel number it) with this MTU. Raises `TunUnavailable`."""
    try:
        device = pytun.TunTapDevice(name=name, flags=pytun.IFF_TUN | pytun.IFF_NO_PI)
    except (pytun.Error, OSError) as error:
        raise TunUnavailable(f"cannot open TUN device {name}: {error}; it takes /dev/net/tun and CAP_NET_ADMIN, "
                             "and a name that is not in use") from error
    device.mtu = mtu
    return Tun(device)
