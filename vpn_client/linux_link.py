"""I/O: our link on Linux: alias, MTU, addresses, up; and back.

Owns the `ip` commands for it. Leaves to others: opening the TUN (`vpn_tunnel.tun`), journaling (`linux_host`), routes
(`linux_routes`). Commands come back as lines so that one `ip -batch` makes a whole step.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from vpn_tunnel.host_commands import ip_json

ALIAS: Final = "kvpn:"
"""Start of the alias that says whose a link is, for whoever finds it after a crash."""


@dataclass(frozen=True, slots=True)
class LinkState:
    """A link as it is."""

    mtu: int
    up: bool
    alias: str
    addresses: frozenset[str]
    """Without link-local ones."""


def read_link(interface: str) -> LinkState:
    """The link's state; CommandError if there is no such link."""
    (found,) = ip_json("addr", "show", "dev", interface)
    addresses = frozenset(each["local"] for each in found["addr_info"] if each["scope"] != "link")
    return LinkState(found["mtu"], "UP" in found["flags"], found.get("ifalias", ""), addresses)


def alias_of(session: str) -> str:
    """The alias of a session's link."""
    return ALIAS + session


def up_lines(interface: str, session: str, mtu: int, addresses: Iterable[str]) -> list[str]:
    """Bring the link up with these addresses. No address of the kernel's own making: the far end would not know it."""
    return [f"link set dev {interface} alias {alias_of(session)}", f"link set dev {interface} addrgenmode none",
            mtu_line(interface, mtu), *(add_line(interface, address) for address in addresses),
            f"link set dev {interface} up"]


def mtu_line(interface: str, mtu: int) -> str:
    """Set the MTU, in bytes."""
    return f"link set dev {interface} mtu {mtu}"


def add_line(interface: str, address: str) -> str:
    """Add one address; no duplicate address detection, for there is nobody to ask."""
    parsed = ip_address(address)
    nodad = " nodad" if parsed.version == 6 else ""
    return f"addr add {parsed}/{parsed.max_prefixlen} dev {interface}{nodad}"


def remove_line(interface: str, address: str) -> str:
    """Remove one address."""
    parsed = ip_address(address)
    return f"addr del {parsed}/{parsed.max_prefixlen} dev {interface}"


def restore_lines(interface: str, mtu: int, up: bool) -> list[str]:
    """Set MTU and up/down back."""
    return [mtu_line(interface, mtu), f"link set dev {interface} {'up' if up else 'down'}",
            f"link set dev {interface} alias \"\""]


def ipv6_enabled(interface: str) -> bool:
    """Whether this host allows IPv6 on the link; containers often do not."""
    try:
        return Path(f"/proc/sys/net/ipv6/conf/{interface}/disable_ipv6").read_text() == "0\n"
    except OSError:
        return False
