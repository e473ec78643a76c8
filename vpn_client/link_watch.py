"""I/O: hears from the kernel when an interface or an address of this machine changes (rtnetlink(7)).

Owns the netlink socket and the few bytes read from it. Leaves to others: what a change means (`session`).
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Iterator
from typing import Final

RTMGRP_LINK: Final = 1
RTMGRP_IPV4_IFADDR: Final = 0x10
RTMGRP_IPV6_IFADDR: Final = 0x100
RTM_NEWLINK, RTM_DELLINK, RTM_NEWADDR, RTM_DELADDR = 16, 17, 20, 21
_HEADER: Final = struct.Struct("=IHHII")
_BODY: Final = struct.Struct("=4xi")
"""Both ifinfomsg and ifaddrmsg have the interface's index after four bytes."""
MAX_MESSAGE: Final = 64 * 1024
"""Bytes of one datagram."""


class LinkWatch:
    """Calls `changed` after a change on any interface but those that `is_ours` knows."""

    def __init__(self, changed: Callable[[], None], is_ours: Callable[[int], bool]) -> None:
        self._changed = changed
        self._is_ours = is_ours
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE)
        self._socket.bind((0, RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR))
        asyncio.get_running_loop().add_reader(self._socket, self._readable)

    def close(self) -> None:
        """Stop listening."""
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def _readable(self) -> None:
        try:
            data = self._socket.recv(MAX_MESSAGE)
        except BlockingIOError:
            return
        except OSError:
            # ENOBUFS: more happened than fits in the socket. Something did change.
            self._changed()
            return
        if any(not self._is_ours(index) for index in changed_interfaces(data)):
            self._changed()


def changed_interfaces(data: bytes) -> Iterator[int]:
    """The interface index of each link or address message in one datagram of the kernel."""
    at = 0
    while at + _HEADER.size + _BODY.size <= len(data):
        length, kind, _, _, _ = _HEADER.unpack_from(data, at)
        if kind in (RTM_NEWLINK, RTM_DELLINK, RTM_NEWADDR, RTM_DELADDR):
            yield _BODY.unpack_from(data, at + _HEADER.size)[0]
        at += max(_HEADER.size, length + 3 & ~3)
