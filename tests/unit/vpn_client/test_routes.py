"""The decision which routes to install: a table of observations, and the invariants that hold for any host."""

from __future__ import annotations

import random
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpn_client.bounds import Outside, covers
from vpn_client.host_plan import Address, Network
from vpn_client.output import Level
from vpn_client.routes import ExistingRoute, RouteDecision, carve, decide


def nets(text: str) -> tuple[Network, ...]:
    return tuple(map(ip_network, text.split()))


def on(text: str, *, first: bool = False) -> list[ExistingRoute]:
    """`10.0.0.0/8@eth0 …` as routes of the host."""
    return [ExistingRoute(ip_network(network), device, first)
            for network, device in (word.split("@") for word in text.split())]


def installed(decision: RouteDecision) -> str:
    return " ".join(map(str, decision.install))


def said(decision: RouteDecision, level: Level | None = None) -> str:
    return "\n".join(note.text for note in decision.notes if level in (None, note.level))


HOSTS = tuple(map(ip_address, ["10.96.0.1", "10.96.0.10", "10.96.5.5", "fd00::5"]))


# observation: (desired, existing, include, exclude) → (installed, words in the notes)
TABLE = {
    "nothing in the way": ("10.96.0.0/12 10.244.0.0/16", "192.168.1.0/24@eth0", "", "",
                           "10.96.0.0/12 10.244.0.0/16", ""),
    "more specific than the host's": ("10.96.0.0/12", "10.0.0.0/8@tun0", "", "", "10.96.0.0/12",
                                      "10.96.0.0/12 is more specific than 10.0.0.0/8 on tun0"),
    "equal": ("10.96.0.0/12", "10.96.0.0/12@tun0", "", "", "",
              "not reachable: 10.96.0.1 (10.96.0.0/12 on tun0), 10.96.0.10"),
    "narrower": ("10.96.0.0/12", "10.96.5.0/24@docker0", "", "", "10.96.0.1/32 10.96.0.10/32",
                 "not reachable: 10.96.5.5 (10.96.5.0/24 on docker0)"),
    "narrower but no address of ours in it": ("10.96.0.0/12", "10.97.0.0/24@docker0", "", "",
                                              "10.96.0.1/32 10.96.0.10/32 10.96.5.5/32", "3 host routes instead"),
    "narrower, excluded by the user": ("10.96.0.0/12", "10.104.0.0/13@docker0", "", "10.104.0.0/13", "10.96.0.0/13",
                                       "10.96.0.0/12 without what is excluded"),
    "narrower, insisted on by the user": ("10.96.0.0/12", "10.96.5.0/24@docker0", "10.96.0.0/12", "", "10.96.0.0/12",
                                          "10.96.5.0/24 on docker0 stays"),
    "equal, insisted on by the user": ("", "10.96.0.0/12@tun0", "10.96.0.0/12", "", "", "0 host routes"),
    "included": ("10.96.0.0/12", "", "10.1.0.0/16", "", "10.1.0.0/16 10.96.0.0/12", ""),
    "excluded": ("10.96.0.0/12 10.1.0.0/16", "", "", "10.1.0.0/16", "10.96.0.0/12", "10.1.0.0/16 is excluded"),
    "single address on a LAN": ("192.168.1.50/32", "192.168.1.0/24@eth0", "", "", "192.168.1.50/32", "more specific"),
    "single address that is the host's own": ("192.168.1.50/32", "192.168.1.50/32@lo", "", "", "",
                                              "not reachable: 192.168.1.50 (192.168.1.50/32 on lo)"),
    "the other family": ("fd00::/108", "10.0.0.0/8@tun0", "", "", "fd00::/108", ""),
    "narrower, IPv6": ("fd00::/64", "fd00::100:0/112@wg0", "", "", "fd00::5/128",
                       "fd00::/64 overlaps fd00::100:0/112 on wg0"),
}


@pytest.mark.parametrize("name", TABLE)
def test_table(name: str) -> None:
    desired, existing, include, exclude, expected, words = TABLE[name]
    decision = decide(nets(desired), on(existing), hosts=HOSTS, include=nets(include), exclude=nets(exclude))
    assert installed(decision) == expected
    assert words in said(decision)
    if not words:
        assert not decision.notes


def test_a_table_that_ranks_first_keeps_what_it_covers() -> None:
    existing = on("100.64.0.0/10@tailscale0", first=True)
    decision = decide(nets("100.64.1.0/24"), existing, hosts=[ip_address("100.64.1.1")])
    assert installed(decision) == ""
    assert "100.64.1.1 (100.64.0.0/10 on tailscale0)" in said(decision, Level.WARN)
    insisted = decide([], existing, include=nets("100.64.1.0/24"))
    assert installed(insisted) == ""


