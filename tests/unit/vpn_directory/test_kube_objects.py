"""Objects joined into items: claims, merging, refusals, and that order does not matter."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.vpn_directory.fixtures import endpoint, located, namespace, pod, service, slice_
from vpn_directory.kube_fields import ObjectRefused
from vpn_directory.kube_objects import Inventory
from vpn_directory.model import Claim, Delete, Endpoint, Pod, Put, Service, ServiceKind, Zone


def made(inventory: Inventory, name: str = "web", space: str = "shop", zone: str = "cluster.local") -> Service:
    item = inventory.items[("service", zone, space, name)]
    assert isinstance(item, Service)
    return item


def endpoints(service: Service) -> list[Endpoint]:
    return [endpoint for group in service.groups for endpoint in group.endpoints]


def inventory_of(*objects: dict[str, Any], **settings: Any) -> Inventory:
    inventory = Inventory(**settings)
    _, refused = inventory.replace_all(located(*objects))
    assert refused == []
    return inventory


def test_slices_of_one_service_merge_and_only_theirs() -> None:
    inventory = inventory_of(
        service("shop", "web", "10.96.0.1", "fd00::1"), pod("shop", "a", "10.1.0.1"), pod("shop", "b", "10.1.0.2"),
        slice_("shop", "web-1", "web", endpoint("10.1.0.1", "a")), slice_("shop", "web-2", "web", endpoint("10.1.0.2", "b")),
        slice_("other", "web-3", "web", endpoint("10.1.0.3")))
    web = made(inventory)
    assert web.presented == web.addresses == ("10.96.0.1", "fd00::1")
    assert [(e.address, e.claim) for e in endpoints(web)] == [("10.1.0.1", Claim.POD), ("10.1.0.2", Claim.POD)]


def test_kinds_of_services() -> None:
    inventory = inventory_of(service("shop", "db", clusterIP="None"),
                             service("shop", "out", type="ExternalName", externalName="Example.ORG."))
    assert made(inventory, "db").kind is ServiceKind.HEADLESS
    assert (made(inventory, "out").kind, made(inventory, "out").external_name) == (ServiceKind.EXTERNAL_NAME, "example.org")


def test_not_ready_counts_when_the_service_says_so() -> None:
    objects = (pod("shop", "a", "10.1.0.1"),
               slice_("shop", "s", "web", endpoint("10.1.0.1", "a", conditions={"ready": False})))
    assert not endpoints(made(inventory_of(service("shop", "web", "10.96.0.1"), *objects)))[0].ready
    told = service("shop", "web", "10.96.0.1", publishNotReadyAddresses=True)
    assert endpoints(made(inventory_of(told, *objects)))[0].ready


@pytest.mark.parametrize(("attack", "expected"), [
    (endpoint("10.1.0.9", "victim"), Claim.REFUSED),
    (endpoint("10.1.0.9"), Claim.REFUSED),
    (endpoint("10.1.0.9", targetRef={"kind": "Pod", "name": "victim", "namespace": "bank"}), Claim.REFUSED),
    (endpoint("10.1.0.1", "b"), Claim.REFUSED),
    (endpoint("10.1.0.1", targetRef={"kind": "Node", "name": "a"}), Claim.REFUSED),
    (endpoint("10.96.0.9"), Claim.REFUSED),
    (endpoint("10.5.0.1", "hosted"), Claim.REFUSED),
    (endpoint("203.0.113.1"), Claim.EXTERNAL),
    (endpoint("10.1.0.1", "a"), Claim.POD)],
    ids=["names a pod of theirs", "another team's pod", "says it is another namespace's", "another pod's address",
         "not a pod", "another service's address", "a host-network pod", "outside", "its own pod"])
def test_whose_address_an_endpoint_is(attack: dict[str, Any], expected: Claim) -> None:
    inventory = inventory_of(
        service("shop", "web", "10.96.0.1"), service("bank", "vault", "10.96.0.9"), pod("shop", "a", "10.1.0.1"),
        pod("shop", "b", "10.1.0.2"), pod("bank", "victim", "10.1.0.9"), pod("shop", "hosted", "10.5.0.1", host=True),
        slice_("shop", "s", "web", attack))
    assert [e.claim for e in endpoints(made(inventory))] == [expected]


def test_a_reused_pod_address_changes_the_claim_at_once() -> None:
    inventory = inventory_of(service("shop", "web", "10.96.0.1"), pod("shop", "a", "10.1.0.1"),
                             slice_("shop", "s", "web", endpoint("10.1.0.1", "a")))
    changes = inventory.remove("Pod", "shop", "a")
    assert endpoints(made(inventory))[0].claim is Claim.REFUSED
    assert {type(change) for change in changes} == {Put, Delete}
    inventory.apply(pod("bank", "b", "10.1.0.1"))
    assert endpoints(made(inventory))[0].claim is Claim.REFUSED


def test_finished_and_host_network_pods_are_no_items() -> None:
    inventory = inventory_of(pod("shop", "done", "10.1.0.1", phase="Succeeded"), pod("shop", "host", "10.5.0.1", host=True),
                             pod("shop", "web", "10.1.0.2", "fd00::2"))
    assert [item for item in inventory.items.values() if isinstance(item, Pod)] == [Pod("shop", "web", ("10.1.0.2", "fd00::2"))]


def test_a_malformed_object_keeps_its_last_good_state_and_takes_nobody_down() -> None:
    inventory = inventory_of(service("shop", "web", "10.96.0.1"), service("shop", "api", "10.96.0.2"))
    broken = service("shop", "web", "10.96.0.1", port=99999)
    changes, refused = inventory.replace_all(located(broken, service("shop", "api", "10.96.0.3")))
    assert str(refused[0]) == "test: 0: Service shop/web: spec.ports[0].port: expected a whole number from 1 to 65535"
    assert made(inventory).addresses == ("10.96.0.1",)
    assert made(inventory, "api").addresses == ("10.96.0.3",)
    assert len(changes) == 1
    with pytest.raises(ObjectRefused):
        inventory.apply(broken)


def test_an_object_defined_twice_keeps_the_first() -> None:
    inventory = Inventory()
    _, refused = inventory.replace_all(located(service("shop", "web", "10.96.0.1"), service("shop", "web", "10.96.0.2")))
    assert "defined twice" in str(refused[0])
    assert made(inventory).addresses == ("10.96.0.1",)


def test_clusterset_services_come_from_imports_and_labelled_slices() -> None:
    labels = {"multicluster.kubernetes.io/service-name": "web", "multicluster.kubernetes.io/source-cluster": "east"}
    imported = {"kind": "ServiceImport", "apiVersion": "multicluster.x-k8s.io/v1alpha1",
                "metadata": {"namespace": "shop", "name": "web"},
                "spec": {"type": "ClusterSetIP", "ips": ["10.112.0.1"], "ports": [{"name": "http", "port": 80}]}}
    inventory = inventory_of(imported, slice_("shop", "s", "", endpoint("10.7.0.1"), labels=labels),
                             clusterset_domain="clusterset.local")
    web = made(inventory, zone="clusterset.local")
    assert web.addresses == ("10.112.0.1",)
    assert [group.cluster for group in web.groups] == ["east"]
    assert ("service", "cluster.local", "shop", "web") not in inventory.items


def test_other_kinds_are_somebody_elses() -> None:
    inventory = Inventory(service_cidrs=["10.96.0.0/16"])
    assert inventory.apply({"kind": "ConfigMap", "metadata": {"name": "x"}}) == []
    assert [type(item) for item in inventory.items.values()] == [Zone]


POOL: list[dict[str, Any]] = [
    namespace("shop"), namespace("bank"), service("shop", "web", "10.96.0.1"), service("bank", "web", "10.96.0.2"),
    service("shop", "db", clusterIP="None"), pod("shop", "a", "10.1.0.1"), pod("shop", "b", "10.1.0.2"),
    pod("bank", "a", "10.1.0.1"), slice_("shop", "1", "web", endpoint("10.1.0.1", "a"), endpoint("10.1.0.2", "b")),
    slice_("shop", "2", "db", endpoint("10.1.0.2", "b", hostname="b")), slice_("bank", "1", "web", endpoint("10.1.0.1", "a"))]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, len(POOL) - 1)), max_size=30), st.randoms(use_true_random=False))
def test_one_at_a_time_equals_all_at_once_in_any_order(steps: list[tuple[bool, int]], rng: random.Random) -> None:
    inventory, folded, present = Inventory(), {}, dict[int, dict[str, Any]]()
    folded = dict(inventory.items)
    for add, number in steps:
        obj = POOL[number]
        meta = obj["metadata"]
        changes = inventory.apply(obj) if add else inventory.remove(obj["kind"], meta.get("namespace", ""), meta["name"])
        present.update({number: obj}) if add else present.pop(number, None)
        for change in changes:
            if isinstance(change, Put):
                folded[change.item.key] = change.item
            else:
                del folded[change.key]
    fresh, objects = Inventory(), list(present.values())
    rng.shuffle(objects)
    fresh.replace_all(located(*objects))
    assert dict(inventory.items) == dict(fresh.items) == folded


json_values = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=8),
                           lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3))


@given(st.sampled_from(["Namespace", "Pod", "Service", "EndpointSlice", "ServiceImport"]), json_values, json_values, json_values)
def test_any_json_is_taken_or_refused(kind: str, spec: Any, status: Any, endpoints: Any) -> None:
    obj = {"kind": kind, "metadata": {"name": "x", "namespace": "y", "labels": {"kubernetes.io/service-name": "x"}},
           "spec": spec, "status": status, "endpoints": endpoints, "ports": spec}
    inventory = Inventory()
    before = dict(inventory.items)
    _, refused = inventory.replace_all(located(obj))
    assert not refused or dict(inventory.items) == before
