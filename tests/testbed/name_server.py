"""I/O: a DNS server of a few fixed names for tests, in a thread or as a program, that remembers what it was asked.

Not ours under test: it stands for the internet's servers, and for kvpn's where only the host's side is tested.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Mapping

from dnslib import QTYPE, RR, A, DNSRecord

TTL = 0


class NameServer:
    """Answers A for `names`; everything else is NXDOMAIN, or no data if the name has an address."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self.names = {name.lower().rstrip("."): address for name, address in names.items()}
        self.asked: list[str] = []

    def answer(self, data: bytes) -> bytes:
        """The answer to one query."""
        query = DNSRecord.parse(data)
        name = str(query.q.qname).lower().rstrip(".")
        self.asked.append(name)
        reply = query.reply()
        reply.header.ra = 1
        address = self.names.get(name)
        if address is None:
            reply.header.rcode = 3
        elif query.q.qtype == QTYPE.A:
            reply.add_answer(RR(query.q.qname, QTYPE.A, rdata=A(address), ttl=TTL))
        return bytes(reply.pack())

    def serve(self, sock: socket.socket) -> None:
        """Answer until the socket is shut down."""
        with contextlib.suppress(OSError):
            while True:
                data, source = sock.recvfrom(4096)
                if not data:
                    return
                sock.sendto(self.answer(data), source)

    def start(self, sock: socket.socket) -> None:
        """Serve on a bound UDP socket, in a thread, until `stop`."""
        self._sock = sock
        self._thread = threading.Thread(target=self.serve, args=(sock,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop serving and close the socket."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._sock.close()
