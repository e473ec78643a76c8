"""Kubernetes objects joined into the directory's items, one object at a time or all at once. Pure.

Owns which slices make a service. A malformed object is refused by name; what was known of it before stays in force, and
nothing else is touched. Other kinds are ignored: they are somebody else's. Leaves reading one object to `kube_specs`, and
whose each endpoint address is to `address_owners`.

What the items are depends on the objects in force and on nothing else: not on the order in which they came, nor on what was
there before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from vpn_directory.address_owners import AddressOwners, Multimap, own_addresses
from vpn_directory.codec import MAX_LINE
from vpn_directory.kube_fields import ApiObject, ObjectRefused
from vpn_directory.kube_specs import (
    Identity,
    Name,
    PodSpec,
    ServiceSpec,
    SliceEndpoint,
    SliceSpec,
    identity,
    read_pod,
    read_service,
    read_service_import,
    read_slice,
)
from vpn_directory.model import (
    Change,
    Claim,
    Delete,
    Endpoint,
    EndpointGroup,
    Item,
    Key,
    Namespace,
    Pod,
    Port,
    Put,
    Service,
    Zone,
    ZoneKind,
)
from vpn_directory.text import is_apex, shown

MAX_SERVICE: Final = MAX_LINE // 2  # bytes of one service's JSON, so that no team's slices stop every client's stream

ServiceId: TypeAlias = tuple[str, str, str]
"""(zone apex, namespace, name)."""


@dataclass(frozen=True, slots=True)
class LocatedObject:
    """An object and where it was read: `shop.yaml: document 3`."""

    obj: ApiObject
    where: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """An object that was not taken, and why, in words for a log or a status."""

    where: str
    error: ObjectRefused

    def __str__(self) -> str:
        return f"{self.where}: {self.error}"


class Inventory:
    """The objects known and the items they make."""

    def __init__(self, cluster_domain: str = "cluster.local", clusterset_domain: str | None = None,
                 service_cidrs: Sequence[str] = (), pod_cidrs: Sequence[str] = ()) -> None:
        """ValueError for a domain that is no lower-case DNS name without a trailing dot."""
        for domain in filter(None, (cluster_domain, clusterset_domain)):
            if not is_apex(domain):
                raise ValueError(f"{shown(domain)}: expected a lower-case DNS name without a trailing dot, such as cluster.local")
        self._apex = cluster_domain
        self._clusterset = clusterset_domain
        self._objects: dict[Identity, object] = {}
        self._raw: dict[Identity, ApiObject] = {}
        self._pods: dict[Name, PodSpec] = {}
        self._services: dict[ServiceId, ServiceSpec] = {}
        self._slices: dict[Name, SliceSpec] = {}
        self._slices_of: defaultdict[ServiceId, set[Name]] = defaultdict(set)
        self._owners = AddressOwners(service_cidrs)
        self._used_by: Multimap[Name] = Multimap()
        self._dirty: set[ServiceId] = set()
        self._items: dict[Key, Item] = {}
        self._changes: dict[Key, Change] = {}
        self._left_out: dict[ServiceId, tuple[Name, ...]] = {}
        self.items: Mapping[Key, Item] = MappingProxyType(self._items)
        self._put(Zone(cluster_domain, ZoneKind.CLUSTER, tuple(service_cidrs), tuple(pod_cidrs)))
        if clusterset_domain:
            self._put(Zone(clusterset_domain, ZoneKind.CLUSTERSET))
        self._changes.clear()

    def apply(self, obj: ApiObject) -> list[Change]:
        """Take in one object, new or changed; raises `ObjectRefused` and changes nothing when it is malformed."""
        ident = identity(obj)
        if ident is not None:
            spec = _READERS[ident[0]](obj) or ()
            self._raw.pop(ident, None)
            self._store(ident, spec)
        return self._flush()

    def remove(self, kind: str, namespace: str, name: str) -> list[Change]:
        """Forget one object."""
        ident = (kind, "" if kind == "Namespace" else namespace, name)
        self._raw.pop(ident, None)
        self._store(ident, None)
        return self._flush()

    def replace_all(self, objects: Iterable[LocatedObject]) -> tuple[list[Change], list[Refusal]]:
        """Make the inventory exactly these objects, but for refused ones, whose last good state stays.

        An object that is the very same as the last time (`is`) is not read again, so objects must not be changed in place.
        """
        seen: set[Identity] = set()
        refused: list[Refusal] = []
        for located in objects:
            try:
                self._take(located.obj, seen)
            except ObjectRefused as error:
                refused.append(Refusal(located.where, error))
        for ident in [known for known in self._objects if known not in seen]:
            self._raw.pop(ident, None)
            self._store(ident, None)
        return self._flush(), refused + [Refusal("the directory", error) for error in self.left_out()]

    def left_out(self) -> list[ObjectRefused]:
        """Slices that their services have no room for, and so are not served."""
        return [ObjectRefused(f"Service {ident[1]}/{ident[2]}", "endpoints",
                              f"more than {MAX_SERVICE} bytes; left out {len(names)} slices, the first {names[0][1]}")
                for ident, names in sorted(self._left_out.items())]

    def _take(self, obj: ApiObject, seen: set[Identity]) -> None:
        ident = identity(obj)
        if ident is None:
            return
        if ident in seen:
            raise ObjectRefused(" ".join((ident[0], "/".join(filter(None, ident[1:])))), "metadata.name", "is defined twice")
        seen.add(ident)
        if self._raw.get(ident) is not obj:
            self._store(ident, _READERS[ident[0]](obj) or ())
            self._raw[ident] = obj

    # --- what is known ---

    def _store(self, ident: Identity, spec: object) -> None:
        if spec == self._objects.get(ident):
            return
        if spec is None:
            del self._objects[ident]
        else:
            self._objects[ident] = spec
        kind, namespace, name = ident
        if kind == "Namespace":
            self._put(Namespace(name)) if spec is not None else self._delete(Namespace(name).key)
        elif kind == "Pod":
            self._store_pod((namespace, name), spec if isinstance(spec, PodSpec) else None)
        elif kind == "EndpointSlice":
            self._store_slice((namespace, name), spec if isinstance(spec, SliceSpec) else None)
        else:
            apex = self._apex if kind == "Service" else self._clusterset
            if apex:
                self._store_service((apex, namespace, name), spec if isinstance(spec, ServiceSpec) else None)

    def _store_pod(self, name: Name, spec: PodSpec | None) -> None:
        before = self._pods.pop(name, None)
        if spec is not None:
            self._pods[name] = spec
        self._owners_changed(self._owners.replace_pod(name, before, spec))
        item = Pod(*name, own_addresses(spec))
        self._put(item) if item.addresses else self._delete(item.key)

    def _store_slice(self, name: Name, spec: SliceSpec | None) -> None:
        before = self._slices.pop(name, None)
        for ident in self._services_of(name, before):
            self._slices_of[ident].discard(name)
            if not self._slices_of[ident]:
                del self._slices_of[ident]
            self._dirty.add(ident)
        for endpoint in before.endpoints if before else ():
            self._used_by.discard(endpoint.address, name)
        if spec is None:
            return
        self._slices[name] = spec
        for ident in self._services_of(name, spec):
            self._slices_of[ident].add(name)
            self._dirty.add(ident)
        for endpoint in spec.endpoints:
            self._used_by.add(endpoint.address, name)

    def _services_of(self, name: Name, spec: SliceSpec | None) -> list[ServiceId]:
        """A slice is of a Service, of a ServiceImport, or of both when the Service was derived from the import."""
        if spec is None:
            return []
        mine = [(self._apex, name[0], spec.service)] if spec.service else []
        return mine + ([(self._clusterset, name[0], spec.imported)] if spec.imported and self._clusterset else [])

    def _store_service(self, ident: ServiceId, spec: ServiceSpec | None) -> None:
        before = self._services.pop(ident, None)
        if spec is not None:
            self._services[ident] = spec
        self._owners_changed(self._owners.replace_service(ident, before.addresses if before else (),
                                                          spec.addresses if spec else ()))
        self._dirty.add(ident)

    def _owners_changed(self, addresses: Iterable[str]) -> None:
        """Services whose endpoints have these addresses are looked at again."""
        for address in addresses:
            for name in self._used_by[address]:
                self._dirty.update(self._services_of(name, self._slices[name]))

    # --- what it makes ---

    def _flush(self) -> list[Change]:
        for ident in sorted(self._dirty):
            self._make_service(ident)
        self._dirty.clear()
        changes, self._changes = list(self._changes.values()), {}
        return changes

    def _put(self, item: Item) -> None:
        if self._items.get(item.key) != item:
            self._items[item.key] = item
            self._changes[item.key] = Put(item)

    def _delete(self, key: Key) -> None:
        if self._items.pop(key, None) is not None:
            self._changes[key] = Delete(key)

    def _make_service(self, ident: ServiceId) -> None:
        spec = self._services.get(ident)
        self._left_out.pop(ident, None)
        if spec is None:
            self._delete(("service", *ident))
            return
        groups = self._groups(ident, spec, self._slices_that_fit(ident))
        self._put(Service(*ident, spec.kind, spec.addresses, spec.addresses, spec.external_name, spec.ports, groups))

    def _slices_that_fit(self, ident: ServiceId) -> list[SliceSpec]:
        """Slices by name while there is room; by name, so that it does not depend on which came first."""
        size, fitting, left_out = 0, [], []
        for name in sorted(self._slices_of.get(ident, ())):
            spec = self._slices[name]
            if size + spec.size > MAX_SERVICE:
                left_out.append(name)
                continue
            size += spec.size
            fitting.append(spec)
        if left_out:
            self._left_out[ident] = tuple(left_out)
        return fitting

    def _groups(self, ident: ServiceId, service: ServiceSpec, slices: Iterable[SliceSpec]) -> tuple[EndpointGroup, ...]:
        grouped: defaultdict[tuple[str, str, tuple[Port, ...]], dict[tuple[str, str], Endpoint]] = defaultdict(dict)
        for spec in slices:
            for raw in spec.endpoints:
                members = grouped[(spec.cluster, raw.zone, spec.ports)]
                made = self._endpoint(ident[1], raw, service.publish_not_ready)
                known = members.get((made.address, made.hostname))
                members[(made.address, made.hostname)] = _joined(known, made) if known else made
        return tuple(EndpointGroup(cluster, locality, 0, ports, tuple(members[key] for key in sorted(members)))
                     for (cluster, locality, ports), members in sorted(grouped.items(), key=_group_order))

    def _endpoint(self, namespace: str, raw: SliceEndpoint, publish_not_ready: bool) -> Endpoint:
        claim = self._owners.claim(namespace, raw.address, raw.target)
        pod = "/".join(raw.target) if claim is Claim.POD and raw.target else ""
        ready = raw.ready or publish_not_ready
        return Endpoint(raw.address, raw.hostname, ready, claim, pod, raw.draining and not ready)


_READERS: dict[str, Callable[[Any], object]] = {
    "Namespace": identity,
    "Pod": read_pod,
    "Service": read_service,
    "EndpointSlice": read_slice,
    "ServiceImport": read_service_import,
}


def _joined(one: Endpoint, other: Endpoint) -> Endpoint:
    """One endpoint that two slices list, as happens while it moves between them: the better of each."""
    first, second = sorted((one, other), key=lambda endpoint: (_CLAIMS[endpoint.claim], endpoint.pod))
    ready = first.ready or second.ready
    return Endpoint(first.address, first.hostname, ready, first.claim, first.pod,
                    (first.draining or second.draining) and not ready)


_CLAIMS: Final = {Claim.POD: 0, Claim.EXTERNAL: 1, Claim.REFUSED: 2}


def _group_order(entry: tuple[tuple[str, str, tuple[Port, ...]], object]) -> tuple[str, str, list[tuple[str, str, int, str]]]:
    cluster, locality, ports = entry[0]
    return cluster, locality, [(port.name, port.protocol, port.port, port.app_protocol) for port in ports]
