"""What `kvpn-gateway run` was asked to do, validated. Pure; every error names the flag and the fix."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Final, TypeAlias

from vpn_directory.text import is_apex, shown

Network: TypeAlias = IPv4Network | IPv6Network

DEFAULT_POOL4: Final = "198.18.0.0/16"
DEFAULT_POOL6: Final = "fd6b:7670:6e00::/64"
SMALLEST_POOL: Final = 8  # addresses
_POOL4: Final = IPv4Network(DEFAULT_POOL4)
_POOL6: Final = IPv6Network(DEFAULT_POOL6)


class BadConfig(ValueError):
    """A flag that cannot be used."""


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """Everything the gateway needs to know at start."""

    objects: Path
    private_key_file: Path
    open: bool
    """Without policies: every address of the directory may be reached."""
    listen_port: int = 51820
    interface: str = "kvpn-gw"
    pool4: IPv4Network = _POOL4
    pool6: IPv6Network = _POOL6
    cluster_domain: str = "cluster.local"
    clusterset_domain: str | None = None
    service_cidrs: tuple[str, ...] = ()
    pod_cidrs: tuple[str, ...] = ()
    never_reach: tuple[str, ...] = ()
    """Prefixes refused in addition to the built-in ones: nodes, management networks."""
    peer_to_peer: bool = False
    mtu: int = 1420

    @property
    def addresses(self) -> tuple[str, str]:
        """The gateway's own tunnel addresses: the first of each pool."""
        return str(self.pool4[1]), str(self.pool6[1])


def pool(text: str, flag: str, version: int) -> Network:
    """A pool of tunnel addresses. Raises `BadConfig`."""
    network = prefix(text, flag)
    if network.version != version or network.num_addresses < SMALLEST_POOL:
        raise BadConfig(f"{flag} {text}: expected an IPv{version} prefix with at least {SMALLEST_POOL} addresses")
    return network


def prefix(text: str, flag: str) -> Network:
    """A CIDR. Raises `BadConfig`."""
    if "%" in text:
        raise BadConfig(f"{flag} {shown(text)}: a prefix has no scope")
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise BadConfig(f"{flag} {text}: {error}; expected a prefix such as 10.96.0.0/12") from error


def domain(text: str, flag: str) -> str:
    """The apex of a zone. Raises `BadConfig`."""
    if not is_apex(text):
        raise BadConfig(f"{flag} {shown(text)}: expected a lower-case DNS name without a trailing dot, such as cluster.local")
    return text


def require_policy(is_open: bool) -> None:
    """Default deny: a gateway without policies starts only when it is told so. Raises `BadConfig`."""
    if not is_open:
        raise BadConfig("there is no policy, so nothing could be reached; add --open to let every peer reach "
                        "every address of the directory")
