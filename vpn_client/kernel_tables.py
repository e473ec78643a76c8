"""What `ip -json` says of routes and rules, as values: no I/O.

Owns the reading of iproute2's JSON (ip-route(8), ip-rule(8)). Leaves to others: running `ip` (`host_observe`), what
follows from it (`routes`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_address, ip_network
from typing import Any, Final

from vpn_client.host_plan import Address, Network
from vpn_client.routes import ExistingRoute

MAIN: Final = "main"
BUILT_IN: Final = frozenset({"local", MAIN, "default"})
"""Tables that every Linux looks at, in this order, when nobody has added a rule (ip-rule(8))."""
_SELECTORS: Final = frozenset({"fwmark", "iif", "oif", "uid_start", "tos", "ipproto", "sport", "dport"})
"""Words of a rule that only some traffic meets. A source other than `all` is one more."""
_DELIVERS_NOTHING: Final = frozenset({"multicast", "anycast", "broadcast"})


def destination(route: Mapping[str, Any], version: int) -> Network | None:
    """The prefix of a route; None for a default route."""
    text = route["dst"]
    if text == "default":
        return None
    network = ip_network(text, strict=False)
    return network if network.prefixlen and network.version == version else None


def existing_routes(routes: Mapping[int, Sequence[Mapping[str, Any]]], rules: Mapping[int, Sequence[Mapping[str, Any]]],
                    own: Iterable[str]) -> tuple[ExistingRoute, ...]:
    """The routes of the host that could meet ours. Keys of the mappings: 4 and 6; `own`: interfaces to leave out."""
    left_out, found = frozenset(own), []
    for version in (4, 6):
        first = tables_before_main(rules.get(version, ()))
        for route in routes.get(version, ()):
            table = str(route.get("table", MAIN))
            network = destination(route, version)
            if network is None or route.get("dev") in left_out or route.get("type") in _DELIVERS_NOTHING:
                continue
            if table in BUILT_IN or table in first:
                device = str(route.get("dev") or route.get("type") or "several interfaces")
                found.append(ExistingRoute(network, device, table in first))
    return tuple(found)


def tables_before_main(rules: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    """Tables that ordinary traffic meets before the main one, and that so win over more specific routes in it."""
    found = set()
    for rule in sorted(rules, key=lambda rule: int(rule.get("priority", 0))):
        if not _meets_ordinary_traffic(rule):
            continue
        table = str(rule.get("table", ""))
        if table == MAIN:
            break
        found.add(table)
    return frozenset(found - BUILT_IN - {""})


def _meets_ordinary_traffic(rule: Mapping[str, Any]) -> bool:
    selected = any(word in rule for word in _SELECTORS) or rule.get("src", "all") != "all" or "dst" in rule
    return selected == ("not" in rule)


def default_gateways(routes: Mapping[int, Sequence[Mapping[str, Any]]], own: Iterable[str]) -> tuple[Address, ...]:
    """The next hops of default routes, whatever their table; without those through our own interfaces."""
    left_out, found = frozenset(own), []
    for version in (4, 6):
        for route in routes.get(version, ()):
            if route["dst"] == "default" and route.get("dev") not in left_out:
                hops = [route, *route.get("nexthops", ())]
                found += [ip_address(hop["gateway"]) for hop in hops if "gateway" in hop]
                found += [ip_address(hop["via"]["host"]) for hop in hops if "via" in hop]
    return tuple(dict.fromkeys(found))
