"""The index after any changes equals an index made fresh; endpoint labels."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kvpn_dns.options import Options
from kvpn_dns.zone_index import Index, address_of_label, endpoint_label
from vpn_directory.model import Delete, Endpoint, EndpointGroup, Item, Namespace, Pod, Port, Put, Service, ServiceKind

POOL: list[Item] = [
    Namespace("a"), Namespace("b"), Pod("a", "p", ("10.1.0.1",)), Pod("a", "p", ("10.1.0.2",)), Pod("a", "q", ("10.1.0.1",)),
    *(Service("cluster.local", space, "web", ServiceKind.CLUSTER_IP, (vip,), (vip,), ports=(Port("h", "TCP", 80),))
      for space in "ab" for vip in ("10.96.0.1", "10.96.0.2")),
    Service("cluster.local", "a", "db", ServiceKind.HEADLESS,
            groups=(EndpointGroup("", "", 0, (), (Endpoint("10.1.0.1"),)),))]


def view(index: Index) -> tuple[object, ...]:
    return (index.services, index.short, index.namespaces, {a for a in ("10.1.0.1", "10.1.0.2") if index.has_pod("a", a)},
            {a: sorted(map(repr, index.pointers(a))) for a in ("10.1.0.1", "10.96.0.1", "10.96.0.2")})


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(POOL)), max_size=40))
def test_changes_add_up(steps: list[tuple[bool, Item]]) -> None:
    index, known = Index(Options()), dict[object, Item]()
    for put, item in steps:
        index.apply([Put(item) if put else Delete(item.key)])
        known.update({item.key: item}) if put else known.pop(item.key, None)
    fresh = Index(Options())
    fresh.apply(Put(item) for item in known.values())
    assert view(index) == view(fresh)


def test_labels() -> None:
    assert endpoint_label(Endpoint("172.0.0.2")) == "172-0-0-2"
    assert endpoint_label(Endpoint("2001:db8::1")) == "2001-db8--1"
    assert endpoint_label(Endpoint("2001:db8::")) == "2001-db8--0"
    assert endpoint_label(Endpoint("10.0.0.1", "db-0")) == "db-0"
    found = [address_of_label(text) for text in ("10-1-0-5", "2001-db8--1", "x", "1-2-3")]
    assert found == ["10.1.0.5", "2001:db8::1", None, None]
