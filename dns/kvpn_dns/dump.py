"""Answers and whole zones as text, rendered by dnslib, which only ever sees messages that we packed or asked for."""

from __future__ import annotations

from collections.abc import Iterator

import dnslib

from kvpn_dns.answer import Answerer, Reply
from kvpn_dns.wire import HEADER, Type, encode_name
from kvpn_dns.zone_index import Index, endpoint_label, ready_endpoints
from vpn_directory.model import Service, ServiceKind


def readable(reply: bytes) -> tuple[str, list[str]]:
    """(rcode, answer records as zone text) of a response. Raises ValueError when it is none."""
    try:
        parsed = dnslib.DNSRecord.parse(reply)
    except (dnslib.DNSError, ValueError, RecursionError) as error:
        raise ValueError("the answer is no DNS message") from error
    return str(dnslib.RCODE.get(parsed.header.rcode)), [" ".join(str(rr).split()) for rr in parsed.rr]


def dump(index: Index, answerer: Answerer) -> Iterator[str]:
    """Every record of the index as zone text, sorted by name within its zone."""
    for zone in index.zones.values():
        yield from _records(answerer, zone.apex, (Type.SOA, Type.NS))
        yield from _records(answerer, f"dns-version.{zone.apex}", (Type.TXT,))
    for service in sorted(index.services.values(), key=lambda s: (s.zone, s.namespace, s.name)):
        for name, types in _names(service):
            yield from _records(answerer, name, types)


def _names(service: Service) -> Iterator[tuple[str, tuple[Type, ...]]]:
    base = f"{service.name}.{service.namespace}.svc.{service.zone}"
    if service.kind is ServiceKind.EXTERNAL_NAME:
        yield base, (Type.CNAME,)
        return
    yield base, (Type.A, Type.AAAA)
    ports = {(p.name, p.protocol) for p in service.ports if p.name}
    for name, protocol in sorted(ports):
        yield f"_{name}._{protocol.lower()}.{base}", (Type.SRV,)
    if service.kind is ServiceKind.HEADLESS:
        for label in sorted({endpoint_label(endpoint) for endpoint in ready_endpoints(service)}):
            yield f"{label}.{base}", (Type.A, Type.AAAA)


def _records(answerer: Answerer, name: str, types: tuple[Type, ...]) -> Iterator[str]:
    for kind in types:
        packet = HEADER.pack(0, 0, 1, 0, 0, 0) + encode_name(name) + bytes([0, kind, 0, 1])
        outcome = answerer.answer(packet, tcp=True)
        if isinstance(outcome, Reply):
            yield from readable(outcome.data)[1]