def test_endpoint_and_resolver_are_carved_out_and_named() -> None:
    outside = [Outside(ip_address("172.31.0.2"), "resolver"), Outside(ip_address("172.31.128.1"), "endpoint")]
    decision = decide(nets("172.31.0.0/16"), [], outside=outside)
    assert len(decision.install) == 15 + 15
    assert not any(each.address in route for each in outside for route in decision.install)
    assert "without the resolver 172.31.0.2" in said(decision)
    assert "without the endpoint 172.31.128.1" in said(decision)


def test_carving_does_not_turn_an_equal_route_into_a_wider_one() -> None:
    """A LAN that equals the wanted prefix, with its gateway carved out, must stay the host's."""
    decision = decide(nets("10.0.0.0/16"), on("10.0.0.0/16@eth0"), hosts=[ip_address("10.0.9.9")],
                      outside=[Outside(ip_address("10.0.0.1"), "default gateway")])
    assert installed(decision) == ""


def test_notes_count_what_they_do_not_name() -> None:
    hosts = [ip_address(0x0A600000 + i) for i in range(1, 9)]
    assert "and 3 more" in said(decide(nets("10.96.0.0/12"), on("10.96.0.0/24@br0"), hosts=hosts))


def test_many_prefixes_are_decided_in_reasonable_time() -> None:
    desired = [ip_network((0x0A000000 + i, 32)) for i in range(5000)]
    existing = [ExistingRoute(ip_network((0x0A000000 + 256 * i, 24)), "eth0") for i in range(500)]
    assert len(decide(desired, existing, hosts=[each.network_address for each in desired]).install) == 5000


def test_carve() -> None:
    assert carve(ip_network("10.0.0.0/30"), nets("10.0.0.1/32")) == list(nets("10.0.0.0/32 10.0.0.2/31"))
    assert carve(ip_network("10.0.0.0/30"), nets("10.0.0.0/8")) == []
    assert carve(ip_network("10.0.0.0/30"), nets("fd00::/8 11.0.0.0/8")) == [ip_network("10.0.0.0/30")]


def networks(version: int = 4) -> st.SearchStrategy[Network]:
    """Prefixes of a small space, so that they overlap often."""
    bits, base, low = (32, 0x0A000000, 24) if version == 4 else (128, 0xFD << 120, 120)
    return st.tuples(st.integers(0, 255), st.integers(low, bits)).map(
        lambda drawn: ip_network((base + (drawn[0] >> bits - drawn[1] << bits - drawn[1]), drawn[1])))


ANY = st.one_of(networks(4), networks(6))
LISTS = st.lists(ANY, max_size=6)
ADDRESSES = st.lists(ANY.map(lambda network: network.network_address), max_size=6)
EXISTING = st.lists(st.builds(ExistingRoute, ANY, st.sampled_from(["eth0", "docker0"]), st.booleans()), max_size=6)


@given(LISTS, EXISTING, ADDRESSES, LISTS, LISTS, ADDRESSES, st.randoms(use_true_random=False))
def test_invariants(desired: list[Network], existing: list[ExistingRoute], hosts: list[Address], include: list[Network],
                    exclude: list[Network], protected: list[Address], shuffle: random.Random) -> None:
    outside = [Outside(address, "endpoint") for address in protected]

    def decided() -> RouteDecision:
        return decide(desired, existing, hosts=hosts, include=include, exclude=exclude, outside=outside)

    decision = decided()
    for drawn in (desired, existing, hosts, include, exclude, outside):
        shuffle.shuffle(drawn)
    assert decided() == decision, "the order of the arguments matters"
    kept = {route.network for route in existing}
    for route in decision.install:
        assert not any(address in route for address in protected)
        assert not any(covers(hole, route) or covers(route, hole) for hole in exclude)
        assert any(covers(wanted, route) for wanted in [*desired, *include]), "not needed"
        assert route not in kept, "it displaces the host's own route"


@given(LISTS, EXISTING, ADDRESSES)
def test_a_host_keeps_every_route_that_equals_or_lies_in_a_wish(
        desired: list[Network], existing: list[ExistingRoute], hosts: list[Address]) -> None:
    install = decide(desired, existing, hosts=hosts).install
    for route in install:
        for prefix in desired:
            if covers(prefix, route) and not any(covers(other, route) and other != prefix for other in desired):
                assert not any(covers(prefix, each.network) and covers(each.network, route) for each in existing)
