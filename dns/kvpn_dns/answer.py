"""Queries to answers: Kubernetes DNS-based service discovery 1.1.0 and the clusterset names of KEP-1645. Pure.

Owns every rule of which name answers what. Rules that others must not break: an owned name is never forwarded and never
REFUSED; before the first listing and after the copy expired it is SERVFAIL; a name that exists with other types is NODATA.
"""

from __future__ import annotations

import ipaddress
import struct
from collections import Counter
from dataclasses import dataclass
from typing import Final, TypeAlias

from kvpn_dns.options import Options, PodMode
from kvpn_dns.wire import (
    BadQuery,
    DropReason,
    Query,
    Rcode,
    Type,
    encode_name,
    pack_answer,
    pack_error,
    parse_query_untrusted,
    record,
)
from kvpn_dns.zone_index import Index, address_of_label, endpoint_label, grouped_endpoints, ready_endpoints
from vpn_directory.model import Service, ServiceKind, Zone, ZoneKind
from vpn_directory.replica import ReplicaState

OWNER: Final = b"\xc0\x0c"  # pointer to the question's name
VERSION_TTL: Final = 28_800  # seconds, of dns-version
SCHEMA_VERSIONS: Final = {ZoneKind.CLUSTER: b"1.1.0", ZoneKind.CLUSTERSET: b"1.0.0"}
MAX_CNAME_CHAIN: Final = 8  # ExternalNames that point at each other


