"""DESIGN §5: what kvpnd refuses, whoever asks."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpn_client.bounds import PRIVATE, Outside, Reason, check_routes, check_suffixes, covers, is_below
from vpn_client.host_plan import Network

GATEWAY = Outside(ip_address("10.0.0.1"), "default gateway")


@pytest.mark.parametrize("text", ["10.0.0.0/8", "10.96.0.0/12", "172.16.0.0/12", "172.31.255.0/24", "192.168.0.0/16",
                                  "100.64.0.0/10", "100.127.1.1/32", "198.18.0.0/15", "fd00::/8", "fc00::/7",
                                  "fd6b::1/128"])
def test_private_ranges_pass(text: str) -> None:
    route = ip_network(text)
    assert check_routes([route]) == ((route,), ())


@pytest.mark.parametrize("text", ["0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1", "8.8.8.8/32", "10.0.0.0/7", "172.0.0.0/8",
                                  "192.0.0.0/8", "100.0.0.0/8", "198.0.0.0/8", "127.0.0.0/8", "169.254.169.254/32",
                                  "224.0.0.0/4", "::/0", "2000::/3", "fe80::/10", "fc00::/6", "ff00::/8",
                                  "::ffff:10.0.0.0/104"])
def test_everything_else_is_refused(text: str) -> None:
    allowed, (refusal,) = check_routes([ip_network(text)])
    assert (allowed, refusal.reason, refusal.what) == ((), Reason.NOT_PRIVATE, str(ip_network(text)))
    assert refusal.fix


def test_only_roots_file_widens() -> None:
    wide = ip_network("203.0.113.0/24")
    assert check_routes([ip_network("203.0.113.7/32"), wide], widened=[wide])[1] == ()
    assert check_routes([ip_network("203.0.112.0/23")], widened=[wide])[0] == ()


def test_one_refusal_does_not_take_the_others_down() -> None:
    good, bad = ip_network("10.1.0.0/16"), ip_network("8.0.0.0/8")
    assert check_routes([bad, good])[0] == (good,)


@pytest.mark.parametrize("role", ["default gateway", "resolver", "endpoint", "API server"])
def test_a_route_that_covers_what_must_stay_outside(role: str) -> None:
    outside = [Outside(ip_address("10.0.0.1"), role), Outside(ip_address("fd00::1"), role)]
    allowed, refused = check_routes([ip_network("10.0.0.0/8"), ip_network("10.1.0.0/16"), ip_network("fd00::1/128")],
                                    outside=outside)
    assert allowed == (ip_network("10.1.0.0/16"),)
    assert [refusal.reason for refusal in refused] == [Reason.COVERS] * 2
    assert role in refused[0].why


@given(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)))
def test_an_allowed_route_lies_in_one_private_range(drawn: tuple[int, int]) -> None:
    route: Network = ip_network((drawn[0] >> 32 - drawn[1] << 32 - drawn[1], drawn[1]))
    allowed, _ = check_routes([route], outside=[GATEWAY])
    inside = any(covers(known, route) for known in PRIVATE) and GATEWAY.address not in route
    assert bool(allowed) == inside


def test_suffixes() -> None:
    approved = ("cluster.local", "clusterset.local.")
    allowed, refused = check_suffixes(["cluster.local", "svc.Cluster.Local.", "clusterset.local", "com",
                                       "notcluster.local", "local", "", "."], approved)
    assert allowed == ("cluster.local", "svc.Cluster.Local.", "clusterset.local")
    assert [refusal.what for refusal in refused] == ["com", "notcluster.local", "local", "", "."]
    assert {refusal.reason for refusal in refused} == {Reason.NOT_APPROVED}


def test_an_empty_suffix_approves_nothing() -> None:
    assert check_suffixes(["com", "cluster.local"], ("", "."))[0] == ()
    assert not check_suffixes([], ())[1]


def test_is_below_compares_labels() -> None:
    assert is_below("A.b.", "b")
    assert not is_below("ab", "b")
