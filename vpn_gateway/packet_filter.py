"""The gateway's nftables rules as text: closed doors, what may be reached, translation of service addresses. Pure.

Owns one table. `base_script` is everything that does not depend on the directory; `FilterModel` turns directory changes into
small transactions, so that one service of thousands costs what it is. Rules that others must not break: the forward chain
drops what nothing names; never-reachable prefixes come first; every packet of a flow is held to what is reachable now, not
only its first.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from vpn_directory.gateway_service import CONTROL_PORT, NAME, NAMESPACE
from vpn_directory.model import Change, Claim, Endpoint, Item, Key, Pod, Port, Put, Service, ServiceKind
from vpn_directory.text import SPECIAL
from vpn_gateway.config import GatewayConfig

TABLE: Final = "inet kvpn_gateway"


def base_script(config: GatewayConfig, own: Iterable[str]) -> str:
    """Create the table anew. `own` are the gateway's addresses outside the tunnel, which are never reached through it."""
    parts = (_sets(config, own), _translation(config), _doors(config), _forwarding(config), _REACHABLE)
    return f"add table {TABLE}\ndelete table {TABLE}\ntable {TABLE} {{\n{''.join(parts)}}}\n"


def _sets(config: GatewayConfig, own: Iterable[str]) -> str:
    never = [*map(str, SPECIAL), *config.never_reach, *own]
    never4 = _elements(text for text in never if ":" not in text)
    never6 = _elements(text for text in never if ":" in text)
    return f"""
  set never4 {{ type ipv4_addr; flags interval; auto-merge; elements = {{ {never4} }}; }}
  set never6 {{ type ipv6_addr; flags interval; auto-merge; elements = {{ {never6} }}; }}
  set pods4 {{ type ipv4_addr; }}
  set pods6 {{ type ipv6_addr; }}
  set vips4 {{ type ipv4_addr; }}
  set vips6 {{ type ipv6_addr; }}
  set targets4 {{ type ipv4_addr . inet_proto . inet_service; }}
  set targets6 {{ type ipv6_addr . inet_proto . inet_service; }}
  map services4 {{ type ipv4_addr . inet_proto . inet_service : verdict; }}
  map services6 {{ type ipv6_addr . inet_proto . inet_service : verdict; }}
"""


def _translation(config: GatewayConfig) -> str:
    return f"""
  chain translate {{
    type nat hook prerouting priority dstnat; policy accept;
    iifname != "{config.interface}" return
    ip daddr . meta l4proto . th dport vmap @services4
    ip6 daddr . meta l4proto . th dport vmap @services6
  }}
  chain hide_peers {{
    type nat hook postrouting priority srcnat; policy accept;
    oifname "{config.interface}" return
    oifname "lo" return
    ip saddr {config.pool4} masquerade
    ip6 saddr {config.pool6} masquerade
  }}
"""


def _doors(config: GatewayConfig) -> str:
    tun, (own4, own6) = config.interface, config.addresses
    return f"""
  chain spoofed {{
    ip saddr {config.pool4} ip saddr != {own4} return
    ip6 saddr {config.pool6} ip6 saddr != {own6} return
    counter drop
  }}
  chain input {{
    type filter hook input priority filter; policy drop;
    iifname "lo" accept
    iifname "{tun}" jump spoofed
    iifname "{tun}" ip daddr {own4} tcp dport {CONTROL_PORT} accept
    iifname "{tun}" ip6 daddr {own6} tcp dport {CONTROL_PORT} accept
    iifname "{tun}" ip daddr {own4} icmp type echo-request accept
    iifname "{tun}" ip6 daddr {own6} icmpv6 type echo-request accept
    iifname "{tun}" counter drop
    ct state established,related accept
    udp dport {config.listen_port} accept
    icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert }} accept
    counter drop
  }}
"""


def _forwarding(config: GatewayConfig) -> str:
    tun = config.interface
    between = "accept" if config.peer_to_peer else "reject with icmpx admin-prohibited"
    return f"""
  chain refuse {{
    meta l4proto tcp reject with tcp reset
    ip daddr @vips4 reject with icmpx port-unreachable
    ip6 daddr @vips6 reject with icmpx port-unreachable
    reject with icmpx admin-prohibited
  }}
  chain forward {{
    type filter hook forward priority filter; policy drop;
    iifname "{tun}" jump spoofed
    iifname "{tun}" oifname "{tun}" {between}
    iifname "{tun}" goto outward
    oifname "{tun}" goto homeward
    counter drop
  }}
"""


_REACHABLE: Final = """
  chain outward {
    ip daddr @never4 counter goto refuse
    ip6 daddr @never6 counter goto refuse
    ct state invalid counter drop
    tcp flags syn tcp option maxseg size set rt mtu
    ip daddr @pods4 accept
    ip6 daddr @pods6 accept
    ip daddr . meta l4proto . th dport @targets4 accept
    ip6 daddr . meta l4proto . th dport @targets6 accept
    counter goto refuse
  }
  chain homeward {
    ct state related accept
    ct state != established counter drop
    tcp flags syn tcp option maxseg size set rt mtu
    ip saddr @pods4 accept
    ip6 saddr @pods6 accept
    ip saddr . meta l4proto . th sport @targets4 accept
    ip6 saddr . meta l4proto . th sport @targets6 accept
    counter drop
  }
"""


REMOVE_SCRIPT: Final = f"add table {TABLE}\ndelete table {TABLE}\n"


def _elements(texts: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(texts))


@dataclass(slots=True)
class _Rules:
    """What one item contributes: members of sets, and a chain with its map entry for each service port."""

    members: set[tuple[str, str]] = field(default_factory=set)
    chains: dict[str, str] = field(default_factory=dict)
    """Chain name to its rule."""
    entries: dict[tuple[str, str], str] = field(default_factory=dict)
    """(map, key) to chain name."""


