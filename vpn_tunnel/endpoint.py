"""Where a peer is reached: an outer address and port, and the local address that it was last reached from.

Owns text forms. Leaves name resolution to whoever configures the tunnel: a host here is an IP literal.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Self


class BadEndpoint(ValueError):
    """Text that is no `address:port`."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An outer address; `source` and `interface` make answers leave from where the peer's datagrams arrived."""

    host: str
    """IP literal; an IPv4 address never in its IPv4-mapped IPv6 form."""
    port: int
    source: str = ""
    """Local address to send from, or empty for the kernel's choice."""
    interface: int = 0
    """Interface index to send from, or 0."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """`192.0.2.1:51820` or `[2001:db8::1]:51820`; raises `BadEndpoint`."""
        host, colon, port = text.strip().rpartition(":")
        try:
            address = ipaddress.ip_address(host[1:-1] if host.startswith("[") and host.endswith("]") else host)
            number = int(port)
        except ValueError as error:
            raise BadEndpoint(f"{text!r} is no endpoint: expected ADDRESS:PORT or [IPV6]:PORT") from error
        if not colon or not 0 < number < 65536 or (address.version == 6) != host.startswith("["):
            raise BadEndpoint(f"{text!r} is no endpoint: expected ADDRESS:PORT or [IPV6]:PORT")
        return cls(str(address), number)

    @property
    def family(self) -> int:
        """4 or 6."""
        return 6 if ":" in self.host else 4

    def same_address(self, other: Endpoint) -> bool:
        """Whether both are the same remote address and port, whatever local address is used."""
        return self.host == other.host and self.port == other.port

    def without_source(self) -> Endpoint:
        """The same remote address, with the local one left to the kernel."""
        return Endpoint(self.host, self.port) if self.source or self.interface else self

    def mac_bytes(self) -> bytes:
        """Address and port as bytes, for cookies (paper §5.4.7)."""
        return ipaddress.ip_address(self.host.partition("%")[0]).packed + self.port.to_bytes(2, "big")

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
