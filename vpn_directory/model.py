"""What exists in a cluster, as values: zones, namespaces, services, endpoint groups, pods.

Owns the shape of every item and its identity (`Key`). Leaves to others: where objects come from (`kube_objects`,
`object_files`), how a set of items is kept in step (`publisher`, `replica`) and how names are answered (`kvpn_dns`).

All values are immutable; addresses are canonical text (`ipaddress` compressed form) so that items are JSON-friendly,
hashable and comparable. A change of any detail of a service is a new `Service` value: all or nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias


class ZoneKind(StrEnum):
    """Which schema a zone's names follow."""

    CLUSTER = "cluster"
    """Kubernetes DNS-based service discovery 1.1.0, `<svc>.<ns>.svc.<apex>`."""
    CLUSTERSET = "clusterset"
    """Multi-cluster services (KEP-1645), `<svc>.<ns>.svc.<apex>`."""


class ServiceKind(StrEnum):
    """How a service is reached, which decides what its name answers."""

    CLUSTER_IP = "ClusterIP"
    HEADLESS = "Headless"
    EXTERNAL_NAME = "ExternalName"


class Claim(StrEnum):
    """Whose an endpoint address is (DESIGN §6), which decides whether packets may be sent to it. Names ignore it."""

    POD = "pod"
    """The slice's targetRef is a Pod of the service's own namespace; that Pod has this address, and no other namespace's has."""
    EXTERNAL = "external"
    """No targetRef, and the address is of no known Pod, Service or node, nor special: outside of the cluster."""
    REFUSED = "refused"
    """It says it is a Pod's and is not; or it is someone else's: a Pod's, a Service's, a node's; or it is loopback,
    link-local, metadata, multicast. Never sent to (`address_owners` has the rule)."""


@dataclass(frozen=True, slots=True)
class Port:
    """A port of a service (what clients dial) or of an endpoint group (what pods listen on); paired by `name`."""

    name: str
    """Empty when the service has a single unnamed port."""
    protocol: str
    """`TCP`, `UDP` or `SCTP`."""
    port: int
    app_protocol: str = ""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address that serves, as an EndpointSlice lists it."""

    address: str
    hostname: str = ""
    ready: bool = True
    """Serving traffic now; `publishNotReadyAddresses` has been folded in."""
    claim: Claim = Claim.POD
    pod: str = ""
    """`namespace/name` of the Pod when `claim` is POD."""
    draining: bool = False
    """Not ready because it terminates, but serving: never named, and sent to only while no endpoint is ready (kube-proxy)."""


@dataclass(frozen=True, slots=True)
class EndpointGroup:
    """Endpoints that share ports, cluster and locality; groups with the lowest `priority` number serve first."""

    cluster: str
    """Cluster id; empty for the gateway's own cluster."""
    locality: str
    """Topology zone, or empty."""
    priority: int
    ports: tuple[Port, ...]
    endpoints: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True)
class Zone:
    """A DNS zone the directory owns. `service_cidrs` and `pod_cidrs` are known prefixes of its addresses, or empty."""

    apex: str
    """Lower case, no trailing dot: `cluster.local`."""
    kind: ZoneKind
    service_cidrs: tuple[str, ...] = ()
    pod_cidrs: tuple[str, ...] = ()

    @property
    def key(self) -> Key:
        """Identity: the apex."""
        return ("zone", self.apex, "", "")


@dataclass(frozen=True, slots=True)
class Namespace:
    """A Kubernetes namespace: an empty non-terminal `<name>.svc.<apex>` exists because it exists."""

    name: str

    @property
    def key(self) -> Key:
        """Identity: the name."""
        return ("namespace", "", self.name, "")


@dataclass(frozen=True, slots=True)
class Service:
    """A service of one zone."""

    zone: str
    """Apex of its zone."""
    namespace: str
    name: str
    kind: ServiceKind
    addresses: tuple[str, ...] = ()
    """Real ClusterIPs or ClusterSetIPs, at most one per family; empty for the other kinds."""
    presented: tuple[str, ...] = ()
    """What names answer, routes carry and rules match (DESIGN §3), parallel to `addresses`; by default equal."""
    external_name: str = ""
    ports: tuple[Port, ...] = ()
    groups: tuple[EndpointGroup, ...] = ()

    @property
    def key(self) -> Key:
        """Identity: zone, namespace, name."""
        return ("service", self.zone, self.namespace, self.name)


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod with addresses: for pod names, for routes, and for whose address an endpoint is."""

    namespace: str
    name: str
    addresses: tuple[str, ...]

    @property
    def key(self) -> Key:
        """Identity: namespace, name."""
        return ("pod", "", self.namespace, self.name)


Key: TypeAlias = tuple[str, str, str, str]
"""(kind, zone apex or "", namespace or "", name or "")."""

Item: TypeAlias = Zone | Namespace | Service | Pod


@dataclass(frozen=True, slots=True)
class Put:
    """`item` came to exist or changed."""

    item: Item


@dataclass(frozen=True, slots=True)
class Delete:
    """The item of this identity is gone."""

    key: Key


Change: TypeAlias = Put | Delete
