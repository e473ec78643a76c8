"""The limited `up` intent: everything a caller may ask of kvpnd, and nothing that could run a command.

Owns its shape, its limits and its JSON form. Leaves to others: whether the routes and suffixes are allowed (`bounds`),
where the values come from (`profile`; later an enrolment), who may send one (`control_socket`).
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

DEFAULT_SESSION: Final = "default"
DEFAULT_MTU: Final = 1420
"""Bytes; WireGuard's 80 bytes of overhead below an Ethernet path of 1500."""
MIN_MTU: Final = 1280
"""Bytes; IPv6 needs it (RFC 8200 §5)."""
MAX_MTU: Final = 9000
MAX_ADDRESSES: Final = 2
"""One per family."""
MAX_ENDPOINTS: Final = 16
"""Each initiation goes to every candidate."""
MAX_ROUTES: Final = 256
"""Prefixes in `include` and in `exclude`; they come from a person."""
MAX_TEXT: Final = 4096
"""Characters of any one text."""
MAX_KEEPALIVE: Final = 65535
"""Seconds; the protocol's own limit."""

_SESSION: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")
_LABEL: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?")


class BadIntent(ValueError):
    """One field of an intent is wrong: which, why, and what to write instead."""

    def __init__(self, name: str, why: str, fix: str) -> None:
        super().__init__(f"{name}: {why}; {fix}")
        self.name = name
        self.why = why
        self.fix = fix


@dataclass(frozen=True, slots=True)
class Intent:
    """One session as asked for. Keys are base64 and never shown."""

    session: str
    profile: str
    """What people call it: the profile's file name."""
    private_key: str = field(repr=False)
    addresses: tuple[str, ...]
    """Our tunnel addresses, one per family at most."""
    gateway_public_key: str
    gateway_address: str
    """The control API's tunnel address."""
    endpoints: tuple[str, ...]
    """Candidates, `host:port` with a literal address."""
    preshared_key: str = field(default="", repr=False)
    mtu: int = DEFAULT_MTU
    """Bytes; an upper bound, the path may have less."""
    persistent_keepalive: int = 25
    """Seconds; 0 is off."""
    cluster_domain: str = "cluster.local"
    clusterset_domain: str = ""
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    @property
    def suffixes(self) -> tuple[str, ...]:
        """The DNS suffixes that this intent approves."""
        return tuple(filter(None, (self.cluster_domain, self.clusterset_domain)))

    def same_session(self, other: Intent) -> bool:
        """Whether both ask for the very same thing, whatever the profile is called."""
        return {**asdict(self), "profile": ""} == {**asdict(other), "profile": ""}


def to_json(intent: Intent) -> dict[str, Any]:
    """The form that crosses the control socket; it holds the private key."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(intent).items()}


def parse_intent_untrusted(raw: Mapping[str, Any]) -> Intent:
    """The intent in a decoded JSON object; BadIntent for anything else."""
    unknown = sorted(set(raw) - set(_PARSERS))
    if unknown:
        raise BadIntent(_short(unknown[0]), "unknown field", "remove it")
    missing = sorted({"session", "profile", "private_key", "addresses", "gateway_public_key", "gateway_address",
                      "endpoints"} - set(raw))
    if missing:
        raise BadIntent(missing[0], "missing", "add it")
    return Intent(**{name: _PARSERS[name](name, value) for name, value in raw.items()})


def parse_endpoint(text: str) -> tuple[str, int]:
    """`192.0.2.1:51820` or `[2001:db8::1]:51820` → (host, port); the host may be a name. ValueError otherwise."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError("not host:port with a port of 1 to 65535")
    if host.startswith("[") and host.endswith("]"):
        return str(ipaddress.IPv6Address(host[1:-1])), int(port)
    if not host or ":" in host:
        raise ValueError("an IPv6 address needs brackets")
    return host, int(port)


