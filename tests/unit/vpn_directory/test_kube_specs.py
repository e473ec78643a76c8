"""One kind each: what is read, and how a refusal reads."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.vpn_directory.fixtures import endpoint, pod, service, slice_
from vpn_directory.kube_fields import ObjectRefused
from vpn_directory.kube_specs import identity, read_pod, read_service, read_slice


def test_identity() -> None:
    assert identity(pod("shop", "a")) == ("Pod", "shop", "a")
    for wrong in ({}, {"kind": "Pod"}, {"kind": "Pod", "metadata": {}}, {"kind": 3, "metadata": {"name": "a"}}):
        with pytest.raises(ObjectRefused):
            identity(wrong)


def test_a_pod_with_one_address_in_the_old_field() -> None:
    obj = {"kind": "Pod", "metadata": {"name": "a"}, "status": {"podIP": "10.1.0.1"}}
    assert read_pod(obj).addresses == ("10.1.0.1",)


def test_a_service_that_waits_for_its_address_has_none() -> None:
    assert read_service(service("shop", "web")).addresses == ()


@pytest.mark.parametrize(("obj", "words"), [
    (service("shop", "web", "10.96.0.300"), "Service shop/web: spec.clusterIPs"),
    (service("shop", "web", type="ExternalName"), "Service shop/web: spec.externalName: is missing"),
    (service("shop", "web", "10.96.0.1", ports=[{"port": 1, "protocol": "ICMP"}]), "spec.ports[0].protocol: expected one of TCP"),
    (service("shop", "web", "10.96.0.1", ports="80"), "spec.ports: expected a list")])
def test_refusals_name_the_field(obj: dict[str, Any], words: str) -> None:
    with pytest.raises(ObjectRefused) as caught:
        read_service(obj)
    assert words in str(caught.value)


def test_slices_without_a_service_or_without_addresses_are_nobodys() -> None:
    assert read_slice(slice_("shop", "s", "", labels={"a": "b"})) is None
    assert read_slice({**slice_("shop", "s", "web"), "addressType": "FQDN"}) is None
    spec = read_slice(slice_("shop", "s", "web", endpoint("10.1.0.1", hostname="DB-0")))
    assert spec is not None
    assert spec.endpoints[0].hostname == "db-0"
