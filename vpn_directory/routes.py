"""Which prefixes a client must route into the tunnel to reach what the directory holds. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network
from typing import TypeAlias

from vpn_directory.model import Claim, Item, Pod, Service, ServiceKind, Zone

Network: TypeAlias = IPv4Network | IPv6Network


def needed_prefixes(items: Iterable[Item]) -> list[Network]:
    """The zones' known prefixes, and host prefixes for every address outside them; sorted, collapsed, each once."""
    items = list(items)
    known = [ipaddress.ip_network(cidr) for item in items if isinstance(item, Zone)
             for cidr in (*item.service_cidrs, *item.pod_cidrs)]
    hosts = {ipaddress.ip_network(address) for item in items for address in _addresses(item)}
    loose = [host for host in hosts if not any(_covers(prefix, host) for prefix in known)]
    v4 = ipaddress.collapse_addresses(n for n in (*known, *loose) if isinstance(n, IPv4Network))
    v6 = ipaddress.collapse_addresses(n for n in (*known, *loose) if isinstance(n, IPv6Network))
    return [*v4, *v6]


def _covers(prefix: Network, host: Network) -> bool:
    if isinstance(prefix, IPv4Network) and isinstance(host, IPv4Network):
        return host.subnet_of(prefix)
    return isinstance(prefix, IPv6Network) and isinstance(host, IPv6Network) and host.subnet_of(prefix)


def _addresses(item: Item) -> Iterator[str]:
    if isinstance(item, Pod):
        yield from item.addresses
    elif isinstance(item, Service):
        yield from item.presented
        if item.kind is ServiceKind.HEADLESS:
            for group in item.groups:
                yield from (e.address for e in group.endpoints if e.claim is not Claim.REFUSED)