class FilterModel:
    """What the table holds of the directory, and the transaction to what it should hold."""

    def __init__(self) -> None:
        self._rules: dict[Key, _Rules] = {}
        self._members: Counter[tuple[str, str]] = Counter()
        self._owner: dict[tuple[str, str], Key] = {}

    def apply(self, changes: Iterable[Change]) -> str:
        """The script for these changes; empty when nothing of the table changes."""
        lines: list[str] = []
        late: list[str] = []
        for change in changes:
            key = change.item.key if isinstance(change, Put) else change.key
            before = self._rules.pop(key, _Rules())
            after = rules_of(change.item) if isinstance(change, Put) else _Rules()
            self._claim(key, before, after)
            if after.members or after.chains:
                self._rules[key] = after
            self._differ(before, after, lines, late)
        return "\n".join([*lines, *late, ""]) if lines or late else ""

    def _claim(self, key: Key, before: _Rules, after: _Rules) -> None:
        """Two services may not share an address and port: the first keeps it."""
        for entry in [entry for entry in after.entries if self._owner.get(entry, key) != key]:
            del after.chains[after.entries.pop(entry)]
        for entry in before.entries:
            self._owner.pop(entry, None)
        for entry in after.entries:
            self._owner[entry] = key

    def _differ(self, before: _Rules, after: _Rules, lines: list[str], late: list[str]) -> None:
        for name, rule in after.chains.items():
            if before.chains.get(name) != rule:
                lines += [f"add chain {TABLE} {name}", f"flush chain {TABLE} {name}", f"add rule {TABLE} {name} {rule}"]
        for (table, key), chain in after.entries.items():
            if (table, key) not in before.entries:
                lines.append(f"add element {TABLE} {table} {{ {key} : goto {chain} }}")
        for (table, key), chain in before.entries.items():
            if (table, key) not in after.entries:
                lines.append(f"delete element {TABLE} {table} {{ {key} : goto {chain} }}")
                late.append(f"delete chain {TABLE} {chain}")
        self._count(before, after, lines)

    def _count(self, before: _Rules, after: _Rules, lines: list[str]) -> None:
        for member in after.members - before.members:
            self._members[member] += 1
            if self._members[member] == 1:
                lines.append(f"add element {TABLE} {member[0]} {{ {member[1]} }}")
        for member in before.members - after.members:
            self._members[member] -= 1
            if not self._members[member]:
                del self._members[member]
                lines.append(f"delete element {TABLE} {member[0]} {{ {member[1]} }}")


def rules_of(item: Item) -> _Rules:
    """What one item of the directory lets through. The gateway's own service is behind its own door, not here."""
    rules = _Rules()
    if isinstance(item, Pod):
        rules.members = {("pods" + _family(address), address) for address in item.addresses}
    elif isinstance(item, Service) and (item.namespace, item.name) != (NAMESPACE, NAME):
        _service_rules(item, rules)
    return rules


def _service_rules(service: Service, rules: _Rules) -> None:
    for group in service.groups:
        for endpoint in group.endpoints:
            rules.members |= _reachable(endpoint, group.ports)
    if service.kind is ServiceKind.CLUSTER_IP:
        for address in service.presented:
            rules.members.add(("vips" + _family(address), address))
            for port in service.ports:
                _translate(service, address, port, rules)


def _reachable(endpoint: Endpoint, ports: tuple[Port, ...]) -> set[tuple[str, str]]:
    family = _family(endpoint.address)
    if endpoint.claim is Claim.EXTERNAL:
        return {("targets" + family, f"{endpoint.address} . {port.protocol.lower()} . {port.port}") for port in ports}
    return set()  # a pod's own item opens it; a refused claim opens nothing


def _translate(service: Service, address: str, port: Port, rules: _Rules) -> None:
    backends = _backends(service, _family(address), port)
    if not backends:
        return  # the address itself is in vips: refused in words instead of left to time out
    family = _family(address)
    key = f"{address} . {port.protocol.lower()} . {port.port}"
    chain = "svc-" + hashlib.blake2b(key.encode(), digest_size=8).hexdigest()
    rules.entries[("services" + family, key)] = chain
    match = f"meta l4proto {port.protocol.lower()}"  # nft wants to know before it takes a port
    rules.chains[chain] = f"{match} {_dnat('ip' if family == '4' else 'ip6', backends)}"


def _dnat(word: str, backends: list[tuple[str, int]]) -> str:
    if len(backends) == 1:
        address, port = backends[0]
        return f"dnat {word} to {address if word == 'ip' else f'[{address}]'}:{port}"
    choices = ", ".join(f"{n} : {address} . {port}" for n, (address, port) in enumerate(backends))
    return f"dnat {word} to numgen random mod {len(backends)} map {{ {choices} }}"


def _backends(service: Service, family: str, port: Port) -> list[tuple[str, int]]:
    """Ready endpoints of the groups that come first, with the port of the same name."""
    by_priority: dict[int, dict[tuple[str, int], None]] = {}
    for group in service.groups:
        target = next((p.port for p in group.ports if (p.name, p.protocol) == (port.name, port.protocol)), None)
        for endpoint in group.endpoints:
            if target is not None and endpoint.ready and endpoint.claim is not Claim.REFUSED \
                    and _family(endpoint.address) == family:
                by_priority.setdefault(group.priority, {})[(endpoint.address, target)] = None
    return sorted(by_priority[min(by_priority)]) if by_priority else []


def _family(address: str) -> str:
    return "6" if ":" in address else "4"
