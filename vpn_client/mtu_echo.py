"""I/O: ICMP echoes through the tunnel, to measure which inner sizes its path carries.

Owns the echo socket and the waiting. Leaves to others: the sizes and the verdict (`mtu_probe`), the outer sockets' DF bit
(`vpn_tunnel.udp_sockets`, switched by a function that is handed in). Blocking: call it off the event loop.

Uses an unprivileged ping socket where net.ipv4.ping_group_range allows, else a raw one, else says that it cannot.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address
from typing import Final

from vpn_client.mtu_probe import FLOOR_IPV4, FLOOR_IPV6, TRIES, MtuProbe, Verdict
from vpn_tunnel.ip_packet import checksum

PATIENCE: Final = 0.4
"""Seconds to wait for a first answer, per try."""
LEAST_WAIT: Final = 0.05
"""Seconds to wait for the other answers after the first one; four round trips if those take longer."""
_IP_MTU_DISCOVER: Final = 10
_IPV6_MTU_DISCOVER: Final = 23
_PMTUDISC_PROBE: Final = 3  # never fragment, believe no cached path MTU (ip(7))
_ECHO = struct.Struct("!BBHHH")
"""Type, code, checksum, identifier, sequence number (RFC 792, RFC 4443 §4.1)."""
_TOKEN: Final = 8
"""Bytes of randomness in each echo: nobody else's answer counts."""


class Echo:
    """The form of an echo in one IP version."""

    def __init__(self, version: int) -> None:
        self.header = 20 if version == 4 else 40
        self.request, self.reply = (8, 0) if version == 4 else (128, 129)
        self.version = version
        self.token = os.urandom(_TOKEN)
        self.identifier = int.from_bytes(self.token[:2], "big")

    def build(self, size: int) -> bytes:
        """The ICMP part of an echo request whose IP packet has `size` bytes."""
        body = self.token + bytes(size - self.header - _ECHO.size - _TOKEN)
        without = _ECHO.pack(self.request, 0, 0, self.identifier, 1) + body
        return _ECHO.pack(self.request, 0, checksum(without), self.identifier, 1) + body

    def size_of_untrusted(self, data: bytes, *, with_header: bool) -> int | None:
        """The IP packet's size if `data` is an answer to one of ours, else None."""
        start = (data[0] & 15) * 4 if with_header and data else 0
        message = data[start:]
        ours = len(message) >= _ECHO.size + _TOKEN and message[0] == self.reply and message[8:16] == self.token
        return self.header + len(message) if ours else None


def measure(own: str, gateway: str, upper: int, *, ipv6_inside: bool = True,
            set_dont_fragment: Callable[[bool], None] | None = None, patience: float = PATIENCE) -> Verdict:
    """What the path between our tunnel address and the gateway's carries, both ways.

    `upper`: the configured MTU, which the TUN has while this runs. `ipv6_inside`: then nothing below 1280 is tried.
    `set_dont_fragment`: switches DF on the tunnel's outer sockets, on before and off after.
    """
    probe = MtuProbe(upper, min(upper, FLOOR_IPV6 if ipv6_inside else FLOOR_IPV4))
    echo = Echo(ip_address(gateway).version)
    switch = set_dont_fragment or (lambda on: None)
    try:
        sock, raw = _open(echo.version)
    except OSError as error:
        return Verdict(upper, False, f"{upper} bytes, not measured: no ICMP socket ({error.strerror}); "
                                     "net.ipv4.ping_group_range decides")
    with sock:
        switch(True)
        try:
            sock.bind((own, 0))
            for _ in range(TRIES):
                _try(sock, (gateway, 0), echo, probe, raw and echo.version == 4, patience)
                if probe.done:
                    break
        except OSError as error:
            return Verdict(upper, False, f"{upper} bytes, not measured: {error.strerror}")
        finally:
            switch(False)
    return probe.verdict()


def _open(version: int) -> tuple[socket.socket, bool]:
    """(socket, whether it is raw); it never lets the inner packet be fragmented."""
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    protocol = socket.IPPROTO_ICMP if version == 4 else socket.IPPROTO_ICMPV6
    raw = False
    try:
        sock = socket.socket(family, socket.SOCK_DGRAM, protocol)
    except PermissionError:
        sock, raw = socket.socket(family, socket.SOCK_RAW, protocol), True
    if version == 4:
        sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _PMTUDISC_PROBE)
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _PMTUDISC_PROBE)
    sock.setblocking(False)
    return sock, raw


def _try(sock: socket.socket, target: tuple[str, int], echo: Echo, probe: MtuProbe, with_header: bool,
         patience: float) -> None:
    """Send what has not been answered, all at once; collect answers."""
    for size in probe.unanswered():
        with suppress(OSError):  # Larger than the TUN's MTU, or a full queue: as good as lost.
            sock.sendto(echo.build(size), target)
    began = time.monotonic()
    until = began + patience
    heard = False
    while not probe.done and select.select([sock], [], [], max(0.0, until - time.monotonic()))[0]:
        back = _receive(sock, echo, with_header)
        if back is not None:
            probe.answered(back)
            if not heard:
                heard, now = True, time.monotonic()
                until = min(until, now + max(LEAST_WAIT, 4 * (now - began)))


def _receive(sock: socket.socket, echo: Echo, with_header: bool) -> int | None:
    try:
        return echo.size_of_untrusted(sock.recv(65535), with_header=with_header)
    except OSError:
        return None  # An ICMP error about one of ours.
