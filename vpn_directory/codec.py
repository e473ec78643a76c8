"""Messages and items between values and JSON lines (docs/directory-protocol.md).

Owns the wire form, the limits on it, and the hash by which both sides compare what they hold. An item's JSON is canonical
(sorted keys, defaults left out), so equal items have equal bytes. Leaves what text and addresses may look like to `text`.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from vpn_directory.messages import BadMessage, ChangeSet, Gone, ListEnd, ListHead, ListItem, Mark, Message
from vpn_directory.model import (
    Change,
    Claim,
    Delete,
    Endpoint,
    EndpointGroup,
    Item,
    Key,
    Namespace,
    Pod,
    Port,
    Put,
    Service,
    ServiceKind,
    Zone,
    ZoneKind,
)
from vpn_directory.text import MAX_TEXT, PROTOCOLS, canonical_address, is_apex, is_label, is_plain, is_subdomain

MAX_LINE: Final = 8 << 20  # bytes: one service with some 50,000 endpoints
MAX_PREFIXES: Final = 64  # CIDRs of one zone
MAX_PRIORITY: Final = 1 << 16
HASH_MASK: Final = (1 << 64) - 1

_HASH: Final = re.compile("[0-9a-f]{16}")
_dump = json.JSONEncoder(separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode


# --- items ---


def item_to_json(item: Item) -> dict[str, Any]:
    """The JSON object of an item; empty and default fields are left out."""
    if isinstance(item, Zone):
        return _drop_empty({"kind": "zone", "apex": item.apex, "schema": item.kind.value,
                            "serviceCIDRs": list(item.service_cidrs), "podCIDRs": list(item.pod_cidrs)})
    if isinstance(item, Namespace):
        return {"kind": "namespace", "name": item.name}
    if isinstance(item, Pod):
        return _drop_empty({"kind": "pod", "namespace": item.namespace, "name": item.name,
                            "addresses": list(item.addresses)})
    return _drop_empty({
        "kind": "service", "zone": item.zone, "namespace": item.namespace, "name": item.name, "type": item.kind.value,
        "addresses": list(item.addresses), "externalName": item.external_name,
        "presented": list(item.presented) if item.presented != item.addresses else [],
        "ports": [_port_to_json(port) for port in item.ports],
        "groups": [_group_to_json(group) for group in item.groups]})


def _drop_empty(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value not in ("", [], 0, None)}


def _port_to_json(port: Port) -> dict[str, Any]:
    return _drop_empty({"name": port.name, "protocol": port.protocol, "port": port.port,
                        "appProtocol": port.app_protocol})


def _group_to_json(group: EndpointGroup) -> dict[str, Any]:
    return _drop_empty({"cluster": group.cluster, "locality": group.locality, "priority": group.priority,
                        "ports": [_port_to_json(port) for port in group.ports],
                        "endpoints": [_endpoint_to_json(endpoint) for endpoint in group.endpoints]})


def _endpoint_to_json(endpoint: Endpoint) -> dict[str, Any]:
    fields = _drop_empty({"address": endpoint.address, "hostname": endpoint.hostname, "pod": endpoint.pod})
    if not endpoint.ready:
        fields["ready"] = False
    if endpoint.claim is not Claim.POD:
        fields["claim"] = endpoint.claim.value
    if endpoint.draining:
        fields["draining"] = True
    return fields


class _Fields:
    """Typed access to one untrusted JSON object; every surprise is `BadMessage`."""

    def __init__(self, value: object, what: str) -> None:
        if not isinstance(value, dict):
            raise BadMessage(f"{what}: expected an object")
        self._value: dict[str, Any] = value
        self._what = what

    def value(self, name: str, default: str | None = None) -> object:
        """The field as it is, unchecked."""
        return self._value.get(name, default)

    def text(self, name: str, default: str | None = None) -> str:
        value = self._value.get(name, default)
        if not isinstance(value, str) or not is_plain(value):
            raise BadMessage(f"{self._what}.{name}: expected printable ASCII of at most {MAX_TEXT} characters")
        return value

    def label(self, name: str, default: str | None = None) -> str:
        """A DNS label; interned, for thousands of items repeat the same few."""
        value = self._value.get(name, default)
        if isinstance(value, str) and (value == default or is_label(value)):
            return sys.intern(value)
        raise BadMessage(f"{self._what}.{name}: expected a DNS label")

    def subdomain(self, name: str, default: str | None = None) -> str:
        value = self._value.get(name, default)
        if isinstance(value, str) and (value == default or is_subdomain(value)):
            return value
        raise BadMessage(f"{self._what}.{name}: expected a DNS name")

    def apex(self, name: str) -> str:
        value = self.text(name)
        if not is_apex(value):
            raise BadMessage(f"{self._what}.{name}: expected a zone's DNS name")
        return sys.intern(value)

    def number(self, name: str, limit: int, default: int | None = None) -> int:
        value = self._value.get(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= limit:
            raise BadMessage(f"{self._what}.{name}: expected a whole number up to {limit}")
        return value

    def flag(self, name: str, default: bool) -> bool:
        value = self._value.get(name, default)
        if not isinstance(value, bool):
            raise BadMessage(f"{self._what}.{name}: expected true or false")
        return value

    def hash(self, name: str) -> int:
        value = self._value.get(name)
        if not isinstance(value, str) or not _HASH.fullmatch(value):
            raise BadMessage(f"{self._what}.{name}: expected 16 hexadecimal digits")
        return int(value, 16)

    def items(self, name: str) -> list[Any]:
        value = self._value.get(name, [])
        if not isinstance(value, list):
            raise BadMessage(f"{self._what}.{name}: expected a list")
        return value

    def addresses(self, name: str) -> tuple[str, ...]:
        return tuple(_address(value, f"{self._what}.{name}") for value in self.items(name))

    def prefixes(self, name: str) -> tuple[str, ...]:
        values = self.items(name)
        if len(values) > MAX_PREFIXES:
            raise BadMessage(f"{self._what}.{name}: more than {MAX_PREFIXES}")
        if not all(isinstance(value, str) and "%" not in value for value in values):
            raise BadMessage(f"{self._what}.{name}: expected prefixes")
        try:
            return tuple(str(ipaddress.ip_network(value)) for value in values)
        except ValueError as error:
            raise BadMessage(f"{self._what}.{name}: {error}") from error


def _address(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise BadMessage(f"{what}: expected an IP address")
    try:
        return canonical_address(value)
    except ValueError as error:
        raise BadMessage(f"{what}: {error}") from error


def item_from_json_untrusted(value: object) -> Item:
    """An item of JSON from outside; raises `BadMessage`."""
    fields = _Fields(value, "item")
    kind = fields.text("kind")
    try:
        if kind == "zone":
            return Zone(fields.apex("apex"), ZoneKind(fields.text("schema")),
                        fields.prefixes("serviceCIDRs"), fields.prefixes("podCIDRs"))
        if kind == "namespace":
            return Namespace(fields.label("name"))
        if kind == "pod":
            return Pod(fields.label("namespace"), fields.subdomain("name"), fields.addresses("addresses"))
        if kind == "service":
            return _service(fields)
    except ValueError as error:
        raise error if isinstance(error, BadMessage) else BadMessage(f"item: {error}") from error
    raise BadMessage(f"item.kind: {kind!r} is unknown")


def _service(fields: _Fields) -> Service:
    addresses = fields.addresses("addresses")
    return Service(fields.apex("zone"), fields.label("namespace"), fields.label("name"),
                   ServiceKind(fields.text("type")), addresses, fields.addresses("presented") or addresses,
                   fields.subdomain("externalName", ""), tuple(_port(port) for port in fields.items("ports")),
                   tuple(_group(group) for group in fields.items("groups")))


def _port(value: object) -> Port:
    fields = _Fields(value, "port")
    protocol = fields.text("protocol")
    if protocol not in PROTOCOLS:
        raise BadMessage(f"port.protocol: expected one of {', '.join(PROTOCOLS)}")
    return Port(fields.label("name", ""), sys.intern(protocol), fields.number("port", 65535, 0),
                sys.intern(fields.text("appProtocol", "")))


def _group(value: object) -> EndpointGroup:
    fields = _Fields(value, "group")
    return EndpointGroup(fields.label("cluster", ""), sys.intern(fields.text("locality", "")),
                         fields.number("priority", MAX_PRIORITY, 0),
                         tuple(_port(port) for port in fields.items("ports")),
                         tuple(_endpoint(endpoint) for endpoint in fields.items("endpoints")))


def _endpoint(value: object) -> Endpoint:
    fields = _Fields(value, "endpoint")
    return Endpoint(_address(fields.value("address"), "endpoint.address"), fields.label("hostname", ""),
                    fields.flag("ready", True), Claim(fields.text("claim", Claim.POD.value)), _pod(fields),
                    fields.flag("draining", False))


def _pod(fields: _Fields) -> str:
    value = fields.value("pod", "")
    namespace, slash, name = value.partition("/") if isinstance(value, str) else ("", "", "")
    if value != "" and not (slash and is_label(namespace) and is_subdomain(name)):
        raise BadMessage("endpoint.pod: expected namespace/name")
    return str(value)


def item_text(item: Item) -> str:
    """The canonical JSON of an item."""
    return _dump(item_to_json(item))


def item_hash(item: Item) -> int:
    """64 bits of BLAKE2b over the canonical JSON."""
    return text_hash(item_text(item))


def text_hash(text: str) -> int:
    """64 bits of BLAKE2b over an item's canonical JSON."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def hash_of(items: Iterable[Item]) -> int:
    """The sum of the items' hashes modulo 2^64: the same in any order, and cheap to keep up to date."""
    return sum(item_hash(item) for item in items) & HASH_MASK


