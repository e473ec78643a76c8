"""The rules K1–K17 of Kubernetes DNS, clusterset names, search names, states, and any bytes."""

from __future__ import annotations

import struct

import dns.flags
import dns.message
import dns.rcode
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvpn_dns.answer import Answerer, Dropped, Forward, Reply
from kvpn_dns.options import Options, PodMode
from tests.unit.kvpn_dns.world import OBJECTS, answerer, ask, forwarded, told
from tests.unit.vpn_directory.fixtures import endpoint, namespace, pod, service, slice_
from vpn_directory.model import Delete, Put, Service, ServiceKind
from vpn_directory.replica import ReplicaState

Z = "cluster.local"
S = "clusterset.local"
NX: tuple[str, set[str]] = ("NXDOMAIN", set())
NODATA: tuple[str, set[str]] = ("NOERROR", set())


@pytest.fixture(scope="module")
def subject() -> Answerer:
    return answerer()


CASES: list[tuple[str, str, tuple[str, set[str]]]] = [
    (f"dns-version.{Z}", "TXT", ("NOERROR", {'"1.1.0"'})), (f"dns-version.{S}", "TXT", ("NOERROR", {'"1.0.0"'})),
    (f"web.shop.svc.{Z}", "A", ("NOERROR", {"10.96.0.1"})), (f"web.shop.svc.{Z}", "AAAA", ("NOERROR", {"fd00::1"})),
    (f"WEB.Shop.SVC.{Z}", "A", ("NOERROR", {"10.96.0.1"})), (f"four.shop.svc.{Z}", "AAAA", NODATA),
    (f"_http._tcp.web.shop.svc.{Z}", "SRV", ("NOERROR", {f"0 100 80 web.shop.svc.{Z}."})),
    (f"web.shop.svc.{Z}", "SRV", ("NOERROR", {f"0 100 80 web.shop.svc.{Z}."})),
    (f"_http._udp.web.shop.svc.{Z}", "SRV", NX), (f"_nope._tcp.web.shop.svc.{Z}", "SRV", NX),
    (f"_http._tcp.web.shop.svc.{Z}", "A", NODATA), (f"_tcp.web.shop.svc.{Z}", "A", NODATA),
    ("1.0.96.10.in-addr.arpa", "PTR", ("NOERROR", {f"web.shop.svc.{Z}."})),
    (f"db.shop.svc.{Z}", "A", ("NOERROR", {"10.1.0.5", "10.1.0.6"})), (f"none.shop.svc.{Z}", "A", NX),
    (f"db-0.db.shop.svc.{Z}", "A", ("NOERROR", {"10.1.0.5"})), (f"10-1-0-6.db.shop.svc.{Z}", "A", ("NOERROR", {"10.1.0.6"})),
    (f"10-1-0-7.db.shop.svc.{Z}", "A", NX), (f"10-1-0-5.db.shop.svc.{Z}", "A", NX),
    (f"_http._tcp.db.shop.svc.{Z}", "SRV",
     ("NOERROR", {f"0 50 5432 db-0.db.shop.svc.{Z}.", f"0 50 5432 10-1-0-6.db.shop.svc.{Z}."})),
    ("5.0.1.10.in-addr.arpa", "PTR", ("NOERROR", {f"db-0.db.shop.svc.{Z}."})),
    (f"out.shop.svc.{Z}", "A", ("NOERROR", {"www.example.org."})), (f"sub.out.shop.svc.{Z}", "A", NX),
    (f"in.shop.svc.{Z}", "A", ("NOERROR", {f"web.shop.svc.{Z}.", "10.96.0.1"})),
    (f"10-1-0-5.shop.pod.{Z}", "A", ("NOERROR", {"10.1.0.5"})), (f"10-9-9-9.shop.pod.{Z}", "A", NX),
    (f"10-1-0-5.empty.pod.{Z}", "A", NX), (f"10-1-0-5.shop.pod.{Z}", "AAAA", NODATA),
    (f"svc.{Z}", "A", NODATA), (f"pod.{Z}", "A", NODATA), (f"shop.svc.{Z}", "A", NODATA), (f"empty.svc.{Z}", "A", NODATA),
    (Z, "A", NODATA), (f"nowhere.svc.{Z}", "A", NX), (f"nope.shop.svc.{Z}", "A", NX), (f"a.b.web.shop.svc.{Z}", "A", NX),
    (f"www.example.com.{Z}", "A", NX), (f"shop.{Z}", "A", NX),
    (Z, "NS", ("NOERROR", {f"ns.dns.{Z}."})), (f"web.shop.svc.{Z}", "NS", NODATA), (f"web.shop.svc.{Z}", "HTTPS", NODATA),
    (f"geo.shop.svc.{S}", "A", ("NOERROR", {"10.7.0.1"})), (f"one.east.geo.shop.svc.{S}", "A", ("NOERROR", {"10.7.0.1"})),
    (f"one.geo.shop.svc.{S}", "A", NX), (f"east.geo.shop.svc.{S}", "A", NX), (f"geo.shop.svc.{Z}", "A", NX),
    (f"_http._tcp.geo.shop.svc.{S}", "SRV", ("NOERROR", {f"0 100 8080 one.east.geo.shop.svc.{S}."})),
    ("web.shop", "A", ("NOERROR", {"10.96.0.1"})), ("four.shop", "AAAA", NODATA)]


