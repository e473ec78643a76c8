"""I/O: a TUN in each of two namespaces, joined by a thread that carries packets: a tunnel with nothing in between."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import threading
from types import TracebackType
from typing import Self

from tests.testbed.netns import Namespace, inside

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000


def open_tun(name: str) -> int:
    """A TUN in this thread's namespace; it dies with its descriptor."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return fd


class TunPair:
    """What goes into one TUN comes out of the other; packets over `limit` bytes vanish without a word."""

    def __init__(self, one: Namespace, one_name: str, other: Namespace, other_name: str, *, limit: int = 65535) -> None:
        with inside(one.path):
            self._one = open_tun(one_name)
        with inside(other.path):
            self._other = open_tun(other_name)
        self._limit = limit
        self._stop, self._stopped = os.pipe()
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._thread.start()

    def _carry(self) -> None:
        ways = {self._one: self._other, self._other: self._one}
        while True:
            ready, _, _ = select.select([*ways, self._stop], [], [])
            if self._stop in ready:
                return
            for fd in ready:
                self._pass(fd, ways[fd])

    def _pass(self, source: int, target: int) -> None:
        try:
            packet = os.read(source, 65536)
            if len(packet) <= self._limit:
                os.write(target, packet)
        except OSError:
            return  # A TUN that is down refuses (EIO), as a cable that is not plugged in would.

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        os.write(self._stopped, b".")
        self._thread.join()
        for fd in (self._one, self._other, self._stop, self._stopped):
            os.close(fd)
