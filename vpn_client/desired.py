"""What a session wants of the host, computed from the intent and the directory: a pure function.

Owns which prefixes, suffixes and search domains follow from a directory. Leaves to others: which of them may be had
(`bounds`, `routes`, `resolver_setup`), doing it (`linux_host`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_address, ip_network

from vpn_client.host_plan import Address, HostPlan, Network, ResolverPlan
from vpn_client.intent import Intent, parse_endpoint
from vpn_directory.model import Claim, Item, Namespace, Pod, Service, ServiceKind
from vpn_directory.routes import needed_prefixes


def first_plan(intent: Intent, interface: str) -> HostPlan:
    """Enough to reach the gateway's control API: our addresses and one route, no names."""
    return HostPlan(interface=interface, mtu=intent.mtu, addresses=intent.addresses,
                    routes=(ip_network(intent.gateway_address),), hosts=(ip_address(intent.gateway_address),),
                    endpoints=tuple(parse_endpoint(each)[0] for each in intent.endpoints),
                    include=_networks(intent.include), exclude=_networks(intent.exclude), suffixes=intent.suffixes)


def whole_plan(intent: Intent, interface: str, mtu: int, items: Iterable[Item], resolver: tuple[str, int]) -> HostPlan:
    """Everything the directory needs. `resolver` is where our DNS server listens."""
    items = tuple(items)
    start = first_plan(intent, interface)
    hosts = {*start.hosts, *_hosts(items)}
    routes = {*start.routes, *(ip_network(prefix) for prefix in needed_prefixes(items))}
    return replace(start, mtu=mtu, routes=tuple(sorted(routes, key=_key)),
                   hosts=tuple(sorted(hosts, key=lambda each: (each.version, each))),
                   resolver=resolver_plan(intent, items, resolver))


def resolver_plan(intent: Intent, items: Iterable[Item], resolver: tuple[str, int]) -> ResolverPlan:
    """Our suffixes, `svc.<suffix>` to complete `web.shop` with, and the namespaces for `~shop`."""
    namespaces = sorted(item.name for item in items if isinstance(item, Namespace))
    return ResolverPlan(server=resolver[0], port=resolver[1], routing_domains=intent.suffixes,
                        search=tuple(f"svc.{suffix}" for suffix in intent.suffixes), namespaces=tuple(namespaces))


def _hosts(items: Iterable[Item]) -> Iterable[Address]:
    for item in items:
        if isinstance(item, Pod):
            yield from map(ip_address, item.addresses)
        elif isinstance(item, Service):
            yield from map(ip_address, item.presented)
            if item.kind is ServiceKind.HEADLESS:
                yield from (ip_address(each.address) for group in item.groups for each in group.endpoints
                            if each.claim is not Claim.REFUSED)


def _networks(texts: Iterable[str]) -> tuple[Network, ...]:
    return tuple(map(ip_network, texts))


def _key(network: Network) -> tuple[int, int, int]:
    return network.version, int(network.network_address), network.prefixlen