def join_endpoint(host: str, port: int) -> str:
    """The inverse of `parse_endpoint`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:40] + "…"


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT or not value.isprintable():
        raise BadIntent(name, "not a text", "write printable text in quotes")
    return value


def _session(name: str, value: object) -> str:
    if not _SESSION.fullmatch(text := _text(name, value)):
        raise BadIntent(name, f"{_short(text)!r} is not a session name", "use up to 32 of a-z, 0-9 and -")
    return text


def _key(name: str, value: object) -> str:
    text = _text(name, value)
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != 32:
        raise BadIntent(name, "not a WireGuard key", "it is 32 bytes in base64: 44 characters ending in =")
    return text


def _no_key_or_key(name: str, value: object) -> str:
    return "" if value == "" else _key(name, value)


def _without_scope(name: str, value: object) -> str:
    """A text that is to be an address or prefix. Behind a `%` the library takes any text, which would reach `ip` and `nft`."""
    text = _text(name, value)
    if "%" in text:
        raise BadIntent(name, f"{_short(text)!r} has a scope", "write the address without % and what follows")
    return text


def _address(name: str, value: object) -> str:
    text = _without_scope(name, value)
    try:
        one = ipaddress.ip_interface(text)
    except ValueError:
        raise BadIntent(name, f"{_short(text)!r} is not an address", "write it like 198.18.0.2") from None
    if one.network.prefixlen != one.max_prefixlen:
        raise BadIntent(name, f"{_short(text)!r} is a network", "write the address alone")
    return str(one.ip)


def _network(name: str, value: object) -> str:
    text = _without_scope(name, value)
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        raise BadIntent(name, f"{error}", "write a prefix like 10.96.0.0/12") from None


def _endpoint(name: str, value: object) -> str:
    text = _without_scope(name, value)
    try:
        host, port = parse_endpoint(text)
        return join_endpoint(str(ipaddress.ip_address(host)), port)
    except ValueError as error:
        raise BadIntent(name, f"{_short(text)!r}: {error}", "write it like 192.0.2.1:51820") from None


def _domain(name: str, value: object) -> str:
    text = _text(name, value).lower().rstrip(".")
    if len(text) > 253 or not all(_LABEL.fullmatch(label) for label in text.split(".")):
        raise BadIntent(name, f"{_short(text)!r} is not a domain", "write it like cluster.local")
    return text


def _no_domain_or_domain(name: str, value: object) -> str:
    return "" if value == "" else _domain(name, value)


def _list_of(one: Callable[[str, object], str], least: int, most: int) -> Callable[[str, object], tuple[str, ...]]:
    def parse(name: str, value: object) -> tuple[str, ...]:
        if not isinstance(value, (list, tuple)) or not least <= len(value) <= most:
            raise BadIntent(name, "not a list of the right length", f"write a list of {least} to {most}")
        return tuple(one(name, each) for each in value)
    return parse


def _own_addresses(name: str, value: object) -> tuple[str, ...]:
    addresses = _list_of(_address, 1, MAX_ADDRESSES)(name, value)
    if len({":" in address for address in addresses}) != len(addresses):
        raise BadIntent(name, "two addresses of one family", "write one IPv4 and one IPv6 address at most")
    return addresses


def _number(least: int, most: int) -> Callable[[str, object], int]:
    def parse(name: str, value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise BadIntent(name, f"{_short(repr(value))} is out of range", f"write a number from {least} to {most}")
        return value
    return parse


_PARSERS: Final[Mapping[str, Callable[[str, Any], Any]]] = {
    "session": _session,
    "profile": _text,
    "private_key": _key,
    "addresses": _own_addresses,
    "gateway_public_key": _key,
    "gateway_address": _address,
    "endpoints": _list_of(_endpoint, 1, MAX_ENDPOINTS),
    "preshared_key": _no_key_or_key,
    "mtu": _number(MIN_MTU, MAX_MTU),
    "persistent_keepalive": _number(0, MAX_KEEPALIVE),
    "cluster_domain": _domain,
    "clusterset_domain": _no_domain_or_domain,
    "include": _list_of(_network, 0, MAX_ROUTES),
    "exclude": _list_of(_network, 0, MAX_ROUTES),
}
