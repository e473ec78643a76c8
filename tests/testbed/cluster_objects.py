"""Kubernetes objects as `kubectl get -o yaml` prints them, cut to what a network needs. Pure: dictionaries in and out.

Owns the shapes for the demo and the tests; where files are written and which pods really listen is the caller's.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

Object = dict[str, Any]


def _meta(name: str, namespace: str = "", **more: Any) -> Object:
    place = {"namespace": namespace} if namespace else {}
    unique = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{namespace}/{name}"))
    return {"name": name, **place, "uid": unique, "creationTimestamp": "2026-01-01T00:00:00Z", **more}


def _ports(ports: Mapping[str, str]) -> list[Object]:
    """`{"http": "80/TCP"}` → port objects."""
    split = {name: text.split("/") for name, text in ports.items()}
    return [{"name": name, "port": int(number), "protocol": protocol} for name, (number, protocol) in split.items()]


def namespace(name: str) -> Object:
    """A Namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": _meta(name)}


def service(name: str, space: str, ports: Mapping[str, str], cluster_ips: Sequence[str]) -> Object:
    """A Service; without ClusterIPs it is headless. `ports` maps a name to `"80/TCP"`."""
    addresses = list(cluster_ips) or ["None"]
    families = ["IPv6" if ":" in each else "IPv4" for each in cluster_ips] or ["IPv4"]
    return {"apiVersion": "v1", "kind": "Service", "metadata": _meta(name, space),
            "spec": {"type": "ClusterIP", "clusterIP": addresses[0], "clusterIPs": addresses, "ipFamilies": families,
                     "selector": {"app": name}, "ports": _ports(ports)}}


def external_name(name: str, space: str, target: str) -> Object:
    """A Service that is an alias of a name outside."""
    return {"apiVersion": "v1", "kind": "Service", "metadata": _meta(name, space),
            "spec": {"type": "ExternalName", "externalName": target}}


def endpoint_slice(of: str, space: str, ports: Mapping[str, str], pods: Mapping[str, str], *, family: str = "IPv4",
                   hostnames: bool = False, ready: bool = True) -> Object:
    """The EndpointSlice of Service `of`: `pods` maps pod names to addresses of one family."""
    endpoints = [{"addresses": [address], "conditions": {"ready": ready, "serving": ready, "terminating": False},
                  **({"hostname": pod} if hostnames else {}),
                  "targetRef": {"kind": "Pod", "namespace": space, "name": pod}} for pod, address in pods.items()]
    labels = {"kubernetes.io/service-name": of,
              "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}
    return {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": family,
            "metadata": _meta(f"{of}-{family.lower()}", space, labels=labels),
            "ports": _ports(ports), "endpoints": endpoints}


def pod(name: str, space: str, addresses: Sequence[str]) -> Object:
    """A running Pod."""
    return {"apiVersion": "v1", "kind": "Pod", "metadata": _meta(name, space, labels={"app": name}),
            "spec": {"containers": [{"name": "main", "image": "example/main"}]},
            "status": {"phase": "Running", "podIP": addresses[0], "podIPs": [{"ip": each} for each in addresses],
                       "conditions": [{"type": "Ready", "status": "True"}]}}


def peer(name: str, public_key: str, **spec: Any) -> Object:
    """A Peer of ours."""
    return {"apiVersion": "kvpn.dev/v1alpha1", "kind": "Peer", "metadata": _meta(name),
            "spec": {"publicKey": public_key, **spec}}


def dump(objects: Sequence[Object]) -> Object:
    """The List that `kubectl get … -A -o yaml` prints."""
    return {"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": list(objects)}
