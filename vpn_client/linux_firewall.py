"""I/O: our nftables table: load, replace, remove, and look whether it is there.

Owns nothing but the call. Leaves to others: the rules (`host_firewall`).
"""

from __future__ import annotations

from collections.abc import Sequence

from vpn_client.host_firewall import removal, ruleset
from vpn_tunnel.host_commands import run_nft


def load(session: str, interface: str, addresses: Sequence[str]) -> None:
    """Make or replace the session's table in one transaction; CommandError if the kernel refuses."""
    run_nft(ruleset(session, interface, addresses))


def remove(table: str) -> None:
    """Delete the table; fine without one."""
    run_nft(removal(table))
