"""Longest prefix wins, each prefix has one owner; a naive list is the oracle."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, ip_address, ip_network

from hypothesis import given
from hypothesis import strategies as st

from vpn_tunnel.allowed_ips import AllowedIps

networks = st.builds(lambda value, length: ip_network((value, length), strict=False),
                     st.integers(0, 2**32 - 1), st.sampled_from([0, 8, 15, 16, 24, 31, 32]))


def test_the_longest_prefix_wins_in_both_families() -> None:
    table: AllowedIps[str] = AllowedIps()
    for text, peer in (("0.0.0.0/0", "a"), ("10.0.0.0/8", "b"), ("10.1.0.0/16", "c"), ("::/0", "d"), ("fd00::/64", "e")):
        table.insert(ip_network(text), peer)
    found = [table.lookup(ip_address(text).packed) for text in ("192.0.2.1", "10.2.0.1", "10.1.2.3", "2001:db8::1", "fd00::9")]
    assert found == ["a", "b", "c", "d", "e"]


def test_giving_a_prefix_takes_it_from_its_owner() -> None:
    table: AllowedIps[str] = AllowedIps()
    network = ip_network("10.0.0.1/32")
    table.insert(network, "a")
    table.insert(network, "b")
    assert table.of("a") == ()
    table.remove(network, "a")
    assert table.lookup(IPv4Address("10.0.0.1").packed) == "b"
    table.remove_peer("b")
    assert table.lookup(IPv4Address("10.0.0.1").packed) is None
    assert list(table) == []


@given(st.lists(st.tuples(st.sampled_from("+-p"), networks, st.integers(1, 4)), max_size=40),
       st.lists(st.integers(0, 2**32 - 1), max_size=20))
def test_equals_a_list_searched_by_hand(steps: list[tuple[str, IPv4Network, int]], addresses: list[int]) -> None:
    table: AllowedIps[int] = AllowedIps()
    naive: dict[IPv4Network, int] = {}
    for what, network, peer in steps:
        if what == "+":
            table.insert(network, peer)
            naive[network] = peer
        elif what == "-":
            table.remove(network, peer)
            naive = {n: p for n, p in naive.items() if (n, p) != (network, peer)}
        else:
            table.remove_peer(peer)
            naive = {n: p for n, p in naive.items() if p != peer}
    probes = addresses + [int(network.network_address) for _, network, _ in steps]
    for address in map(IPv4Address, probes):
        covering = [(n.prefixlen, p) for n, p in naive.items() if address in n]
        assert table.lookup(address.packed) == (max(covering)[1] if covering else None)
