"""The directory arranged for look-ups by name and by address. Pure; fed by changes, so an update costs what changed.

Owns which names exist. Leaves rcodes and packing to `answer`.
"""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import TypeAlias

from kvpn_dns.options import Options
from kvpn_dns.wire import encode_name
from vpn_directory.model import Change, Endpoint, EndpointGroup, Item, Key, Namespace, Pod, Put, Service, Zone, ZoneKind

Target: TypeAlias = tuple[Service, str]
"""A service, and the endpoint label below it ("" for the service itself): what a PTR points to."""


class Index:
    """Names of the items in force."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self.zones: dict[bytes, Zone] = {encode_name(a): Zone(a, ZoneKind.CLUSTER) for a in options.owned}
        self.namespaces: set[str] = set()
        self.services: dict[bytes, Service] = {}
        self.short: dict[bytes, Service] = {}
        self.serial = 1
        self._spaces_of: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._pods: dict[tuple[str, str], Pod] = {}
        self._pod_at: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._by_address: defaultdict[str, dict[Key, Service]] = defaultdict(dict)
        self._known: dict[Key, Item] = {}

    def apply(self, changes: Iterable[Change]) -> None:
        """Take changes in."""
        for change in changes:
            key = change.item.key if isinstance(change, Put) else change.key
            before = self._known.pop(key, None)
            if before is not None:
                self._forget(before)
            if isinstance(change, Put):
                self._known[key] = change.item
                self._learn(change.item)
            self.serial = (self.serial + 1) & 0xFFFFFFFF

    def _learn(self, item: Item) -> None:
        if isinstance(item, Service):
            self._learn_service(item)
        elif isinstance(item, Namespace):
            self.namespaces.add(item.name)
        elif isinstance(item, Pod):
            for address in item.addresses:
                self._pod_at[(item.namespace, address)] += 1
        else:
            self.zones[encode_name(item.apex)] = item

    def _forget(self, item: Item) -> None:
        if isinstance(item, Service):
            self._forget_service(item)
        elif isinstance(item, Namespace):
            self.namespaces.discard(item.name)
        elif isinstance(item, Pod):
            for address in item.addresses:
                self._pod_at[(item.namespace, address)] -= 1
                if not self._pod_at[(item.namespace, address)]:
                    del self._pod_at[(item.namespace, address)]
        elif item.apex not in self._options.owned:
            self.zones.pop(encode_name(item.apex), None)

    def _learn_service(self, service: Service) -> None:
        self._spaces_of[(service.zone, service.namespace)] += 1
        self.services[_service_name(service)] = service
        if self._is_short(service):
            self.short[_short_name(service)] = service
        for address in _pointers(service):
            self._by_address[address][service.key] = service

    def _forget_service(self, service: Service) -> None:
        self._spaces_of[(service.zone, service.namespace)] -= 1
        del self.services[_service_name(service)]
        if self._is_short(service):
            del self.short[_short_name(service)]
        for address in _pointers(service):
            holders = self._by_address[address]
            holders.pop(service.key, None)
            if not holders:
                del self._by_address[address]

    def _is_short(self, service: Service) -> bool:
        zone = self.zones.get(encode_name(service.zone))
        return self._options.short_names and (zone is None or zone.kind is ZoneKind.CLUSTER)

    # --- look-ups ---

    def zone_of(self, labels: list[bytes]) -> tuple[bytes, Zone, int] | None:
        """The owned zone of a name: its apex on the wire, the zone, and how many labels come before the apex."""
        for count in range(len(labels)):
            apex = b"".join(bytes([len(label)]) + label for label in labels[count:]) + b"\0"
            zone = self.zones.get(apex)
            if zone is not None:
                return apex, zone, count
        return None

    def has_namespace(self, zone: Zone, namespace: str) -> bool:
        """Whether `<namespace>.svc.<apex>` exists."""
        if zone.kind is ZoneKind.CLUSTER and namespace in self.namespaces:
            return True
        return self._spaces_of.get((zone.apex, namespace), 0) > 0

    def has_pod(self, namespace: str, address: str) -> bool:
        """Whether a pod of this namespace has this address."""
        return (namespace, address) in self._pod_at

    def pointers(self, address: str) -> list[Target]:
        """What an address's PTR records name: services first, and only if there are none, endpoints."""
        holders = list(self._by_address.get(address, {}).values())
        services = [(service, "") for service in holders if address in service.presented]
        if services:
            return services
        found = {}
        for service in holders:
            for endpoint in ready_endpoints(service):
                if endpoint.address == address:
                    found[(service.key, endpoint_label(endpoint))] = (service, endpoint_label(endpoint))
        return list(found.values())


def _service_name(service: Service) -> bytes:
    return encode_name(f"{service.name}.{service.namespace}.svc.{service.zone}".lower())


def _short_name(service: Service) -> bytes:
    return encode_name(f"{service.name}.{service.namespace}".lower())


def _pointers(service: Service) -> Iterator[str]:
    yield from service.presented
    for group in service.groups:
        yield from (endpoint.address for endpoint in group.endpoints)


def ready_endpoints(service: Service) -> Iterator[Endpoint]:
    """Endpoints that serve now, over all groups."""
    for group in service.groups:
        yield from (endpoint for endpoint in group.endpoints if endpoint.ready)


def grouped_endpoints(service: Service) -> Iterator[tuple[EndpointGroup, Endpoint]]:
    """Endpoints that serve now, each with the group whose ports it listens on."""
    for group in service.groups:
        yield from ((group, endpoint) for endpoint in group.endpoints if endpoint.ready)


def endpoint_label(endpoint: Endpoint) -> str:
    """The label of one endpoint below its service: its hostname, or else its address with dashes, as CoreDNS does."""
    if endpoint.hostname:
        return endpoint.hostname
    dashed = endpoint.address.replace(".", "-").replace(":", "-")
    return dashed + "0" if dashed.endswith("-") else dashed


def address_of_label(label: str) -> str | None:
    """The address that a pod name's first label spells with dashes, or None."""
    for text in (label.replace("-", "."), label.replace("-", ":")):
        try:
            return str(ipaddress.ip_address(text))
        except ValueError:
            continue
    return None
