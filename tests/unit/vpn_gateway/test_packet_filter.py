"""The filter's text: what the directory opens, and that a change costs what changed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.testbed import needs
from tests.testbed.netns import Testbed
from tests.unit.vpn_directory.fixtures import endpoint, located, pod, service, slice_
from tests.unit.vpn_gateway.objects import CONFIG
from vpn_directory.gateway_service import gateway_service
from vpn_directory.kube_objects import Inventory
from vpn_directory.model import Put
from vpn_gateway.packet_filter import REMOVE_SCRIPT, FilterModel, base_script


def shop(*endpoints: dict[str, Any]) -> list[dict[str, Any]]:
    return [service("shop", "web", "10.96.0.1"), pod("shop", "a", "10.1.0.1"), pod("shop", "b", "10.1.0.2"),
            pod("bank", "victim", "10.1.0.9"), slice_("shop", "s", "web", *endpoints)]


def script(*objects: dict[str, Any]) -> str:
    changes, _ = Inventory().replace_all(located(*objects))
    return FilterModel().apply(changes)


def test_ready_pods_are_balanced_over() -> None:
    text = script(*shop(endpoint("10.1.0.1", "a"), endpoint("10.1.0.2", "b"),
                        endpoint("10.1.0.3", "c"), endpoint("10.1.0.2", "b", conditions={"ready": False})))
    assert "dnat ip to numgen random mod 2 map { 0 : 10.1.0.1 . 8080, 1 : 10.1.0.2 . 8080 }" in text
    assert "add element inet kvpn_gateway services4 { 10.96.0.1 . tcp . 80 : goto svc-" in text


@pytest.mark.parametrize("attack", [endpoint("10.1.0.9", "victim"), endpoint("10.1.0.9"), endpoint("10.1.0.1", "b")])
def test_a_refused_claim_opens_and_translates_nothing(attack: dict[str, Any]) -> None:
    text = script(*shop(attack))
    assert "dnat" not in text
    assert "targets" not in text


@pytest.mark.parametrize("attack", [
    pod("evil", "p", "fd00::1%x }\nflush ruleset\n#"), service("evil", "s", "fd00::1%x }\nflush ruleset\n#"),
    slice_("evil", "e", "s", endpoint("fd00::1%x }\nflush ruleset\n#")),
    service("evil", "s", "10.96.0.5", ports=[{"port": 80, "name": "x }\nflush ruleset\n#"}])])
def test_no_object_writes_into_the_script(attack: dict[str, Any]) -> None:
    inventory = Inventory()
    changes, refused = inventory.replace_all(located(attack, pod("shop", "a", "10.1.0.1")))
    assert len(refused) == 1
    assert FilterModel().apply(changes) == "add element inet kvpn_gateway pods4 { 10.1.0.1 }\n"


def test_an_outside_address_opens_exactly_its_port() -> None:
    text = script(*shop(endpoint("203.0.113.5")))
    assert "add element inet kvpn_gateway targets4 { 203.0.113.5 . tcp . 8080 }" in text
    assert "pods4 { 203.0.113.5 }" not in text


def test_the_gateways_own_service_is_behind_its_own_door() -> None:
    assert FilterModel().apply([Put(item) for item in gateway_service("cluster.local", CONFIG.addresses)]) == ""


def test_two_services_do_not_share_an_address_and_port() -> None:
    inventory, model = Inventory(), FilterModel()
    objects = [*shop(endpoint("10.1.0.1", "a")), service("bank", "evil", "10.96.0.1"),
               slice_("bank", "e", "evil", endpoint("10.1.0.9", "victim"))]
    text = model.apply(inventory.replace_all(located(*objects))[0])
    assert text.count("add element inet kvpn_gateway services4") == 1
    first = "10.1.0.1:8080" in text
    gone = model.apply(inventory.remove("Service", *(("shop", "web") if first else ("bank", "evil"))))
    assert "delete element inet kvpn_gateway services4" in gone


def test_one_change_among_five_thousand_services_is_small() -> None:
    inventory, model = Inventory(), FilterModel()
    objects = [obj for n in range(5000) for obj in (
        service("shop", f"s{n}", f"10.96.{n >> 8}.{n & 255}"), pod("shop", f"p{n}", f"10.1.{n >> 8}.{n & 255}"),
        slice_("shop", f"e{n}", f"s{n}", endpoint(f"10.1.{n >> 8}.{n & 255}", f"p{n}")))]
    assert len(model.apply(inventory.replace_all(located(*objects))[0]).splitlines()) > 20_000
    change = model.apply(inventory.apply(slice_("shop", "e7", "s7", endpoint("10.1.0.9", "p9"))))
    assert len(change.splitlines()) == 3


@pytest.mark.root
def test_nft_takes_the_table_every_change_and_its_removal() -> None:
    needs.root()
    needs.tool("nft")
    inventory, model = Inventory(), FilterModel()
    steps = [shop(endpoint("10.1.0.1", "a"), endpoint("203.0.113.5")), shop(endpoint("10.1.0.1", "a"), endpoint("10.1.0.2", "b")),
             shop(), []]
    with Testbed() as testbed:
        where = testbed.add("filter")
        before = where.run(["nft", "list", "ruleset"]).stdout
        where.run(["nft", "-f", "-"], stdin=base_script(CONFIG, ["192.0.2.1", "fd00:99::1"]))
        for objects in steps:
            changes, _ = inventory.replace_all(located(*objects))
            where.run(["nft", "-f", "-"], stdin=model.apply(changes) or "\n")
        table = where.run(["nft", "list", "ruleset"]).stdout
        assert "svc-" not in table
        assert "10.1.0" not in table
        where.run(["nft", "-f", "-"], stdin=REMOVE_SCRIPT)
        assert where.run(["nft", "list", "ruleset"]).stdout == before