# --- messages ---


def encode(message: Message) -> bytes:
    """One line of UTF-8 JSON with its newline."""
    if isinstance(message, ListItem):
        return message.line or item_line(item_text(message.item))
    if isinstance(message, ChangeSet):
        return message.line or change_line(message.rev, message.prev, map(operation_text, message.changes))
    return (_dump(_message_to_json(message)) + "\n").encode()


def item_line(text: str) -> bytes:
    """The line of a ListItem with this canonical JSON."""
    return f'{{"item":{text},"type":"ITEM"}}\n'.encode()


def change_line(rev: int, prev: int, operations: Iterable[str]) -> bytes:
    """The line of a ChangeSet with these operations (`operation_text`)."""
    return f'{{"ops":[{",".join(operations)}],"prev":{prev},"rev":{rev},"type":"CHANGE"}}\n'.encode()


def operation_text(change: Change) -> str:
    """One change as JSON."""
    if isinstance(change, Put):
        return f'{{"put":{item_text(change.item)}}}'
    return _dump({"delete": list(change.key)})


def _message_to_json(message: ListHead | ListEnd | Mark | Gone) -> dict[str, Any]:
    if isinstance(message, ListHead):
        return {"type": "LIST", "epoch": message.epoch, "rev": message.rev, "count": message.count}
    if isinstance(message, ListEnd):
        return {"type": "LISTED", "rev": message.rev, "hash": f"{message.hash:016x}"}
    if isinstance(message, Mark):
        return {"type": "MARK", "rev": message.rev, "count": message.count, "hash": f"{message.hash:016x}",
                "stale": message.stale}
    return {"type": "GONE", "reason": message.reason}


