"""The end-to-end proof on loopback, and every way in which it is none."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.vpn_client.http_gateway import gateway, head
from vpn_client.probe import BadAnswer, ProbeFailed, ProbePlan, lookup, parse_answer_untrusted, probe, question

NAME = "kvpn-gateway.kvpn-system.svc.cluster.local"


def answer_to(query: bytes, *records: str, rcode: int = 0) -> bytes:
    """A reply that dnspython makes to our question."""
    reply = dns.message.make_response(dns.message.from_wire(query))
    reply.set_rcode(dns.rcode.Rcode(rcode))
    name = reply.question[0].name
    for record in records:
        kind, _, value = record.partition(" ")
        reply.answer.append(dns.rrset.from_text(name, 0, "IN", kind, value))
    return reply.to_wire()


def test_the_question_is_what_dnspython_reads() -> None:
    message = dns.message.from_wire(question(NAME, False, 7))
    assert (message.id, message.flags) == (7, dns.flags.RD)
    assert message.question[0].to_text() == f"{NAME}. IN A"
    assert dns.message.from_wire(question(NAME, True, 7)).question[0].to_text() == f"{NAME}. IN AAAA"


def test_the_first_address_counts() -> None:
    query = question(NAME, False, 7)
    assert parse_answer_untrusted(answer_to(query, "TXT x", "A 198.18.0.1", "A 198.18.0.9"), False, 7) == "198.18.0.1"
    query = question(NAME, True, 7)
    assert parse_answer_untrusted(answer_to(query, "AAAA fd00::1"), True, 7) == "fd00::1"


@pytest.mark.parametrize(("make", "why"), [
    (lambda query: query, "not an answer"),
    (lambda query: answer_to(question(NAME, False, 8), "A 198.18.0.1"), "not an answer"),
    (lambda query: answer_to(query), "no address"), (lambda query: answer_to(query, "AAAA fd00::1"), "no address"),
    (lambda query: answer_to(query, rcode=2), "SERVFAIL: no directory"),
    (lambda query: answer_to(query, rcode=3), "NXDOMAIN"),
    (lambda query: answer_to(query, rcode=9), "rcode 9"), (lambda query: b"", "truncated"),
    (lambda query: answer_to(query, "A 198.18.0.1")[:-2], "no address")])
def test_what_is_no_answer(make: Callable[[bytes], bytes], why: str) -> None:
    with pytest.raises(BadAnswer, match=why):
        parse_answer_untrusted(make(question(NAME, False, 7)), False, 7)


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_raise_the_one_exception(message: bytes, ipv6: bool) -> None:
    for prefix in (b"", b"\x00\x07\x80\x00"):
        try:
            address = parse_answer_untrusted(prefix + message, ipv6, 7)
        except BadAnswer:
            continue
        assert (":" in address) == ipv6


async def resolver(records: tuple[str, ...], rcode: int) -> tuple[tuple[str, int], socket.socket]:
    """A resolver on loopback that gives one kind of answer; no records and rcode -1: silence."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.bind(("127.0.0.1", 0))

    def readable() -> None:
        query, source = sock.recvfrom(512)
        if rcode >= 0:
            sock.sendto(answer_to(query, *records, rcode=rcode), source)
    asyncio.get_running_loop().add_reader(sock, readable)
    return sock.getsockname(), sock


def run_probe(records: tuple[str, ...] = ("A 127.0.0.1",), rcode: int = 0,
              body: bytes | None = None) -> tuple[str, str]:
    """(evidence, the request that the gateway saw)."""
    async def go() -> tuple[str, str]:
        async def respond(path: str, writer: asyncio.StreamWriter) -> None:
            writer.write(body if body is not None else head(200) + b'{"status":"ok"}')
        server, sock = await resolver(records, rcode)
        try:
            async with gateway(respond) as (target, requests):
                plan = ProbePlan(NAME, target.port, server, source="127.0.0.1")
                return await probe(plan, lambda: 99), requests[0]
        finally:
            asyncio.get_running_loop().remove_reader(sock)
            sock.close()
    return asyncio.run(go())


def test_name_then_http() -> None:
    evidence, request = run_probe()
    assert evidence.startswith(f"{NAME} → 127.0.0.1 · GET /healthz → 200 in ")
    assert f"Host: {NAME}:" in request


@pytest.mark.parametrize(("records", "rcode", "body", "why"), [
    ((), 2, None, "SERVFAIL"), ((), 3, None, "NXDOMAIN"), ((), -1, None, "no answer within 1 s"),
    (("A 127.0.0.1",), 0, b"", "hung up"), (("A 127.0.0.1",), 0, head(503) + b"[]", "→ 503$"),
    (("A 127.0.0.1",), 0, head(503) + b'{"reasons":["objects: no such file"]}', "→ 503: objects: no such file")])
def test_whatever_breaks_is_named(records: tuple[str, ...], rcode: int, body: bytes | None, why: str) -> None:
    with pytest.raises(ProbeFailed, match=why):
        run_probe(records, rcode, body)


def test_a_resolver_that_is_not_there() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        address = free.getsockname()
    with pytest.raises(ProbeFailed, match=r"at our resolver 127\.0\.0\.1 port"):
        asyncio.run(lookup(NAME, False, address, 1))