@dataclass(frozen=True, slots=True)
class Reply:
    """Send these bytes back."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Forward:
    """Not ours: ask an upstream, or refuse when there is none."""

    query: Query


@dataclass(frozen=True, slots=True)
class Dropped:
    """No answer."""

    reason: DropReason


Outcome: TypeAlias = Reply | Forward | Dropped


@dataclass(slots=True)
class _Found:
    """What a name holds for a type: rcode NXDOMAIN when it does not exist, no answers when it is NODATA."""

    answers: list[bytes]
    additionals: list[bytes]
    exists: bool = True


_NOTHING = _Found([], [], exists=False)
_NODATA = _Found([], [])


class Answerer:
    """Answers packets from an index."""

    def __init__(self, index: Index, options: Options) -> None:
        self.index = index
        self.state = ReplicaState.UNSYNCED
        self.counters: Counter[str] = Counter()
        self._options = options

    def answer(self, packet: bytes, *, tcp: bool = False) -> Outcome:
        """The outcome for any bytes; never raises."""
        try:
            query = parse_query_untrusted(packet)
        except BadQuery as error:
            return self._refuse(packet, error)
        if query.qclass != 1 or query.qtype in (Type.AXFR, Type.IXFR):
            return self._reply(query, Rcode.REFUSED, tcp=tcp)
        labels = query.labels()
        owned = self.index.zone_of(labels)
        if owned is not None:
            return self._owned(query, labels, owned, tcp=tcp)
        return self._foreign(query, labels, tcp=tcp)

    def _refuse(self, packet: bytes, error: BadQuery) -> Outcome:
        if error.rcode is None:
            assert error.drop is not None
            self.counters[f"dropped_{error.drop}"] += 1
            return Dropped(error.drop)
        self.counters[error.rcode.name.lower()] += 1
        return Reply(pack_error(packet, error.rcode))

    def _reply(self, query: Query, rcode: Rcode, *, tcp: bool) -> Reply:
        self.counters[rcode.name.lower()] += 1
        return Reply(pack_answer(query, rcode, [], tcp=tcp, aa=False))

    def _serving(self) -> bool:
        return self.state in (ReplicaState.LIVE, ReplicaState.STALE)

    def _owned(self, query: Query, labels: list[bytes], owned: tuple[bytes, Zone, int], *, tcp: bool) -> Reply:
        if not self._serving():
            return self._reply(query, Rcode.SERVFAIL, tcp=tcp)
        apex, zone, count = owned
        service = self.index.services.get(query.qname)
        if service is not None:
            found = self._service(service, query.qtype)
        else:
            found = self._below(zone, [_text(label) for label in labels[:count]], query.qtype)
        return self._found(query, found, zone, apex, tcp=tcp)

    def _found(self, query: Query, found: _Found, zone: Zone, apex: bytes, *, tcp: bool) -> Reply:
        if query.qtype == Type.ANY and found.exists:
            found = _Found([record(OWNER, Type.HINFO, self._options.ttl, b"\x07RFC8482\x00")], [])
        rcode = Rcode.NOERROR if found.exists else Rcode.NXDOMAIN
        authority = b"" if found.answers else self._soa(zone, apex)
        self.counters[rcode.name.lower()] += 1
        answers = _rotated(found.answers, query.ident) if query.qtype in (Type.A, Type.AAAA) else found.answers
        return Reply(pack_answer(query, rcode, answers, authority, found.additionals, tcp=tcp))

    def _soa(self, zone: Zone, owner: bytes) -> bytes:
        apex = encode_name(zone.apex)
        ttl = self._options.negative_ttl
        rdata = (b"\x02ns\x03dns" + apex + b"\x0ahostmaster" + apex
                 + struct.pack("!5I", self.index.serial, 7200, 1800, 86_400, ttl))
        return record(owner, Type.SOA, ttl, rdata)

    # --- names below an apex ---

    def _below(self, zone: Zone, labels: list[str], qtype: int) -> _Found:
        if not labels:
            return self._apex(zone, qtype)
        if labels[-1] == "svc":
            return self._svc(zone, labels[:-1], qtype)
        if labels[-1] == "pod" and zone.kind is ZoneKind.CLUSTER:
            return self._pod(zone, labels[:-1], qtype)
        if labels == ["dns-version"]:
            version = SCHEMA_VERSIONS[zone.kind]
            text = record(OWNER, Type.TXT, VERSION_TTL, bytes([len(version)]) + version)
            return _Found([text] if qtype == Type.TXT else [], [])
        return _NODATA if labels in (["dns"], ["ns", "dns"]) else _NOTHING

    def _apex(self, zone: Zone, qtype: int) -> _Found:
        if qtype == Type.SOA:
            return _Found([self._soa(zone, OWNER)], [])
        if qtype == Type.NS:
            return _Found([record(OWNER, Type.NS, self._options.ttl, b"\x02ns\x03dns" + encode_name(zone.apex))], [])
        return _NODATA

    def _svc(self, zone: Zone, labels: list[str], qtype: int) -> _Found:
        if not labels:
            return _NODATA
        namespace = labels[-1]
        if len(labels) == 1:
            return _NODATA if self.index.has_namespace(zone, namespace) else _NOTHING
        service = self._find(zone, namespace, labels[-2])
        below = labels[:-2]
        if service is None or not below or service.kind is ServiceKind.EXTERNAL_NAME:
            return _NOTHING
        if below[-1].startswith("_"):
            return self._service_port(service, below, qtype)
        return self._endpoint(service, zone, below, qtype)

    def _find(self, zone: Zone, namespace: str, name: str) -> Service | None:
        try:
            return self.index.services.get(encode_name(f"{name}.{namespace}.svc.{zone.apex}"))
        except ValueError:
            return None

    def _pod(self, zone: Zone, labels: list[str], qtype: int) -> _Found:
        if self._options.pods is PodMode.DISABLED:
            return _NOTHING
        if not labels:
            return _NODATA
        if not self.index.has_namespace(zone, labels[-1]) or len(labels) > 2:
            return _NOTHING
        if len(labels) == 1:
            return _NODATA
        address = address_of_label(labels[0])
        verified = self._options.pods is PodMode.VERIFIED
        if address is None or (verified and not self.index.has_pod(labels[-1], address)):
            return _NOTHING
        return _Found(self._addresses([address], qtype, OWNER), [])

    # --- services ---

    def _service(self, service: Service, qtype: int) -> _Found:
        if service.kind is ServiceKind.EXTERNAL_NAME:
            return self._external(service, qtype)
        if service.kind is ServiceKind.HEADLESS:
            addresses = list(dict.fromkeys(endpoint.address for endpoint in ready_endpoints(service)))
            if not addresses:
                return _NOTHING  # schema 2.4.1: no ready endpoints, no name
        else:
            addresses = list(service.presented)
        if qtype == Type.SRV:
            return self._srv(service, None)
        return _Found(self._addresses(addresses, qtype, OWNER), [])

    def _addresses(self, addresses: list[str], qtype: int, owner: bytes) -> list[bytes]:
        if qtype not in (Type.A, Type.AAAA):
            return []
        packed = (ipaddress.ip_address(address).packed for address in addresses)
        size = 4 if qtype == Type.A else 16
        return [record(owner, qtype, self._options.ttl, rdata) for rdata in packed if len(rdata) == size]

    def _external(self, service: Service, qtype: int) -> _Found:
        """A CNAME, followed as long as it stays inside what we own; the rest is the asking resolver's to follow."""
        answers, owner = [], OWNER
        for _ in range(MAX_CNAME_CHAIN):
            target = encode_name(service.external_name)
            answers.append(record(owner, Type.CNAME, self._options.ttl, target))
            following = self.index.services.get(target)
            if following is None or qtype == Type.CNAME:
                break
            if following.kind is not ServiceKind.EXTERNAL_NAME:
                addresses = ([e.address for e in ready_endpoints(following)] if following.kind is ServiceKind.HEADLESS
                             else list(following.presented))
                answers += self._addresses(list(dict.fromkeys(addresses)), qtype, target)
                break
            service, owner = following, target
        return _Found(answers, [])

    def _service_port(self, service: Service, below: list[str], qtype: int) -> _Found:
        ports = service.ports if service.kind is ServiceKind.CLUSTER_IP else tuple(
            port for group, _ in grouped_endpoints(service) for port in group.ports)
        protocol = below[-1][1:].upper()
        if len(below) == 1:
            return _NODATA if any(port.protocol == protocol and port.name for port in ports) else _NOTHING
        name = below[-2][1:]
        known = any((port.name, port.protocol) == (name, protocol) for port in ports)
        if len(below) != 2 or not below[0].startswith("_") or not name or not known:
            return _NOTHING
        return self._srv(service, (name, protocol)) if qtype == Type.SRV else _NODATA

    def _srv(self, service: Service, wanted: tuple[str, str] | None) -> _Found:
        """SRV records for one named port, or for all of them at the service's own name (as CoreDNS does)."""
        base = encode_name(f"{service.name}.{service.namespace}.svc.{service.zone}")
        targets: dict[tuple[int, bytes], None] = {}
        glue: dict[bytes, list[bytes]] = {}
        if service.kind is ServiceKind.CLUSTER_IP:
            targets = {(p.port, base): None for p in service.ports if wanted is None or (p.name, p.protocol) == wanted}
            glue[base] = self._both(list(service.presented), base)
        else:
            for group, endpoint in grouped_endpoints(service):
                label = endpoint_label(endpoint).encode()
                cluster = f"{len(group.cluster):c}{group.cluster}".encode() if group.cluster else b""
                target = bytes([len(label)]) + label + cluster + base
                for port in group.ports:
                    if wanted is None or (port.name, port.protocol) == wanted:
                        targets[(port.port, target)] = None
                        records = glue.setdefault(target, [])
                        records += [r for r in self._both([endpoint.address], target) if r not in records]
        weight = 100 // len(targets) if targets else 0
        answers = [record(OWNER, Type.SRV, self._options.ttl, struct.pack("!HHH", 0, weight, port) + target)
                   for port, target in targets]
        used = {target for _, target in targets}
        return _Found(answers, [r for target, records in glue.items() if target in used for r in records])

    def _both(self, addresses: list[str], owner: bytes) -> list[bytes]:
        return self._addresses(addresses, Type.A, owner) + self._addresses(addresses, Type.AAAA, owner)

    def _endpoint(self, service: Service, zone: Zone, below: list[str], qtype: int) -> _Found:
        clusterset = zone.kind is ZoneKind.CLUSTERSET
        if len(below) != (2 if clusterset else 1):
            return _NOTHING
        addresses = [endpoint.address for group, endpoint in grouped_endpoints(service)
                     if endpoint_label(endpoint) == below[0] and (not clusterset or group.cluster == below[1])]
        if not addresses or (clusterset and service.kind is not ServiceKind.HEADLESS):
            return _NOTHING
        return _Found(self._addresses(list(dict.fromkeys(addresses)), qtype, OWNER), [])

    # --- names of others ---

    def _foreign(self, query: Query, labels: list[bytes], *, tcp: bool) -> Outcome:
        short = self.index.short.get(query.qname)
        if short is not None and self._serving():
            apex = encode_name(short.zone)
            zone = self.index.zones.get(apex) or Zone(short.zone, ZoneKind.CLUSTER)
            return self._found(query, self._service(short, query.qtype), zone, apex, tcp=tcp)
        if query.qtype == Type.PTR and self._serving():
            pointers = self._pointers(labels)
            if pointers:
                self.counters["noerror"] += 1
                return Reply(pack_answer(query, Rcode.NOERROR, pointers, tcp=tcp))
        return Forward(query)

    def _pointers(self, labels: list[bytes]) -> list[bytes]:
        address = _reverse_address(labels)
        if address is None:
            return []
        names = []
        for service, label in self.index.pointers(address):
            name = f"{service.name}.{service.namespace}.svc.{service.zone}"
            names.append(encode_name(f"{label}.{name}" if label else name))
        return [record(OWNER, Type.PTR, self._options.ttl, name) for name in names]


def _text(label: bytes) -> str:
    """A label as text; one that is no plain name becomes a text that no Kubernetes name equals."""
    return label.decode("ascii", "replace").replace(".", "\ufffd")


def _rotated(records: list[bytes], by: int) -> list[bytes]:
    start = by % len(records) if len(records) > 1 and records[0][2:4] != b"\0\x05" else 0
    return records[start:] + records[:start]


def _reverse_address(labels: list[bytes]) -> str | None:
    """The address of a name in in-addr.arpa or ip6.arpa, or None."""
    try:
        if len(labels) == 6 and labels[4:] == [b"in-addr", b"arpa"]:
            return str(ipaddress.IPv4Address(b".".join(reversed(labels[:4])).decode("ascii")))
        if len(labels) == 34 and labels[32:] == [b"ip6", b"arpa"]:
            digits = b"".join(reversed(labels[:32])).decode("ascii")
            return str(ipaddress.IPv6Address(int(digits, 16))) if len(digits) == 32 else None
    except ValueError:
        return None
    return None
