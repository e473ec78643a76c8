"""A small directory to ask, and queries to ask it with; dnspython parses every answer as an oracle."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype

from kvpn_dns.answer import Answerer, Forward, Reply
from kvpn_dns.options import Options
from kvpn_dns.zone_index import Index
from tests.unit.vpn_directory.fixtures import endpoint, located, namespace, pod, service, slice_
from vpn_directory.kube_objects import Inventory
from vpn_directory.model import Put
from vpn_directory.replica import ReplicaState

OBJECTS = [
    namespace("shop"), namespace("empty"),
    service("shop", "web", "10.96.0.1", "fd00::1"), service("shop", "four", "10.96.0.4"),
    service("shop", "db", clusterIP="None"), service("shop", "none", clusterIP="None"),
    service("shop", "out", type="ExternalName", externalName="www.example.org"),
    service("shop", "in", type="ExternalName", externalName="web.shop.svc.cluster.local"),
    service("shop", "loop", type="ExternalName", externalName="loop.shop.svc.cluster.local"),
    pod("shop", "db-0", "10.1.0.5"), pod("shop", "db-1", "10.1.0.6"),
    slice_("shop", "db", "db", endpoint("10.1.0.5", "db-0", hostname="db-0"), endpoint("10.1.0.6", "db-1"),
           endpoint("10.1.0.7", "db-2", conditions={"ready": False}), port=5432),
    {"kind": "ServiceImport", "apiVersion": "multicluster.x-k8s.io/v1alpha1", "metadata": {"namespace": "shop", "name": "geo"},
     "spec": {"type": "Headless", "ports": [{"name": "http", "port": 80}]}},
    slice_("shop", "geo", "", endpoint("10.7.0.1", hostname="one"), labels={
        "multicluster.kubernetes.io/service-name": "geo", "multicluster.kubernetes.io/source-cluster": "east"}),
]


def answerer(options: Options | None = None, objects: list[dict[str, object]] | None = None) -> Answerer:
    """An answerer over the objects, live."""
    options = options or Options(owned=("cluster.local", "clusterset.local"))
    inventory = Inventory(clusterset_domain="clusterset.local")
    inventory.replace_all(located(*(OBJECTS if objects is None else objects)))
    index = Index(options)
    index.apply(Put(item) for item in inventory.items.values())
    made = Answerer(index, options)
    made.state = ReplicaState.LIVE
    return made


def ask(subject: Answerer, name: str, kind: str = "A", *, tcp: bool = False, edns: int | None = None) -> dns.message.Message:
    """The parsed answer; AssertionError when there is none."""
    query = dns.message.make_query(name, kind, use_edns=edns is not None, payload=edns or 0)
    outcome = subject.answer(query.to_wire(), tcp=tcp)
    assert isinstance(outcome, Reply), outcome
    reply = dns.message.from_wire(outcome.data)
    assert query.is_response(reply)
    return reply


def told(subject: Answerer, name: str, kind: str = "A") -> tuple[str, set[str]]:
    """(rcode, answer rdata as text)."""
    reply = ask(subject, name, kind, tcp=True)
    return dns.rcode.to_text(reply.rcode()), {rdata.to_text() for rrset in reply.answer for rdata in rrset}


def forwarded(subject: Answerer, name: str, kind: str = "A") -> bool:
    """Whether the question goes upstream."""
    return isinstance(subject.answer(dns.message.make_query(name, kind, use_edns=False).to_wire()), Forward)
