"""From intent and directory to what the host should be."""

from ipaddress import ip_address, ip_network

from tests.unit.vpn_client.samples import INTENT
from vpn_client.desired import first_plan, whole_plan
from vpn_client.intent import parse_intent_untrusted
from vpn_directory.model import (
    Claim,
    Endpoint,
    EndpointGroup,
    Item,
    Namespace,
    Pod,
    Service,
    ServiceKind,
    Zone,
    ZoneKind,
)

PLAN = {**INTENT, "clusterset_domain": "clusterset.local", "include": ["10.9.0.0/16"], "exclude": ["10.8.0.0/16"]}


def headless(*endpoints: Endpoint) -> Service:
    group = EndpointGroup("", "", 0, (), endpoints)
    return Service("cluster.local", "shop", "db", ServiceKind.HEADLESS, groups=(group,))


def test_the_first_plan_reaches_the_gateway_and_nothing_else() -> None:
    plan = first_plan(parse_intent_untrusted(PLAN), "kvpn0")
    assert plan.routes == (ip_network("198.18.0.1/32"),)
    assert plan.resolver is None
    assert (plan.addresses, plan.endpoints) == (("198.18.0.2", "fd6b:7670:6e::2"), ("192.0.2.1",))
    assert plan.include == (ip_network("10.9.0.0/16"),)
    assert plan.exclude == (ip_network("10.8.0.0/16"),)


def test_the_whole_plan_has_what_the_directory_needs() -> None:
    items: tuple[Item, ...] = (
        Zone("cluster.local", ZoneKind.CLUSTER, ("10.96.0.0/16",), ("10.244.0.0/16",)), Namespace("shop"), Namespace("a"),
        Service("cluster.local", "shop", "web", ServiceKind.CLUSTER_IP, ("10.96.0.7",), ("10.96.0.7",)),
        Pod("shop", "web-1", ("10.244.0.9", "fd00::9")),
        headless(Endpoint("10.244.0.5"), Endpoint("10.66.0.6", claim=Claim.REFUSED)))
    plan = whole_plan(parse_intent_untrusted(PLAN), "kvpn0", 1380, items, ("198.18.0.2", 53))
    assert set(map(str, plan.routes)) == {"198.18.0.1/32", "10.96.0.0/16", "10.244.0.0/16", "fd00::9/128"}
    assert set(plan.hosts) == set(map(ip_address, ("198.18.0.1", "10.96.0.7", "10.244.0.9", "fd00::9", "10.244.0.5")))
    assert plan.mtu == 1380
    assert plan.resolver is not None
    assert plan.resolver.routing_domains == ("cluster.local", "clusterset.local")
    assert plan.resolver.search == ("svc.cluster.local", "svc.clusterset.local")
    assert plan.resolver.namespaces == ("a", "shop")


def test_the_order_of_the_directory_does_not_make_another_plan() -> None:
    items: tuple[Item, ...] = (Namespace("b"), Namespace("a"), headless(Endpoint("10.244.0.5"), Endpoint("10.244.0.6")))
    intent = parse_intent_untrusted(PLAN)
    assert whole_plan(intent, "k", 1420, items, ("::1", 53)) == whole_plan(intent, "k", 1420, items[::-1], ("::1", 53))