@pytest.mark.parametrize(("name", "kind", "expected"), CASES)
def test_names(subject: Answerer, name: str, kind: str, expected: tuple[str, set[str]]) -> None:
    assert told(subject, name, kind) == expected


def test_ipv6_pointer(subject: Answerer) -> None:
    name = ".".join(reversed("fd000000000000000000000000000001")) + ".ip6.arpa"
    assert told(subject, name, "PTR") == ("NOERROR", {f"web.shop.svc.{Z}."})


def test_negative_answers_carry_the_soa_and_owned_answers_are_authoritative(subject: Answerer) -> None:
    for name in (f"nope.shop.svc.{Z}", f"four.shop.svc.{Z}"):
        reply = ask(subject, name, "AAAA")
        (soa,) = reply.authority
        assert soa.name.to_text() == f"{Z}."
        assert soa.ttl == soa[0].minimum == 5
        assert reply.flags & dns.flags.AA


def test_the_question_keeps_its_case(subject: Answerer) -> None:
    reply = ask(subject, f"wEb.ShOp.sVc.{Z}")
    assert reply.answer[0].name.labels[:3] == (b"wEb", b"ShOp", b"sVc")


def test_headless_srv_brings_addresses_along(subject: Answerer) -> None:
    reply = ask(subject, f"_http._tcp.db.shop.svc.{Z}", "SRV", tcp=True)
    assert {rdata.to_text() for rrset in reply.additional for rdata in rrset} == {"10.1.0.5", "10.1.0.6"}


def test_external_names_that_point_at_themselves_end(subject: Answerer) -> None:
    assert len(ask(subject, f"loop.shop.svc.{Z}", tcp=True).answer) <= 8


@pytest.mark.parametrize(("mode", "known", "unknown"), [(PodMode.DISABLED, "NXDOMAIN", "NXDOMAIN"),
                                                       (PodMode.INSECURE, "NOERROR", "NOERROR"),
                                                       (PodMode.VERIFIED, "NOERROR", "NXDOMAIN")])
def test_pod_modes(mode: PodMode, known: str, unknown: str) -> None:
    subject = answerer(Options(pods=mode))
    assert [told(subject, f"{ip}.shop.pod.{Z}")[0] for ip in ("10-1-0-5", "10-9-9-9")] == [known, unknown]
    assert told(subject, f"10-1-0-5.gone.pod.{Z}")[0] == "NXDOMAIN"


@pytest.mark.parametrize("state", [ReplicaState.UNSYNCED, ReplicaState.EXPIRED])
def test_without_a_directory_owned_names_are_servfail_and_others_go_on(state: ReplicaState) -> None:
    subject = answerer()
    subject.state = state
    for name in (f"web.shop.svc.{Z}", Z, f"nope.{Z}"):
        assert told(subject, name)[0] == "SERVFAIL"
    assert forwarded(subject, "www.example.org")
    assert forwarded(subject, "web.shop"), "a short name is owned only while it is known"


def test_stale_copies_are_served() -> None:
    subject = answerer()
    subject.state = ReplicaState.STALE
    assert told(subject, f"web.shop.svc.{Z}")[0] == "NOERROR"


@pytest.mark.parametrize("name", ["www.example.org", "nope.shop", "local", "xcluster.local", "9.9.9.9.in-addr.arpa", "."])
def test_names_of_others_are_forwarded(subject: Answerer, name: str) -> None:
    assert forwarded(subject, name)


@pytest.mark.parametrize("kind", ["AXFR", "IXFR"])
def test_transfers_and_other_classes_are_refused(subject: Answerer, kind: str) -> None:
    assert ask(subject, Z, "SOA").rcode() == dns.rcode.NOERROR
    wire = bytearray(dns.message.make_query(Z, "A", use_edns=False).to_wire())
    wire[-4:-2] = struct.pack("!H", {"AXFR": 252, "IXFR": 251}[kind])
    outcome = subject.answer(bytes(wire))
    assert isinstance(outcome, Reply)
    assert outcome.data[3] & 15 == dns.rcode.REFUSED
    wire[-4:] = struct.pack("!HH", 16, 3)
    outcome = subject.answer(bytes(wire))
    assert isinstance(outcome, Reply)
    assert outcome.data[3] & 15 == dns.rcode.REFUSED


