"""What a peer is configured to be, as a value."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import TypeAlias

from vpn_tunnel.endpoint import Endpoint
from vpn_tunnel.keys import PresharedKey, PublicKey

Network: TypeAlias = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class PeerConfig:
    """One peer of a device."""

    public_key: PublicKey
    preshared_key: PresharedKey | None = None
    allowed_ips: tuple[Network, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    """Candidates: initiations go to each, the authenticated response chooses (DESIGN §4)."""
    persistent_keepalive: int = 0
    """Seconds between keepalives to an idle peer; 0 is off, at most 65535."""
