"""Kubernetes objects as short calls."""

from __future__ import annotations

from typing import Any

from vpn_directory.kube_objects import LocatedObject


def namespace(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def pod(space: str, name: str, *addresses: str, host: bool = False, phase: str = "Running") -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": space, "name": name},
            "spec": {"hostNetwork": host}, "status": {"phase": phase, "podIPs": [{"ip": a} for a in addresses]}}


def service(space: str, name: str, *vips: str, port: int = 80, **spec: Any) -> dict[str, Any]:
    cluster = {"clusterIP": vips[0], "clusterIPs": list(vips)} if vips else {}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": space, "name": name},
            "spec": {**cluster, "ports": [{"name": "http", "port": port}], **spec}}


def endpoint(address: str, pod_name: str | None = None, **more: Any) -> dict[str, Any]:
    target = {"targetRef": {"kind": "Pod", "name": pod_name}} if pod_name else {}
    return {"addresses": [address], **target, **more}


def slice_(space: str, name: str, of: str, *endpoints: dict[str, Any], port: int = 8080,
           labels: dict[str, str] | None = None) -> dict[str, Any]:
    return {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"namespace": space, "name": name, "labels": labels or {"kubernetes.io/service-name": of}},
            "ports": [{"name": "http", "port": port}], "endpoints": list(endpoints)}


def located(*objects: dict[str, Any]) -> list[LocatedObject]:
    return [LocatedObject(obj, f"test: {number}") for number, obj in enumerate(objects)]
