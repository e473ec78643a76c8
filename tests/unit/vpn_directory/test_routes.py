"""What must be routed, and no more."""

from __future__ import annotations

from vpn_directory.gateway_service import gateway_service
from vpn_directory.model import Claim, Endpoint, EndpointGroup, Item, Pod, Service, ServiceKind, Zone, ZoneKind
from vpn_directory.routes import needed_prefixes


def text(*items: Item) -> list[str]:
    return [str(network) for network in needed_prefixes(items)]


def test_known_prefixes_cover_their_addresses_and_others_come_as_hosts() -> None:
    zone = Zone("cluster.local", ZoneKind.CLUSTER, ("10.96.0.0/16",), ("10.1.0.0/16",))
    assert text(zone, Pod("a", "b", ("10.1.2.3", "fd00::5")), Pod("a", "c", ("192.168.7.7",)),
                *gateway_service("cluster.local", ["198.18.0.1"])) == [
        "10.1.0.0/16", "10.96.0.0/16", "192.168.7.7/32", "198.18.0.1/32", "fd00::5/128"]


def test_endpoints_count_for_headless_services_and_never_when_refused() -> None:
    group = EndpointGroup("", "", 0, (), (Endpoint("10.1.0.1"), Endpoint("169.254.169.254", claim=Claim.REFUSED)))
    assert text(Service("z", "a", "b", ServiceKind.HEADLESS, groups=(group,))) == ["10.1.0.1/32"]
    web = Service("z", "a", "b", ServiceKind.CLUSTER_IP, ("10.96.0.1",), ("10.96.0.1",), groups=(group,))
    assert text(web) == ["10.96.0.1/32"]
