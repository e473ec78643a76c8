"""Whose an address is (DESIGN §6): a pod's, a service's, a node's, or nobody's. Pure.

Owns the rule by which an endpoint of a slice may or may not be sent to. Leaves to `kube_objects` which services must be
looked at again when an owner changes.

A slice is written by whoever may write slices in its namespace, so what it says of itself proves nothing. A Pod's status is
written by its node; so an address counts as a pod's when the Pod says so. Three rules follow from it:
- A pod on the host's network has no address of its own: what its status shows is the node's, shared with the kubelet and
  with every other such pod. Neither its targetRef nor the bare address makes that a pod's address.
- An address that pods of two namespaces claim (one is gone and not yet deleted, the other has got its address) is neither's,
  until one of them goes. Between pods of one namespace it does not matter.
- Addresses inside the cluster's service prefixes, of nodes, and of this host, link or cloud are nobody's to point at.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

from vpn_directory.kube_specs import Name, PodSpec
from vpn_directory.model import Claim
from vpn_directory.text import is_special

V = TypeVar("V")


class Multimap(Generic[V]):
    """Several values to an address, nothing kept for an address without any; small, for there are 100,000 of them."""

    def __init__(self) -> None:
        self._values: dict[str, tuple[V, ...]] = {}

    def add(self, address: str, value: V) -> None:
        """A value that is there already is not added twice."""
        known = self._values.get(address, ())
        if value not in known:
            self._values[address] = (*known, value)

    def discard(self, address: str, value: V) -> None:
        """A value that is not there may be discarded too."""
        left = tuple(other for other in self._values.get(address, ()) if other != value)
        if left:
            self._values[address] = left
        else:
            self._values.pop(address, None)

    def __getitem__(self, address: str) -> tuple[V, ...]:
        return self._values.get(address, ())

    def __len__(self) -> int:
        return len(self._values)


class AddressOwners:
    """Who says that an address is theirs, of those who can know."""

    def __init__(self, service_cidrs: Sequence[str] = ()) -> None:
        self._service_cidrs = tuple(map(ipaddress.ip_network, service_cidrs))
        self._pods: Multimap[Name] = Multimap()
        self._services: Multimap[tuple[str, str, str]] = Multimap()
        self._nodes: Counter[str] = Counter()

    def replace_pod(self, name: Name, before: PodSpec | None, after: PodSpec | None) -> set[str]:
        """A pod came, changed or went; the addresses whose owners are not the same as before."""
        old, new = own_addresses(before), own_addresses(after)
        for address in old:
            self._pods.discard(address, name)
        for address in new:
            self._pods.add(address, name)
        return set(old) ^ set(new) | self._replace_node(before.node if before else (), after.node if after else ())

    def _replace_node(self, before: Iterable[str], after: Iterable[str]) -> set[str]:
        moved = set()
        for address in after:
            if address not in self._nodes:
                moved.add(address)
            self._nodes[address] += 1
        for address in before:
            self._nodes[address] -= 1
            if not self._nodes[address]:
                del self._nodes[address]
                moved.add(address)
        return moved

    def replace_service(self, ident: tuple[str, str, str], before: Iterable[str], after: Iterable[str]) -> set[str]:
        """A service's addresses are now these; the addresses whose owners are not the same as before."""
        old, new = set(before), set(after)
        for address in old - new:
            self._services.discard(address, ident)
        for address in new - old:
            self._services.add(address, ident)
        return old ^ new

    def claim(self, namespace: str, address: str, target: Name | None) -> Claim:
        """Whether an endpoint of a slice in `namespace`, with this targetRef, may be sent to."""
        if is_special(address):
            return Claim.REFUSED
        pods = self._pods[address]
        if target is not None:
            theirs = target in pods and all(pod[0] == namespace for pod in pods)
            return Claim.POD if theirs else Claim.REFUSED
        taken = pods or self._services[address] or address in self._nodes or self._in_service_cidr(address)
        return Claim.REFUSED if taken else Claim.EXTERNAL

    def _in_service_cidr(self, address: str) -> bool:
        return any(ipaddress.ip_address(address) in prefix for prefix in self._service_cidrs)


def own_addresses(pod: PodSpec | None) -> tuple[str, ...]:
    """The addresses that are a pod's own: a pod on the host's network has none."""
    return () if pod is None or pod.host_network else pod.addresses
