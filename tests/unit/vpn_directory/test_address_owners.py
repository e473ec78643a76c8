"""Whose an address is, and whom a change of owners concerns; a dictionary is the oracle of the multimap."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vpn_directory.address_owners import AddressOwners, Multimap
from vpn_directory.kube_specs import PodSpec
from vpn_directory.model import Claim

A, B = ("shop", "a"), ("bank", "b")
NODE = ("192.0.2.7",)


def owners(*service_cidrs: str) -> AddressOwners:
    made = AddressOwners(service_cidrs)
    made.replace_pod(A, None, PodSpec(("10.1.0.1",), False, NODE))
    made.replace_service(("cluster.local", "bank", "vault"), (), ("10.96.0.9",))
    return made


def test_a_pods_address_is_its_own_for_slices_that_name_it() -> None:
    made = owners()
    assert made.claim("shop", "10.1.0.1", A) is Claim.POD
    assert made.claim("bank", "10.1.0.1", A) is Claim.REFUSED
    assert made.claim("shop", "10.1.0.1", ("shop", "other")) is Claim.REFUSED
    assert made.claim("shop", "10.1.0.1", None) is Claim.REFUSED


def test_services_nodes_prefixes_and_special_addresses_are_nobodys_to_point_at() -> None:
    made = owners("10.97.0.0/16")
    for address in ("10.96.0.9", *NODE, "10.97.1.1", "169.254.169.254", "127.0.0.1"):
        assert made.claim("shop", address, None) is Claim.REFUSED, address
    assert made.claim("shop", "203.0.113.5", None) is Claim.EXTERNAL


def test_an_address_that_two_namespaces_claim_is_neithers_until_one_goes() -> None:
    made, late = owners(), PodSpec(("10.1.0.1",), False)
    assert made.replace_pod(B, None, late) == {"10.1.0.1"}
    assert made.claim("shop", "10.1.0.1", A) is made.claim("bank", "10.1.0.1", B) is Claim.REFUSED
    assert made.replace_pod(A, PodSpec(("10.1.0.1",), False, NODE), None) == {"10.1.0.1", *NODE}
    assert made.claim("bank", "10.1.0.1", B) is Claim.POD
    assert made.claim("shop", NODE[0], None) is Claim.EXTERNAL, "no pod tells of that node any more"


def test_a_pod_on_the_hosts_network_owns_nothing() -> None:
    made = AddressOwners()
    made.replace_pod(A, None, PodSpec(("192.0.2.7",), True, ("192.0.2.7",)))
    assert made.claim("shop", "192.0.2.7", A) is made.claim("shop", "192.0.2.7", None) is Claim.REFUSED


def test_a_service_that_moves_concerns_both_addresses() -> None:
    made = owners()
    assert made.replace_service(("cluster.local", "bank", "vault"), ("10.96.0.9",), ("10.96.0.8",)) == {"10.96.0.8", "10.96.0.9"}
    assert made.claim("shop", "10.96.0.9", None) is Claim.EXTERNAL


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("xy"), st.integers(0, 2)), max_size=30))
def test_the_multimap_keeps_nothing_empty(steps: list[tuple[bool, str, int]]) -> None:
    found: Multimap[int] = Multimap()
    naive: dict[str, set[int]] = {}
    for add, address, value in steps:
        if add:
            found.add(address, value)
            naive.setdefault(address, set()).add(value)
        else:
            found.discard(address, value)
            naive.get(address, set()).discard(value)
    assert {address: set(found[address]) for address in "xy"} == {address: naive.get(address, set()) for address in "xy"}
    assert len(found) == sum(bool(values) for values in naive.values())
