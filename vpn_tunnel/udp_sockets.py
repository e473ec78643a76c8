"""I/O: the outer sockets, one for each family on the same port.

Owns source stickiness (IP_PKTINFO), ECN on the outer header, the firewall mark, and the two offloads that spare system calls:
UDP_GRO in and UDP_SEGMENT out, each given up for good when the kernel refuses it, with a counter that shows it.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
from collections import Counter
from typing import Final

from vpn_tunnel.data_path import OutgoingBatch, ReceivedDatagram
from vpn_tunnel.endpoint import Endpoint
from vpn_tunnel.errors import TunnelError

READ_BATCH: Final = 32  # receive calls at one wake-up
MAX_SEGMENTS: Final = 64  # datagrams of one UDP_SEGMENT send that every kernel takes
MAX_PAYLOAD: Final = 65_487  # bytes of one send, both families
BUFFER_BYTES: Final = 4 << 20
MAX_KNOWN_SOURCES: Final = 8192  # endpoints cached by raw address

_UDP_SEGMENT, _UDP_GRO, _SOL_UDP = 103, 104, 17
_IP_TOS, _IP_PKTINFO, _IP_RECVTOS, _IP_MTU_DISCOVER = 1, 8, 13, 10
_IPV6_RECVPKTINFO, _IPV6_PKTINFO, _IPV6_RECVTCLASS, _IPV6_TCLASS, _IPV6_MTU_DISCOVER = 49, 50, 66, 67, 23
_PMTUDISC_DONT, _PMTUDISC_PROBE = 0, 3
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33
_IN4 = struct.Struct("=i4s4s")  # in_pktinfo: interface, local address, destination
_IN6 = struct.Struct("=16si")  # in6_pktinfo: address, interface
_INT = struct.Struct("=i")
_ANCILLARY = socket.CMSG_SPACE(20) + socket.CMSG_SPACE(4) * 2
_STALE_SOURCE = (errno.EINVAL, errno.EADDRNOTAVAIL, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENODEV)


class PortUnavailable(TunnelError):
    """The UDP port cannot be bound."""


class UdpSockets:
    """Both outer sockets. `port` is the port in use."""

    def __init__(self, v4: socket.socket, v6: socket.socket | None, port: int) -> None:
        self.port = port
        self.counters: Counter[str] = Counter()
        self.gso = True
        self._sockets = {4: v4} | ({6: v6} if v6 else {})
        self._known: dict[tuple[object, bytes], Endpoint] = {}

    @classmethod
    def open(cls, port: int = 0, fwmark: int = 0) -> UdpSockets:
        """Bind `port`, or one that is free in both families. Raises `PortUnavailable`."""
        for _ in range(1 if port else 32):
            v4 = _bind(socket.AF_INET, port)
            number = v4.getsockname()[1]
            try:
                sockets = cls(v4, _bind_v6(number), number)
            except OSError as error:
                v4.close()
                if port:
                    raise PortUnavailable(f"UDP port {port}: {error.strerror}; choose another") from error
                continue
            sockets.set_fwmark(fwmark)
            return sockets
        raise PortUnavailable("no UDP port is free in both IPv4 and IPv6")

    @property
    def all(self) -> tuple[socket.socket, ...]:
        """The sockets that exist: IPv6 may be missing on the host."""
        return tuple(self._sockets.values())

    def set_fwmark(self, mark: int) -> None:
        """SO_MARK on what is sent; 0 is none. Needs CAP_NET_ADMIN unless 0."""
        for sock in self.all:
            if mark or sock.getsockopt(socket.SOL_SOCKET, socket.SO_MARK):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)

    def set_dont_fragment(self, on: bool) -> None:
        """While a path is probed: never fragment, and believe no cached path MTU."""
        mode = _PMTUDISC_PROBE if on else _PMTUDISC_DONT
        for family, sock in self._sockets.items():
            level, option = ((socket.IPPROTO_IP, _IP_MTU_DISCOVER) if family == 4
                             else (socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER))
            sock.setsockopt(level, option, mode)

    def close(self) -> None:
        """Close both."""
        for sock in self.all:
            sock.close()

    # --- in ---

    def receive(self, sock: socket.socket) -> list[ReceivedDatagram]:
        """What waits, at most `READ_BATCH` calls' worth. Errors that belong to one datagram are counted."""
        found: list[ReceivedDatagram] = []
        for _ in range(READ_BATCH):
            try:
                data, ancillary, _, address = sock.recvmsg(65_535, _ANCILLARY)
            except BlockingIOError:
                break
            except OSError:  # an ICMP error about something we sent
                self.counters["receive_error"] += 1
                continue
            self._split(found, data, ancillary, address)
        return found

    def _split(self, found: list[ReceivedDatagram], data: bytes, ancillary: list[tuple[int, int, bytes]],
               address: tuple[str, int]) -> None:
        info, ecn, size = b"", 0, 0
        for level, kind, value in ancillary:
            if kind in (_IP_PKTINFO, _IPV6_PKTINFO) and level != _SOL_UDP:
                info = value
            elif level == _SOL_UDP and kind == _UDP_GRO:
                size = _INT.unpack(value[:4])[0]
            elif kind in (_IP_TOS, _IPV6_TCLASS):
                ecn = value[0] & 3
        source = self._known.get((address, info)) or self._learn(address, info)
        if 0 < size < len(data):
            found.extend(ReceivedDatagram(data[at:at + size], source, ecn) for at in range(0, len(data), size))
        else:
            found.append(ReceivedDatagram(data, source, ecn))

    def _learn(self, address: tuple[str, int], info: bytes) -> Endpoint:
        if len(self._known) >= MAX_KNOWN_SOURCES:
            self._known.clear()
        local, interface = "", 0
        if len(info) == _IN4.size:
            interface, packed, _ = _IN4.unpack(info)
            local = socket.inet_ntop(socket.AF_INET, packed)
        elif len(info) == _IN6.size:
            packed, interface = _IN6.unpack(info)
            local = socket.inet_ntop(socket.AF_INET6, packed)
        endpoint = Endpoint(address[0], address[1], local, interface)
        self._known[(address, info)] = endpoint
        return endpoint

    # --- out ---

    def send(self, batch: OutgoingBatch) -> None:
        """Send datagrams to one endpoint in order; those that the kernel refuses are counted, not raised."""
        sock = self._sockets.get(batch.endpoint.family)
        if sock is None:
            self.counters["no_ipv6"] += len(batch.datagrams)
            return
        for run in _runs(batch.datagrams) if self.gso and len(batch.datagrams) > 1 else [[d] for d in batch.datagrams]:
            self._send_run(sock, batch.endpoint, batch.tos, run)

    def _send_run(self, sock: socket.socket, endpoint: Endpoint, tos: int, run: list[bytes]) -> None:
        ancillary = _ancillary(endpoint, tos)
        if len(run) > 1:
            segment = (_SOL_UDP, _UDP_SEGMENT, struct.pack("=H", len(run[0])))
            code = self._try(sock, endpoint, run, [*ancillary, segment])
            if code not in (errno.EIO, errno.EINVAL):
                return
            self.gso = False  # this path cannot segment: one by one from now on
            self.counters["gso_given_up"] += 1
        for datagram in run:
            if self._try(sock, endpoint, [datagram], ancillary) in _STALE_SOURCE and endpoint.source:
                self._try(sock, endpoint, [datagram], _ancillary(endpoint.without_source(), tos))

    def _try(self, sock: socket.socket, endpoint: Endpoint, run: list[bytes],
             ancillary: list[tuple[int, int, bytes]]) -> int:
        try:
            sock.sendmsg(run, ancillary, 0, (endpoint.host, endpoint.port))
        except OSError as error:
            self.counters[f"send_{errno.errorcode.get(error.errno or 0, 'error').lower()}"] += len(run)
            return error.errno or errno.EIO
        return 0


