"""Raw Kubernetes objects to what the directory needs of each, one function a kind. Pure; knows no other object.

Owns reading `Namespace`, `Pod`, `Service`, `EndpointSlice` and `ServiceImport`, and whether an object is one of these at
all. Leaves joining them to `kube_objects`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

from vpn_directory.kube_fields import Fields
from vpn_directory.model import Port, ServiceKind
from vpn_directory.text import PROTOCOLS, is_special

SERVICE_NAME: Final = "kubernetes.io/service-name"
CLUSTERSET_SERVICE_NAME: Final = "multicluster.kubernetes.io/service-name"
SOURCE_CLUSTER: Final = "multicluster.kubernetes.io/source-cluster"
GROUPS: Final = {"Namespace": "", "Pod": "", "Service": "", "EndpointSlice": "discovery.k8s.io",
                 "ServiceImport": "multicluster.x-k8s.io"}
"""The kinds that are read and the API group of each; Knative has a `Service` too."""
DEFAULT_NAMESPACE: Final = "default"  # where kubectl puts an object that names none
MAX_ENDPOINTS: Final = 1000  # of one slice, as the API server has it
MAX_ADDRESSES: Final = 100  # of one endpoint, as the API server has it
MAX_PORTS: Final = 1000  # of one service or slice
MAX_POD_ADDRESSES: Final = 16
_TYPES = ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName")
_FINISHED = ("Succeeded", "Failed")

Name: TypeAlias = tuple[str, str]
"""(namespace, name)."""

Identity: TypeAlias = tuple[str, str, str]
"""(kind, namespace, name); the namespace of a Namespace is empty."""


@dataclass(frozen=True, slots=True)
class PodSpec:
    """A pod's addresses; none when it has finished."""

    addresses: tuple[str, ...]
    host_network: bool
    """Its addresses are the node's, so they never count as its own."""
    node: tuple[str, ...] = ()
    """Addresses of the node that it runs on."""


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """A Service or a ServiceImport."""

    kind: ServiceKind
    addresses: tuple[str, ...]
    external_name: str
    ports: tuple[Port, ...]
    publish_not_ready: bool


@dataclass(frozen=True, slots=True)
class SliceEndpoint:
    """One address of one endpoint of a slice."""

    address: str
    hostname: str
    ready: bool
    zone: str
    target: Name | None
    """The Pod of its targetRef; None without one. Another kind reads as a Pod that cannot exist."""
    draining: bool = False
    """Not ready because it terminates, and serving still."""


@dataclass(frozen=True, slots=True)
class SliceSpec:
    """An EndpointSlice."""

    service: str
    """Name of the Service of this cluster that it is of, or empty."""
    imported: str
    """Name of the ServiceImport that it is of, or empty. A derived Service and its import may share a slice."""
    cluster: str
    ports: tuple[Port, ...]
    endpoints: tuple[SliceEndpoint, ...]
    size: int
    """Bytes that it adds to a service's JSON at most."""


def identity(obj: object) -> Identity | None:
    """Which object it is, None when it is of no kind that we read; raises `ObjectRefused` when that cannot be told."""
    top = Fields.of(obj)
    kind = top.text("kind", None)
    group = top.text("apiVersion").rpartition("/")[0]
    if kind not in GROUPS or (top.has("apiVersion") and group != GROUPS[kind]):
        return None
    meta = top.at("metadata")
    if kind == "Namespace":
        return kind, "", meta.label("name", None)
    name = meta.label("name", None) if kind in ("Service", "ServiceImport") else meta.subdomain("name", None)
    return kind, meta.label("namespace") or DEFAULT_NAMESPACE, name


def read_pod(obj: object) -> PodSpec:
    """A Pod."""
    top = Fields.of(obj)
    status = top.at("status")
    addresses = tuple(a for entry in status.each("podIPs", MAX_POD_ADDRESSES) for a in entry.address("ip"))
    addresses = addresses or status.address("podIP")
    host_network = top.at("spec").flag("hostNetwork", False)
    node = [a for entry in status.each("hostIPs", MAX_POD_ADDRESSES) for a in entry.address("ip")]
    node += [*status.address("hostIP"), *(addresses if host_network else ())]
    if status.text("phase") in _FINISHED:
        addresses = ()
    return PodSpec(tuple(dict.fromkeys(addresses)), host_network, tuple(dict.fromkeys(node)))


def read_service(obj: object) -> ServiceSpec:
    """A Service."""
    spec = Fields.of(obj).at("spec")
    ports = _ports(spec)
    type_ = spec.text("type", "ClusterIP")
    if type_ not in _TYPES:
        raise spec.refuse("type", f"expected one of {', '.join(_TYPES)}")
    if type_ == "ExternalName":
        return ServiceSpec(ServiceKind.EXTERNAL_NAME, (), _external_name(spec), ports, False)
    not_ready = spec.flag("publishNotReadyAddresses", False)
    if spec.text("clusterIP") == "None" or spec.texts("clusterIPs") == ["None"]:
        return ServiceSpec(ServiceKind.HEADLESS, (), "", ports, not_ready)
    addresses = _one_per_family(spec, "clusterIPs") or _usable(spec, "clusterIP", spec.address("clusterIP"))
    return ServiceSpec(ServiceKind.CLUSTER_IP, addresses, "", ports, not_ready)