def decode_untrusted(line: bytes) -> Message:
    """A message of one line; raises `BadMessage` and nothing else. Fields that are not known are passed over."""
    if len(line) > MAX_LINE:
        raise BadMessage(f"a line of {len(line)} bytes; at most {MAX_LINE} are taken")
    try:
        value = json.loads(line.decode())
    except (ValueError, RecursionError) as error:
        raise BadMessage("a line that is not JSON") from error
    fields = _Fields(value, "message")
    build = _BUILDERS.get(fields.text("type"))
    if build is None:
        raise BadMessage("message.type is unknown")
    return build(fields, value)


_REV = (1 << 64) - 1


def _changes(value: Mapping[str, Any], fields: _Fields) -> ChangeSet:
    changes = tuple(_change(operation) for operation in fields.items("ops"))
    return ChangeSet(fields.number("rev", _REV), fields.number("prev", _REV), changes)


def _change(value: object) -> Change:
    fields = _Fields(value, "operation")
    assert isinstance(value, dict)  # _Fields has looked
    if "put" in value:
        return Put(item_from_json_untrusted(value["put"]))
    key = fields.items("delete")
    if len(key) != 4 or not all(isinstance(part, str) and is_plain(part) for part in key):
        raise BadMessage("operation: expected put, or delete with a key of four texts")
    return Delete(_key(key))


def _key(parts: list[str]) -> Key:
    return (parts[0], parts[1], parts[2], parts[3])


_BUILDERS: Final[dict[str, Callable[[_Fields, dict[str, Any]], Message]]] = {
    "LIST": lambda f, v: ListHead(f.text("epoch"), f.number("rev", _REV), f.number("count", 1 << 32)),
    "ITEM": lambda f, v: ListItem(item_from_json_untrusted(v.get("item"))),
    "LISTED": lambda f, v: ListEnd(f.number("rev", _REV), f.hash("hash")),
    "CHANGE": lambda f, v: _changes(v, f),
    "MARK": lambda f, v: Mark(f.number("rev", _REV), f.number("count", 1 << 32), f.hash("hash"), f.flag("stale", False)),
    "GONE": lambda f, v: Gone(f.text("reason")),
}