def _runs(datagrams: list[bytes]) -> list[list[bytes]]:
    """Cut into what one UDP_SEGMENT send can carry: equal sizes, the last may be shorter."""
    runs: list[list[bytes]] = []
    size = total = 0
    for datagram in datagrams:
        length = len(datagram)
        run = runs[-1] if runs else []
        if (run and len(run[-1]) == size and length <= size and len(run) < MAX_SEGMENTS
                and total + length <= MAX_PAYLOAD):
            run.append(datagram)
            total += length
        else:
            runs.append([datagram])
            size = total = length
    return runs


def _ancillary(endpoint: Endpoint, tos: int) -> list[tuple[int, int, bytes]]:
    v4 = endpoint.family == 4
    found: list[tuple[int, int, bytes]] = []
    if tos:
        found.append((socket.IPPROTO_IP, _IP_TOS, _INT.pack(tos)) if v4
                     else (socket.IPPROTO_IPV6, _IPV6_TCLASS, _INT.pack(tos)))
    if endpoint.source:
        packed = socket.inet_pton(socket.AF_INET if v4 else socket.AF_INET6, endpoint.source)
        # The interface is left to routing unless the address needs it: sticky, not too sticky.
        found.append((socket.IPPROTO_IP, _IP_PKTINFO, _IN4.pack(0, packed, bytes(4))) if v4 else
                     (socket.IPPROTO_IPV6, _IPV6_PKTINFO, _IN6.pack(packed, endpoint.interface if packed[0] == 0xFE else 0)))
    return found


def _bind(family: socket.AddressFamily, port: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        _configure(sock, family)
        sock.bind(("", port))
    except OSError as error:
        sock.close()
        if family == socket.AF_INET:
            raise PortUnavailable(f"UDP port {port}: {error.strerror}; choose another, or 0 for any") from error
        raise
    return sock


def _bind_v6(port: int) -> socket.socket | None:
    try:
        return _bind(socket.AF_INET6, port)
    except OSError as error:
        if error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
            return None
        raise


def _configure(sock: socket.socket, family: socket.AddressFamily) -> None:
    sock.setblocking(False)
    if family == socket.AF_INET:
        sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        sock.setsockopt(socket.IPPROTO_IP, _IP_RECVTOS, 1)
        sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _PMTUDISC_DONT)
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO, 1)
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVTCLASS, 1)
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _PMTUDISC_DONT)
    with contextlib.suppress(OSError):  # kernels before 5.0
        sock.setsockopt(_SOL_UDP, _UDP_GRO, 1)
    for forced, plain in ((_SO_RCVBUFFORCE, socket.SO_RCVBUF), (_SO_SNDBUFFORCE, socket.SO_SNDBUF)):
        try:
            sock.setsockopt(socket.SOL_SOCKET, forced, BUFFER_BYTES)
        except OSError:  # without CAP_NET_ADMIN the host's limit holds
            sock.setsockopt(socket.SOL_SOCKET, plain, BUFFER_BYTES)
