"""Objects in, actions out."""

from __future__ import annotations

from typing import Any

from tests.unit.vpn_directory.fixtures import located, pod, service
from tests.unit.vpn_gateway.objects import CONFIG, peer
from vpn_directory.gateway_service import gateway_service
from vpn_gateway.state import Actions, GatewayState


def step(state: GatewayState, *objects: dict[str, Any], now: float = 0.0, errors: tuple[str, ...] = ()) -> Actions:
    actions = state.replace_objects(located(*objects), errors, now, now)
    state.publisher.flush(now)
    return actions


def test_peers_come_and_go_without_touching_others() -> None:
    state = GatewayState(CONFIG, "e", 0.0)
    first = step(state, peer("a"), peer("b"))
    assert [live.peer.name for live in first.add] == ["a", "b"]
    second = step(state, peer("b"), peer("c"))
    assert [live.peer.name for live in second.add] == ["c"]
    assert len(second.remove) == 1
    assert {live.peer.name for live in state.by_address.values()} == {"b", "c"}
    config = second.add[0].config()
    assert [network.num_addresses for network in config.allowed_ips] == [1, 1]


def test_expiry_needs_no_new_objects() -> None:
    state = GatewayState(CONFIG, "e", 0.0)
    step(state, peer("a", created="1970-01-01T00:00:00Z", ttlSeconds=100))
    assert state.tick(99.0, 99.0).remove == []
    assert len(state.tick(100.0, 100.0).remove) == 1
    assert state.by_address == {}


def test_objects_reach_directory_and_filter_and_nobody_replaces_the_gateways_own_name() -> None:
    state = GatewayState(CONFIG, "e", 0.0)
    actions = step(state, pod("shop", "a", "10.1.0.1"), service("kvpn-system", "kvpn-gateway", "10.96.0.66"))
    assert "pods4 { 10.1.0.1 }" in actions.filter_script
    (own,) = [item for item in gateway_service("cluster.local", CONFIG.addresses) if item.key[0] == "service"]
    assert state.publisher.items[own.key] == own


def test_a_problem_is_said_once_and_kept() -> None:
    state = GatewayState(CONFIG, "e", 0.0)
    bad = peer("a", colour=1)
    assert any("colour" in line for line in step(state, bad, errors=("x.yaml: broken",)).said)
    assert step(state, bad, errors=("x.yaml: broken",)).said == []
    assert len(state.problems) == 2
    step(state)
    assert state.problems == []
