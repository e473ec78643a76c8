"""The host closed toward the tunnel: the text of one nftables table per session.

Owns the rules (DESIGN §5). Leaves to others: loading them (`linux_firewall`).

From the tunnel interface come only answers to our own flows and ICMP errors about them; nothing is forwarded in or out
through it; our tunnel addresses answer only on it and on loopback. Verdicts of other tables stay in force: `accept`
here ends our chain alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Final

FAMILY: Final = "inet"
ICMP_ERRORS: Final = "destination-unreachable, time-exceeded, parameter-problem"
"""RFC 792; with packet-too-big for ICMPv6 (RFC 4443 §3), on which path MTU discovery depends."""
_INTERFACE: Final = re.compile(r"[A-Za-z0-9_.-]{1,15}")
_SESSION: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")


def table_name(session: str) -> str:
    """The table of a session: `kvpn_default`. ValueError if the name could mean something to nft."""
    if not _SESSION.fullmatch(session):
        raise ValueError(f"{session!r} is not a session name")
    return "kvpn_" + session.replace("-", "_")


def ruleset(session: str, interface: str, addresses: Sequence[str]) -> str:
    """An nft script that makes the table, or replaces it in one transaction."""
    if not _INTERFACE.fullmatch(interface):
        raise ValueError(f"{interface!r} is not an interface name")
    table = table_name(session)
    here = f"iifname != {{ {interface}, lo }} counter drop"
    guards = "\n".join(f"        {_daddr(address)} {here}" for address in addresses)
    return f"""{removal(table)}table {FAMILY} {table} {{
    chain input {{
        type filter hook input priority filter; policy accept;
{guards}
        iifname {interface} jump from_tunnel
    }}
    chain from_tunnel {{
        ct state established ct direction reply accept
        ct state related icmp type {{ {ICMP_ERRORS} }} accept
        ct state related icmpv6 type {{ {ICMP_ERRORS}, packet-too-big }} accept
        counter drop
    }}
    chain forward {{
        type filter hook forward priority filter; policy accept;
        iifname {interface} counter drop
        oifname {interface} counter drop
    }}
}}
"""


def removal(table: str) -> str:
    """An nft script that deletes the table, or does nothing without one."""
    return f"table {FAMILY} {table}\ndelete table {FAMILY} {table}\n"


def _daddr(address: str) -> str:
    parsed = ip_address(address)
    return f"{'ip6' if parsed.version == 6 else 'ip'} daddr {parsed}"
