"""Addresses follow from uid and age."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.vpn_gateway.objects import CONFIG, peer
from vpn_gateway.address_pool import REST, AddressPool, PoolExhausted
from vpn_gateway.config import GatewayConfig, pool
from vpn_gateway.peers import PeerObject, read_peer

TINY: GatewayConfig = replace(CONFIG, pool4=IPv4Network("198.18.0.0/29"))


def peers(*uids: str) -> list[PeerObject]:
    return [read_peer(peer(uid, uid=uid)) for uid in uids]


@given(st.sets(st.text("abcdef", min_size=1, max_size=6), max_size=30))
def test_no_two_share_and_a_restart_gives_the_same(uids: set[str]) -> None:
    given_ = AddressPool(CONFIG).assign(peers(*sorted(uids)), 0.0)
    assert AddressPool(CONFIG).assign(peers(*sorted(uids)), 99.0) == given_
    assert len({v4 for v4, _ in given_.values()}) == len({v6 for _, v6 in given_.values()}) == len(uids)
    for v4, v6 in given_.values():
        assert ip_address(v4) in CONFIG.pool4
        assert ip_address(v6) in CONFIG.pool6
        assert not {v4, v6} & set(CONFIG.addresses)


def test_those_who_stay_keep_theirs() -> None:
    pool_ = AddressPool(CONFIG)
    first = pool_.assign(peers("a", "b"), 0.0)
    assert pool_.assign(peers("b", "c"), 1.0)["b"] == first["b"]


def test_a_released_address_rests_for_strangers_and_waits_for_its_owner() -> None:
    pool_ = AddressPool(TINY)
    full = pool_.assign(peers(*"abcde"), 0.0)
    pool_.assign(peers(*"abcd"), 10.0)
    with pytest.raises(PoolExhausted, match="--pool4"):
        pool_.assign(peers(*"abcdx"), 10.0 + REST - 1)
    assert pool_.assign(peers(*"abcde"), 11.0) == full
    pool_.assign(peers(*"abcd"), 12.0)
    assert pool_.assign(peers(*"abcdx"), 12.0 + REST)["x"] == full["e"]
    assert pool("198.18.0.0/29", "--pool4", 4) == TINY.pool4
