"""Messages and items between values and JSON lines.

Owns the wire form, the limits on it, and the hash by which both sides compare what they hold. An item's JSON is canonical
(sorted keys, defaults left out), so equal items have equal bytes.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
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

MAX_LINE: Final = 8 << 20  # bytes: one service with some 100,000 endpoints
MAX_NAME: Final = 253  # characters of any name
MAX_PREFIXES: Final = 64  # CIDRs of one zone
HASH_MASK: Final = (1 << 64) - 1

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
    return fields


class _Fields:
    """Typed access to one untrusted JSON object; every surprise is `BadMessage`."""

    def __init__(self, value: object, what: str) -> None:
        if not isinstance(value, dict):
            raise BadMessage(f"{what}: expected an object")
        self._value: dict[str, Any] = value
        self._what = what

    def text(self, name: str, default: str | None = None) -> str:
        value = self._value.get(name, default)
        if not isinstance(value, str) or len(value) > MAX_NAME:
            raise BadMessage(f"{self._what}.{name}: expected text of at most {MAX_NAME} characters")
        return value

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
        try:
            return int(self.text(name), 16) & HASH_MASK
        except ValueError as error:
            raise BadMessage(f"{self._what}.{name}: expected a hexadecimal number") from error

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
        try:
            return tuple(str(ipaddress.ip_network(str(value))) for value in values)
        except ValueError as error:
            raise BadMessage(f"{self._what}.{name}: {error}") from error


def _address(value: object, what: str) -> str:
    try:
        return str(ipaddress.ip_address(value)) if isinstance(value, str) else _refuse(what)
    except ValueError as error:
        raise BadMessage(f"{what}: expected an IP address") from error


def _refuse(what: str) -> str:
    raise BadMessage(f"{what}: expected an IP address")


def item_from_json_untrusted(value: object) -> Item:
    """An item of JSON from outside; raises `BadMessage`."""
    fields = _Fields(value, "item")
    kind = fields.text("kind")
    try:
        if kind == "zone":
            return Zone(fields.text("apex"), ZoneKind(fields.text("schema")), fields.prefixes("serviceCIDRs"),
                        fields.prefixes("podCIDRs"))
        if kind == "namespace":
            return Namespace(fields.text("name"))
        if kind == "pod":
            return Pod(fields.text("namespace"), fields.text("name"), fields.addresses("addresses"))
        if kind == "service":
            return _service(fields)
    except ValueError as error:
        raise error if isinstance(error, BadMessage) else BadMessage(f"item: {error}") from error
    raise BadMessage(f"item.kind: {kind!r} is unknown")


def _service(fields: _Fields) -> Service:
    addresses = fields.addresses("addresses")
    return Service(fields.text("zone"), fields.text("namespace"), fields.text("name"), ServiceKind(fields.text("type")),
                   addresses, fields.addresses("presented") or addresses, fields.text("externalName", ""),
                   tuple(_port(port) for port in fields.items("ports")),
                   tuple(_group(group) for group in fields.items("groups")))


def _port(value: object) -> Port:
    fields = _Fields(value, "port")
    return Port(fields.text("name", ""), fields.text("protocol"), fields.number("port", 65535, 0),
                fields.text("appProtocol", ""))


def _group(value: object) -> EndpointGroup:
    fields = _Fields(value, "group")
    return EndpointGroup(fields.text("cluster", ""), fields.text("locality", ""), fields.number("priority", 1 << 16, 0),
                         tuple(_port(port) for port in fields.items("ports")),
                         tuple(_endpoint(endpoint) for endpoint in fields.items("endpoints")))


def _endpoint(value: object) -> Endpoint:
    fields = _Fields(value, "endpoint")
    return Endpoint(_address(fields.text("address"), "endpoint.address"), fields.text("hostname", ""),
                    fields.flag("ready", True), Claim(fields.text("claim", Claim.POD.value)), fields.text("pod", ""))


def item_hash(item: Item) -> int:
    """64 bits of BLAKE2b over the canonical JSON."""
    return int.from_bytes(hashlib.blake2b(_dump(item_to_json(item)).encode(), digest_size=8).digest(), "big")


def hash_of(items: Iterable[Item]) -> int:
    """The sum of the items' hashes modulo 2^64: the same in any order, and cheap to keep up to date."""
    return sum(item_hash(item) for item in items) & HASH_MASK


# --- messages ---


def encode(message: Message) -> bytes:
    """One line of UTF-8 JSON with its newline."""
    return (_dump(_message_to_json(message)) + "\n").encode()


def _message_to_json(message: Message) -> dict[str, Any]:
    if isinstance(message, ListHead):
        return {"type": "LIST", "epoch": message.epoch, "rev": message.rev, "count": message.count}
    if isinstance(message, ListItem):
        return {"type": "ITEM", "item": item_to_json(message.item)}
    if isinstance(message, ListEnd):
        return {"type": "LISTED", "rev": message.rev, "hash": f"{message.hash:016x}"}
    if isinstance(message, ChangeSet):
        return {"type": "CHANGE", "rev": message.rev, "prev": message.prev,
                "ops": [_change_to_json(change) for change in message.changes]}
    if isinstance(message, Mark):
        return {"type": "MARK", "rev": message.rev, "count": message.count, "hash": f"{message.hash:016x}",
                "stale": message.stale}
    return {"type": "GONE", "reason": message.reason}


def _change_to_json(change: Change) -> dict[str, Any]:
    return {"put": item_to_json(change.item)} if isinstance(change, Put) else {"delete": list(change.key)}


def decode_untrusted(line: bytes) -> Message:
    """A message of one line; raises `BadMessage` and nothing else."""
    if len(line) > MAX_LINE:
        raise BadMessage(f"a line of {len(line)} bytes; at most {MAX_LINE} are taken")
    try:
        value = json.loads(line)
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
    if len(key) != 4 or not all(isinstance(part, str) and len(part) <= MAX_NAME for part in key):
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