def test_any_is_answered_small(subject: Answerer) -> None:
    (rrset,) = ask(subject, f"db.shop.svc.{Z}", "ANY").answer
    assert rrset[0].to_text() == '"RFC8482" ""'


def many(count: int) -> Answerer:
    pods = [pod("shop", f"p{n}", f"10.1.{n >> 8}.{n & 255}") for n in range(count)]
    ends = [endpoint(f"10.1.{n >> 8}.{n & 255}", f"p{n}", hostname=f"p{n}") for n in range(count)]
    return answerer(objects=[namespace("shop"), service("shop", "db", clusterIP="None"), *pods, slice_("shop", "s", "db", *ends)])


@pytest.mark.parametrize(("edns", "limit"), [(None, 512), (400, 512), (1232, 1232), (4096, 1232)])
def test_udp_answers_fit_hold_what_fits_and_say_so(edns: int | None, limit: int) -> None:
    subject, query = many(100), dns.message.make_query(f"db.shop.svc.{Z}", "A", use_edns=edns is not None, payload=edns or 0)
    outcome = subject.answer(query.to_wire())
    assert isinstance(outcome, Reply)
    reply = dns.message.from_wire(outcome.data)
    assert limit - 16 < len(outcome.data) <= limit
    assert reply.flags & dns.flags.TC
    assert 25 < len(reply.answer[0]) < 100
    assert (reply.edns >= 0) is (edns is not None)
    whole = ask(subject, f"db.shop.svc.{Z}", tcp=True)
    assert not whole.flags & dns.flags.TC
    assert len(whole.answer[0]) == 100


def test_a_large_tcp_answer_is_well_formed() -> None:
    reply = ask(many(1000), f"_http._tcp.db.shop.svc.{Z}", "SRV", tcp=True)
    assert len(reply.answer[0]) > 900


def test_a_change_is_in_the_very_next_answer(subject: Answerer) -> None:
    fresh = answerer()
    fresh.index.apply([Put(Service(Z, "shop", "web", ServiceKind.CLUSTER_IP, ("10.96.0.77",), ("10.96.0.77",)))])
    assert told(fresh, f"web.shop.svc.{Z}")[1] == told(fresh, "web.shop")[1] == {"10.96.0.77"}
    fresh.index.apply([Delete(("service", Z, "shop", "web"))])
    assert told(fresh, f"web.shop.svc.{Z}") == NX
    assert forwarded(fresh, "web.shop")


def test_every_address_leads_now_and_then(subject: Answerer) -> None:
    firsts = set()
    for ident in range(8):
        query = dns.message.make_query(f"db.shop.svc.{Z}", "A", use_edns=False)
        query.id = ident
        outcome = subject.answer(query.to_wire())
        assert isinstance(outcome, Reply)
        firsts.add(outcome.data[-4:] == bytes([10, 1, 0, 5]))
    assert firsts == {True, False}


def test_ttl_zero_means_zero_for_absence_too() -> None:
    subject = answerer(Options(ttl=0, negative_ttl=0))
    assert ask(subject, f"web.shop.svc.{Z}").answer[0].ttl == 0
    soa = ask(subject, f"nope.shop.svc.{Z}").authority[0]
    assert (soa.ttl, soa[0].minimum) == (0, 0)


NAMES = st.sampled_from([name for name, _, _ in CASES]) | st.text("abcdefgh.-_", min_size=1, max_size=40)


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    assert isinstance(_shared.answer(data), Reply | Forward | Dropped)


@given(st.sampled_from([case[0] for case in CASES]), st.lists(st.tuples(st.integers(0, 80), st.integers(0, 255)), max_size=4),
       st.integers(0, 80), st.booleans())
def test_mutated_queries(name: str, edits: list[tuple[int, int]], cut: int, tcp: bool) -> None:
    wire = bytearray(dns.message.make_query(name, "A", use_edns=True).to_wire())
    for at, value in edits:
        wire[at % len(wire)] = value
    outcome = _shared.answer(bytes(wire[:max(cut, 0)] if cut < 40 else wire), tcp=tcp)
    assert isinstance(outcome, Reply | Forward | Dropped)
    if isinstance(outcome, Reply):
        assert outcome.data[:2] == bytes(wire[:2])
        assert outcome.data[2] & 0x80


_shared = answerer(objects=OBJECTS)
