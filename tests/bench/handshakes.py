"""I/O: valid initiations from many peers at once, for the cost of one answered handshake.

Owns the flood: each peer has a source address of its own, so that nobody's limit per address is met; the same
initiations, sealed before the measurement, go to every implementation. A cookie reply is obeyed.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from collections import deque
from collections.abc import Sequence
from ipaddress import IPv4Address

from tests.bench.tunnel_pair import Bed, End, Implementation, cpu_seconds, wg_key
from tests.testbed.netns import inside
from vpn_tunnel.constants import COOKIE_REPLY_SIZE, RESPONSE_SIZE
from vpn_tunnel.cookies import CookieJar
from vpn_tunnel.errors import BadMessage
from vpn_tunnel.keys import PrivateKey, PublicKey
from vpn_tunnel.messages import parse_cookie_reply_untrusted, parse_response_untrusted
from vpn_tunnel.noise import LocalStatic, RemoteStatic, create_initiation
from vpn_tunnel.tai64n import from_unix_ns

PEERS = 512
PER_PEER = 24
WINDOW = 96
"""Initiations without an answer at a time."""
SECONDS = 2.0
SPACING = 0.055
"""Seconds between two initiations of one peer: above everyone's flood limits (20 ms; 20 a second under load)."""
PATIENCE = 0.25
"""Seconds until an initiation without an answer is given up."""
SOURCES = IPv4Address("10.200.0.0")
PORT = 40000
IP_PKTINFO = 8
"""Linux; the socket module has no name for it."""
_PKTINFO = struct.Struct("=I4s4s")


class Caller:
    """One peer with its address and its sealed initiations."""

    def __init__(self, number: int, responder: PublicKey) -> None:
        self.number = number
        self.address = SOURCES + 256 + number
        self.local = LocalStatic(PrivateKey.generate(os.urandom))
        self.responder = responder
        remote = RemoteStatic(responder, self.local, None)
        start = time.time_ns()
        self.sealed = [create_initiation(self.local, remote, number, from_unix_ns(start + round_ * 50_000_000),
                                         os.urandom(32))[0].pack() for round_ in range(PER_PEER)]
        self.rewind()

    def rewind(self) -> None:
        """Begin anew, toward a responder that has seen nothing."""
        self.jar = CookieJar(self.responder)
        self.next = 0
        self.sent_at = float("-inf")
        self.waiting = False

    @property
    def config(self) -> str:
        """This caller as a peer in the responder's `wg setconf`; some implementations want an endpoint to answer."""
        return (f"[Peer]\nPublicKey={self.local.public}\nAllowedIPs={self.address + 65536}/32\n"
                f"Endpoint={self.address}:{PORT}\n")


class Flood:
    """Sends what the callers have, at most WINDOW at a time, and counts answers."""

    def __init__(self, sock: socket.socket, target: tuple[str, int], callers: Sequence[Caller]) -> None:
        self.sock, self.target, self.callers = sock, target, callers
        self.idle = deque(callers)
        self.busy: deque[Caller] = deque()
        self.waiting = 0
        self.answered = self.cookies = self.lost = 0

    def run(self, seconds: float) -> float:
        """Flood for `seconds`, or until nobody has an initiation left; returns the seconds it took."""
        began = time.monotonic()
        while (now := time.monotonic()) - began < seconds and (self.idle or self.waiting):
            self._send(now)
            select.select([self.sock], [], [], 0.002)
            self._receive()
            self._give_up(now)
        return time.monotonic() - began

    def _send(self, now: float) -> None:
        while self.waiting < WINDOW and self.idle and now - self.idle[0].sent_at >= SPACING:
            caller = self.idle.popleft()
            if caller.next == len(caller.sealed):
                continue
            datagram = caller.jar.add_macs(caller.sealed[caller.next], now)
            info = _PKTINFO.pack(0, caller.address.packed, bytes(4))
            self.sock.sendmsg([datagram], [(socket.IPPROTO_IP, IP_PKTINFO, info)], 0, self.target)
            caller.next += 1
            caller.sent_at, caller.waiting = now, True
            self.waiting += 1
            self.busy.append(caller)

    def _receive(self) -> None:
        while True:
            try:
                data = self.sock.recv(2048)
            except BlockingIOError:
                return
            try:
                self._take_untrusted(data)
            except BadMessage:
                continue

    def _take_untrusted(self, data: bytes) -> None:
        if len(data) == RESPONSE_SIZE:
            caller = self.callers[parse_response_untrusted(data).receiver]
            self.answered += caller.waiting
        elif len(data) == COOKIE_REPLY_SIZE:
            reply = parse_cookie_reply_untrusted(data)
            caller = self.callers[reply.receiver]
            caller.jar.consume_reply_untrusted(reply, caller.sent_at)
            self.cookies += 1
        else:
            return
        self._free(caller)

    def _free(self, caller: Caller) -> None:
        if caller.waiting:
            caller.waiting = False
            self.waiting -= 1
            self.idle.append(caller)

    def _give_up(self, now: float) -> None:
        while self.busy and (not self.busy[0].waiting or now - self.busy[0].sent_at > PATIENCE):
            caller = self.busy.popleft()
            self.lost += caller.waiting
            self._free(caller)


class Flooder:
    """The callers and the responder's key, made once for all implementations."""

    def __init__(self) -> None:
        self.private = wg_key("genkey")
        responder = PublicKey.from_base64(wg_key("pubkey", self.private))
        self.callers = [Caller(number, responder) for number in range(PEERS)]

    def config(self) -> str:
        """`wg setconf` for the responder."""
        peers = "".join(each.config for each in self.callers)
        return f"[Interface]\nPrivateKey={self.private}\nListenPort=51820\n{peers}"

    def measure(self, bed: Bed, implementation: Implementation) -> dict[str, float]:
        """Answered a second, and the responder's CPU microseconds for each."""
        for caller in self.callers:
            caller.rewind()
        end = End(bed.one, implementation, f"kb{os.getpid() % 100000}h", bed.folder / f"{implementation.name}-h.log",
                  implementation.flood_options)
        try:
            end.configure(self.config(), ["10.77.0.1/24"])
            with inside(bed.two.path):
                sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            with sock:
                sock.setblocking(False)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
                sock.bind(("0.0.0.0", PORT))
                flood = Flood(sock, ("192.0.2.1", 51820), self.callers)
                flood.run(0.2)
                flood.answered = 0
                before = cpu_seconds(end.process.pid)
                took = flood.run(SECONDS)
                cpu = cpu_seconds(end.process.pid) - before
            answered = max(flood.answered, 1)
            return {"handshakes": flood.answered / took, "handshake_cpu": cpu / answered * 1e6,
                    "handshake_cookies": flood.cookies, "handshakes_lost": flood.lost}
        finally:
            end.stop()


def prepare(bed: Bed) -> Flooder:
    """Addresses for the callers, and the callers."""
    bed.two.ip("route", "add", "local", f"{SOURCES}/15", "dev", "lo")
    bed.one.ip("route", "add", f"{SOURCES}/16", "via", "192.0.2.2")
    return Flooder()