def _external_name(spec: Fields) -> str:
    text = spec.text("externalName", None).lower().removesuffix(".")
    return Fields({"externalName": text}, spec.which, "spec").subdomain("externalName", None)


def read_service_import(obj: object) -> ServiceSpec:
    """A ServiceImport (KEP-1645)."""
    spec = Fields.of(obj).at("spec")
    type_ = spec.text("type", None)
    if type_ not in ("ClusterSetIP", "Headless"):
        raise spec.refuse("type", "expected ClusterSetIP or Headless")
    if type_ == "Headless":
        return ServiceSpec(ServiceKind.HEADLESS, (), "", _ports(spec), False)
    return ServiceSpec(ServiceKind.CLUSTER_IP, _one_per_family(spec, "ips"), "", _ports(spec), False)


def _one_per_family(spec: Fields, name: str) -> tuple[str, ...]:
    addresses = _usable(spec, name, spec.addresses(name))
    if len({":" in address for address in addresses}) != len(addresses):
        raise spec.refuse(name, "expected at most one address of each family")
    return addresses


def _usable(spec: Fields, name: str, addresses: tuple[str, ...]) -> tuple[str, ...]:
    for address in addresses:
        if is_special(address):
            raise spec.refuse(name, f"{address} cannot be a service's address")
    return addresses


def read_slice(obj: object) -> SliceSpec | None:
    """An EndpointSlice; None when it belongs to no service or holds no IP addresses."""
    top = Fields.of(obj)
    meta = top.at("metadata")
    labels = meta.at("labels")
    service, imported = labels.label(SERVICE_NAME), labels.label(CLUSTERSET_SERVICE_NAME)
    family = top.text("addressType", "IPv4")
    if family not in ("IPv4", "IPv6", "FQDN"):
        raise top.refuse("addressType", "expected IPv4, IPv6 or FQDN")
    if not (service or imported) or family == "FQDN":
        return None
    namespace = meta.text("namespace") or DEFAULT_NAMESPACE
    endpoints = tuple(e for fields in top.each("endpoints", MAX_ENDPOINTS) for e in _endpoints(fields, namespace, family))
    cluster = labels.label(SOURCE_CLUSTER) if imported else ""
    ports = tuple(sorted(_ports(top), key=lambda port: (port.name, port.protocol, port.port, port.app_protocol)))
    return SliceSpec(service, imported, cluster, ports, endpoints, _size(cluster, ports, endpoints))


def _endpoints(fields: Fields, namespace: str, family: str) -> list[SliceEndpoint]:
    conditions = fields.at("conditions")
    ready = conditions.flag("ready", True)
    draining = conditions.flag("serving", True) and conditions.flag("terminating", False) and not ready
    hostname, zone, target = fields.folded_label("hostname"), fields.plain("zone"), _target(fields, namespace)
    addresses = fields.addresses("addresses", MAX_ADDRESSES)
    if any((":" in address) != (family == "IPv6") for address in addresses):
        raise fields.refuse("addresses", f"expected {family} addresses, as addressType says")
    return [SliceEndpoint(address, hostname, ready, zone, target, draining) for address in addresses]


def _target(fields: Fields, namespace: str) -> Name | None:
    if not fields.has("targetRef"):
        return None
    ref = fields.at("targetRef")
    if ref.text("kind") != "Pod":
        return "", ""
    return ref.label("namespace") or namespace, ref.subdomain("name")


def _ports(fields: Fields) -> tuple[Port, ...]:
    ports = []
    for entry in fields.each("ports", MAX_PORTS):
        protocol = entry.text("protocol", "TCP")
        if protocol not in PROTOCOLS:
            raise entry.refuse("protocol", f"expected one of {', '.join(PROTOCOLS)}")
        if entry.has("port"):
            ports.append(Port(entry.folded_label("name"), protocol, entry.number("port", 1, 65535), entry.plain("appProtocol")))
    return tuple(ports)


def _size(cluster: str, ports: tuple[Port, ...], endpoints: tuple[SliceEndpoint, ...]) -> int:
    """An upper bound, cheaply: what JSON writes around the values, and text that may be escaped counted twice."""
    port_bytes = sum(80 + len(port.name) + 2 * len(port.app_protocol) for port in ports)
    groups = {endpoint.zone for endpoint in endpoints}
    around = sum(120 + len(cluster) + 2 * len(zone) + port_bytes for zone in groups)
    return around + sum(120 + len(e.address) + len(e.hostname) + sum(map(len, e.target or ())) for e in endpoints)
