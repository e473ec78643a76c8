"""Everything the gateway knows, joined: objects in, peers, addresses, filter and directory out. Pure; `now` in seconds.

Owns what a change of the objects means. Leaves doing it to `runner`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import ip_network

from vpn_directory.gateway_service import gateway_service
from vpn_directory.kube_objects import Inventory, LocatedObject
from vpn_directory.model import Change, Put
from vpn_directory.publisher import Publisher
from vpn_gateway.address_pool import AddressPool
from vpn_gateway.config import GatewayConfig
from vpn_gateway.packet_filter import FilterModel
from vpn_gateway.peers import PeerObject, owners, read_peers
from vpn_tunnel.config import PeerConfig
from vpn_tunnel.keys import PublicKey


@dataclass(frozen=True, slots=True)
class LivePeer:
    """A peer in force."""

    peer: PeerObject
    addresses: tuple[str, str]

    def config(self) -> PeerConfig:
        """For the tunnel."""
        return PeerConfig(self.peer.public_key, allowed_ips=tuple(ip_network(address) for address in self.addresses))


@dataclass(slots=True)
class Actions:
    """What the world must be told."""

    add: list[LivePeer] = field(default_factory=list)
    remove: list[PublicKey] = field(default_factory=list)
    filter_script: str = ""
    said: list[str] = field(default_factory=list)
    """Lines for the log: only what is new."""


class GatewayState:
    """The gateway without its sockets."""

    def __init__(self, config: GatewayConfig, epoch: str, now: float) -> None:
        self.config = config
        self.publisher = Publisher(epoch, now=now)
        self.by_address: dict[str, LivePeer] = {}
        self.problems: list[str] = []
        self._inventory = Inventory(config.cluster_domain, config.clusterset_domain, config.service_cidrs,
                                    config.pod_cidrs)
        self._pool = AddressPool(config)
        self._filter = FilterModel()
        self._peers: dict[str, PeerObject] = {}
        self._live: dict[PublicKey, LivePeer] = {}
        first: list[Change] = [Put(item) for item in self._inventory.items.values()]
        first += [Put(item) for item in gateway_service(config.cluster_domain, config.addresses)]
        self.publisher.apply(first, now)
        self.publisher.flush(now)

    def replace_objects(self, objects: Iterable[LocatedObject], errors: Iterable[str], now: float,
                        unix_now: float) -> Actions:
        """The objects are now these; `errors` are files that could not be read."""
        objects = list(objects)
        changes, refused = self._inventory.replace_all(objects)
        found, refused_peers = read_peers(objects, self._peers)
        self._peers = {f"{peer.namespace}/{peer.name}": peer for peer in found}
        actions = self.tick(now, unix_now)
        own = {item.key for item in gateway_service(self.config.cluster_domain, self.config.addresses)}
        changes = [c for c in changes if (c.item.key if isinstance(c, Put) else c.key) not in own]
        self.publisher.apply(changes, now)
        actions.filter_script = self._filter.apply(changes)
        problems = [*errors, *map(str, refused), *map(str, refused_peers)]
        actions.said += [problem for problem in problems if problem not in self.problems]
        self.problems = problems
        return actions

    def tick(self, now: float, unix_now: float) -> Actions:
        """Time has passed: expired peers end."""
        actions = Actions()
        kept, denied = owners(self._peers.values(), unix_now)
        addresses = self._pool.assign(kept, now)
        live = {peer.public_key: LivePeer(peer, addresses[peer.uid]) for peer in kept}
        actions.remove = [key for key, peer in self._live.items() if key not in live or live[key].addresses != peer.addresses]
        actions.add = [peer for key, peer in live.items() if self._live.get(key) is None or key in actions.remove]
        actions.said = [f"peer {self._live[key].peer.name} removed" for key in actions.remove]
        actions.said += [f"peer {p.peer.name} in force as {', '.join(p.addresses)}" for p in actions.add]
        actions.said += [words for words in denied if words not in self._denied]
        self._denied = denied
        self._live = live
        self.by_address = {address: peer for peer in live.values() for address in peer.addresses}
        return actions

    _denied: list[str] = []  # replaced, never changed

    @property
    def live(self) -> list[LivePeer]:
        """Peers in force, oldest first."""
        return list(self._live.values())
