"""What a session wants of the host, as values: the seam between the session's decisions and one operating system.

Owns the shapes and nothing else. Leaves to others: what is wanted (`session`), what is allowed (`bounds`), what of it
can be had here (`routes`, `resolver_setup`), doing it (`linux_host`).
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TypeAlias

from vpn_client.output import Level

Network: TypeAlias = IPv4Network | IPv6Network
Address: TypeAlias = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Note:
    """One line for the user: which step, what was found or done, how it went."""

    step: str
    """`routes`, `dns`, `firewall`, `address`, `mtu`, `restore`."""
    text: str
    level: Level = Level.OK


@dataclass(frozen=True, slots=True)
class ResolverPlan:
    """Names that the host's resolver shall ask us for."""

    server: str
    """Address of our DNS server, on the tunnel interface."""
    port: int = 53
    routing_domains: tuple[str, ...] = ()
    """Suffixes that belong to us, without `~` and without a final dot: `cluster.local`."""
    search: tuple[str, ...] = ()
    """Domains to complete short names with: `shop.svc.cluster.local`, `svc.cluster.local`."""
    namespaces: tuple[str, ...] = ()
    """Namespaces for which `<service>.<namespace>` is answered; each becomes a routing domain where that is safe."""
    approved_namespaces: tuple[str, ...] = ()
    """Namespaces that the user wants routed although their name is one of the internet's too."""


@dataclass(frozen=True, slots=True)
class HostPlan:
    """Everything one session wants of the host. The interface is there already: the worker opens the TUN."""

    interface: str
    mtu: int
    """Bytes."""
    addresses: tuple[str, ...]
    """Our tunnel addresses, one per family at most, without a prefix length."""
    routes: tuple[Network, ...] = ()
    """Prefixes that the directory needs (`vpn_directory.routes.needed_prefixes`)."""
    hosts: tuple[Address, ...] = ()
    """Single addresses of the directory; used where a prefix collides with a route of the host."""
    resolver: ResolverPlan | None = None
    """None: leave host DNS alone."""
    endpoints: tuple[str, ...] = ()
    """Hosts that must stay outside the tunnel: gateway endpoints, carriers, the API server."""
    include: tuple[Network, ...] = ()
    """The user's `--include`."""
    exclude: tuple[Network, ...] = ()
    """The user's `--exclude`."""
    suffixes: tuple[str, ...] = ()
    """DNS suffixes that the profile approves."""
