"""Kubernetes objects joined into the directory's items, one object at a time or all at once. Pure.

Owns which slices make a service and whose each endpoint address is (DESIGN §6). A malformed object is refused by name; what
was known of it before stays in force, and nothing else is touched. Other kinds are ignored: they are somebody else's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from vpn_directory.kube_fields import ApiObject, ObjectRefused
from vpn_directory.kube_specs import (
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

KINDS = ("Namespace", "Pod", "Service", "EndpointSlice", "ServiceImport")


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
        self._apex = cluster_domain
        self._clusterset = clusterset_domain
        self._objects: dict[tuple[str, str, str], object] = {}
        self._pods: dict[Name, PodSpec] = {}
        self._services: dict[tuple[str, str, str], ServiceSpec] = {}
        self._slices: dict[Name, SliceSpec] = {}
        self._slices_of: defaultdict[tuple[str, str, str], set[Name]] = defaultdict(set)
        self._pods_at: defaultdict[str, set[Name]] = defaultdict(set)
        self._vips: defaultdict[str, set[tuple[str, str, str]]] = defaultdict(set)
        self._used_by: defaultdict[str, set[tuple[str, str, str]]] = defaultdict(set)
        self._dirty: set[tuple[str, str, str]] = set()
        self._items: dict[Key, Item] = {}
        self._changes: dict[Key, Change] = {}
        self.items: Mapping[Key, Item] = MappingProxyType(self._items)
        self._put(Zone(cluster_domain, ZoneKind.CLUSTER, tuple(service_cidrs), tuple(pod_cidrs)))
        if clusterset_domain:
            self._put(Zone(clusterset_domain, ZoneKind.CLUSTERSET))
        self._changes.clear()

    def apply(self, obj: ApiObject) -> list[Change]:
        """Take in one object, new or changed; raises `ObjectRefused` and changes nothing when it is malformed."""
        ident = identity(obj)
        if ident[0] in KINDS:
            self._store(ident, self._read(ident[0], obj))
        return self._flush()

    def remove(self, kind: str, namespace: str, name: str) -> list[Change]:
        """Forget one object."""
        self._store((kind, namespace, name), None)
        return self._flush()

    def replace_all(self, objects: Iterable[LocatedObject]) -> tuple[list[Change], list[Refusal]]:
        """Make the inventory exactly these objects, but for refused ones, whose last good state stays."""
        seen: set[tuple[str, str, str]] = set()
        refused: list[Refusal] = []
        for located in objects:
            try:
                ident = identity(located.obj)
                if ident[0] not in KINDS:
                    continue
                if ident in seen:
                    raise ObjectRefused(f"{ident[0]} {ident[1]}/{ident[2]}", "metadata.name", "is defined twice")
                seen.add(ident)
                self._store(ident, self._read(ident[0], located.obj))
            except ObjectRefused as error:
                refused.append(Refusal(located.where, error))
        for ident in [known for known in self._objects if known not in seen]:
            self._store(ident, None)
        return self._flush(), refused

    @staticmethod
    def _read(kind: str, obj: ApiObject) -> object:
        return _READERS[kind](obj) or ()

    # --- what is known ---

    def _store(self, ident: tuple[str, str, str], spec: object) -> None:
        before = self._objects.get(ident)
        if spec == before:
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
        for address in _own(before):
            self._pods_at[address].discard(name)
        for address in _own(spec):
            self._pods_at[address].add(name)
        for address in {*_own(before), *_own(spec)}:
            self._dirty |= self._used_by[address]
        item = Pod(*name, _own(spec))
        self._put(item) if item.addresses else self._delete(item.key)

    def _store_slice(self, name: Name, spec: SliceSpec | None) -> None:
        before = self._slices.pop(name, None)
        if before is not None:
            self._slices_of[self._service_of(name, before)].discard(name)
            self._dirty.add(self._service_of(name, before))
        if spec is not None:
            self._slices[name] = spec
            self._slices_of[self._service_of(name, spec)].add(name)
            self._dirty.add(self._service_of(name, spec))

    def _service_of(self, name: Name, spec: SliceSpec) -> tuple[str, str, str]:
        return ((self._clusterset or "") if spec.clusterset else self._apex, name[0], spec.service)

    def _store_service(self, ident: tuple[str, str, str], spec: ServiceSpec | None) -> None:
        before = self._services.pop(ident, None)
        if spec is not None:
            self._services[ident] = spec
        for address in before.addresses if before else ():
            self._vips[address].discard(ident)
            self._dirty |= self._used_by[address]
        for address in spec.addresses if spec else ():
            self._vips[address].add(ident)
            self._dirty |= self._used_by[address]
        self._dirty.add(ident)

    # --- what it makes ---

    def _flush(self) -> list[Change]:
        for ident in self._dirty:
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

    def _make_service(self, ident: tuple[str, str, str]) -> None:
        for address in self._addresses_of(ident):
            self._used_by[address].add(ident)
        spec = self._services.get(ident)
        key = ("service", *ident)
        if spec is None:
            self._delete(key)
            return
        self._put(Service(*ident, spec.kind, spec.addresses, spec.addresses, spec.external_name, spec.ports,
                          self._groups(ident, spec)))

    def _addresses_of(self, ident: tuple[str, str, str]) -> set[str]:
        return {e.address for name in self._slices_of[ident] for e in self._slices[name].endpoints}

    def _groups(self, ident: tuple[str, str, str], service: ServiceSpec) -> tuple[EndpointGroup, ...]:
        grouped: defaultdict[tuple[str, str, tuple[Port, ...]], dict[tuple[str, str], Endpoint]] = defaultdict(dict)
        for name in sorted(self._slices_of[ident]):
            spec = self._slices[name]
            for raw in spec.endpoints:
                members = grouped[(spec.cluster, raw.zone, spec.ports)]
                made = self._endpoint(ident[1], raw, service.publish_not_ready)
                known = members.get((made.address, made.hostname))
                if known is None or (made.ready and not known.ready):
                    members[(made.address, made.hostname)] = made
        return tuple(EndpointGroup(cluster, locality, 0, ports, tuple(members[key] for key in sorted(members)))
                     for (cluster, locality, ports), members in sorted(grouped.items(), key=_group_order))

    def _endpoint(self, namespace: str, raw: SliceEndpoint, publish_not_ready: bool) -> Endpoint:
        claim = self._claim(namespace, raw)
        pod = "/".join(raw.target) if claim is Claim.POD and raw.target else ""
        return Endpoint(raw.address, raw.hostname, raw.ready or publish_not_ready, claim, pod)

    def _claim(self, namespace: str, raw: SliceEndpoint) -> Claim:
        if raw.target is not None:
            pod = self._pods.get(raw.target)
            own = raw.target[0] == namespace and raw.address in _own(pod)
            return Claim.POD if own else Claim.REFUSED
        taken = self._pods_at[raw.address] or self._vips[raw.address]
        return Claim.REFUSED if taken else Claim.EXTERNAL


_READERS: dict[str, Callable[[Any], object]] = {
    "Namespace": identity,
    "Pod": read_pod,
    "Service": read_service,
    "EndpointSlice": read_slice,
    "ServiceImport": read_service_import,
}


def _own(pod: PodSpec | None) -> tuple[str, ...]:
    """The addresses that are a pod's own: a pod on the host's network has none."""
    return () if pod is None or pod.host_network else pod.addresses


def _group_order(entry: tuple[tuple[str, str, tuple[Port, ...]], object]) -> tuple[str, str, list[tuple[str, str, int]]]:
    cluster, locality, ports = entry[0]
    return cluster, locality, [(port.name, port.protocol, port.port) for port in ports]
