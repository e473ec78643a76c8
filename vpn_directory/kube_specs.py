"""Raw Kubernetes objects to what the directory needs of each, one function a kind. Pure; knows no other object.

Owns reading `Namespace`, `Pod`, `Service`, `EndpointSlice` and `ServiceImport`. Leaves joining them to `kube_objects`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

from vpn_directory.kube_fields import Fields
from vpn_directory.model import Port, ServiceKind

SERVICE_NAME: Final = "kubernetes.io/service-name"
CLUSTERSET_SERVICE_NAME: Final = "multicluster.kubernetes.io/service-name"
SOURCE_CLUSTER: Final = "multicluster.kubernetes.io/source-cluster"
_PROTOCOLS = ("TCP", "UDP", "SCTP")
_FINISHED = ("Succeeded", "Failed")

Name: TypeAlias = tuple[str, str]
"""(namespace, name)."""


@dataclass(frozen=True, slots=True)
class PodSpec:
    """A pod's addresses; none when it has finished."""

    addresses: tuple[str, ...]
    host_network: bool
    """Its addresses are the node's, so they never count as its own."""


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


@dataclass(frozen=True, slots=True)
class SliceSpec:
    """An EndpointSlice."""

    service: str
    clusterset: bool
    cluster: str
    ports: tuple[Port, ...]
    endpoints: tuple[SliceEndpoint, ...]


def identity(obj: object) -> tuple[str, str, str]:
    """(kind, namespace, name) of any API object; raises `ObjectRefused` when it has none."""
    top = Fields.of(obj)
    meta = top.at("metadata")
    return top.text("kind", None), meta.text("namespace"), meta.text("name", None)


def read_pod(obj: object) -> PodSpec:
    """A Pod."""
    top = Fields.of(obj)
    status = top.at("status")
    addresses = tuple(a for entry in status.each("podIPs") for a in _one_address(entry, "ip"))
    addresses = addresses or _one_address(status, "podIP")
    if status.text("phase") in _FINISHED:
        addresses = ()
    return PodSpec(tuple(dict.fromkeys(addresses)), top.at("spec").flag("hostNetwork", False))


def _one_address(fields: Fields, name: str) -> tuple[str, ...]:
    return Fields({name: [fields.text(name)]}, fields._which, fields._path).addresses(name) if fields.has(name) else ()


def read_service(obj: object) -> ServiceSpec:
    """A Service."""
    spec = Fields.of(obj).at("spec")
    ports = _ports(spec)
    if spec.text("type", "ClusterIP") == "ExternalName":
        target = spec.text("externalName", None).rstrip(".").lower()
        return ServiceSpec(ServiceKind.EXTERNAL_NAME, (), target, ports, False)
    not_ready = spec.flag("publishNotReadyAddresses", False)
    if spec.text("clusterIP") == "None" or spec.texts("clusterIPs") == ["None"]:
        return ServiceSpec(ServiceKind.HEADLESS, (), "", ports, not_ready)
    addresses = spec.addresses("clusterIPs") or _one_address(spec, "clusterIP") if spec.text("clusterIP") else ()
    return ServiceSpec(ServiceKind.CLUSTER_IP, addresses, "", ports, not_ready)


def read_service_import(obj: object) -> ServiceSpec:
    """A ServiceImport (KEP-1645)."""
    spec = Fields.of(obj).at("spec")
    headless = spec.text("type", None) == "Headless"
    kind = ServiceKind.HEADLESS if headless else ServiceKind.CLUSTER_IP
    return ServiceSpec(kind, () if headless else spec.addresses("ips"), "", _ports(spec), False)


def read_slice(obj: object) -> SliceSpec | None:
    """An EndpointSlice; None when it belongs to no service or holds no IP addresses."""
    top = Fields.of(obj)
    labels = top.labels()
    clusterset = CLUSTERSET_SERVICE_NAME in labels
    service = labels.get(CLUSTERSET_SERVICE_NAME if clusterset else SERVICE_NAME, "")
    if not service or top.text("addressType", "IPv4") not in ("IPv4", "IPv6"):
        return None
    namespace = top.at("metadata").text("namespace")
    endpoints = tuple(e for fields in top.each("endpoints") for e in _endpoints(fields, namespace))
    cluster = labels.get(SOURCE_CLUSTER, "") if clusterset else ""
    return SliceSpec(service, clusterset, cluster, _ports(top), endpoints)


def _endpoints(fields: Fields, namespace: str) -> list[SliceEndpoint]:
    target = None
    if fields.has("targetRef"):
        ref = fields.at("targetRef")
        pod = ref.text("kind") == "Pod"
        target = (ref.text("namespace") or namespace, ref.text("name")) if pod else ("", "")
    ready = fields.at("conditions").flag("ready", True)
    return [SliceEndpoint(address, fields.text("hostname").lower(), ready, fields.text("zone"), target)
            for address in fields.addresses("addresses")]


def _ports(fields: Fields) -> tuple[Port, ...]:
    ports = []
    for entry in fields.each("ports"):
        protocol = entry.text("protocol", "TCP")
        if protocol not in _PROTOCOLS:
            raise entry.refuse("protocol", f"expected one of {', '.join(_PROTOCOLS)}")
        if entry.has("port"):
            ports.append(Port(entry.text("name").lower(), protocol, entry.number("port", 1, 65535),
                              entry.text("appProtocol")))
    return tuple(ports)
