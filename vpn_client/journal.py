"""What a session has changed on the host, as values that say how to undo it.

Owns the entries, their JSON form and the order of undoing. Leaves to others: storing them (`journal_file`), undoing
them (`linux_undo`). An entry is written before its change is made, so undoing must bear that the change never was.
Entries hold no secrets: names, addresses and the host's own resolver file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, TypeAlias

VERSION: Final = 1
MAX_LINE: Final = 1 << 20
"""Bytes of one line; a resolver file is the largest thing in it."""


class BadEntry(ValueError):
    """A line of a journal that cannot be understood."""


@dataclass(frozen=True, slots=True)
class Device:
    """A TUN will be opened. Undo: delete the link if it carries our alias; normally it died with the process."""

    interface: str


@dataclass(frozen=True, slots=True)
class Link:
    """MTU and up/down of our link will be set. Undo: set them back."""

    interface: str
    mtu: int
    up: bool


@dataclass(frozen=True, slots=True)
class AddressAdded:
    """An address will be added to our link. Undo: remove it."""

    interface: str
    address: str


@dataclass(frozen=True, slots=True)
class Routes:
    """Routes with our protocol number will come and go on our link. Undo: flush them; so one entry is enough."""

    interface: str


@dataclass(frozen=True, slots=True)
class Firewall:
    """Our nftables table (family inet) will be made. Undo: delete it."""

    table: str


@dataclass(frozen=True, slots=True)
class ResolvedLink:
    """systemd-resolved will get settings for our link. Undo: revert the link."""

    interface: str


@dataclass(frozen=True, slots=True)
class Resolvconf:
    """A record will be given to resolvconf. Undo: delete the record."""

    record: str


@dataclass(frozen=True, slots=True)
class DropIn:
    """A file will be added for NetworkManager's dnsmasq. Undo: delete it and reload."""

    path: str


@dataclass(frozen=True, slots=True)
class ResolverFile:
    """A resolv.conf will be replaced. Undo: put back what was there, unless someone else has written it since."""

    path: str
    kind: str
    """`file`, `symlink` or `missing`: what was there."""
    before: str
    """The content as Latin-1 text, so that any byte survives; a link's target."""
    ours: str
    """What we write, in the same form."""
    mode: int = 0o644
    uid: int = 0
    gid: int = 0


Entry: TypeAlias = Device | Link | AddressAdded | Routes | Firewall | ResolvedLink | Resolvconf | DropIn | ResolverFile

_KINDS: Final[dict[str, type[Entry]]] = {kind.__name__: kind for kind in (
    Device, Link, AddressAdded, Routes, Firewall, ResolvedLink, Resolvconf, DropIn, ResolverFile)}
_TYPES: Final = {"str": str, "int": int, "bool": bool}


def encode(session: str, entry: Entry) -> bytes:
    """One line, with its end."""
    line = {"version": VERSION, "session": session, "change": type(entry).__name__, **asdict(entry)}
    return json.dumps(line, separators=(",", ":")).encode() + b"\n"


def decode_untrusted(line: bytes) -> tuple[str, Entry]:
    """(session, entry) of one line; BadEntry for anything else."""
    try:
        raw = json.loads(line) if len(line) <= MAX_LINE else None
    except (ValueError, RecursionError):
        raw = None
    if not isinstance(raw, dict) or raw.get("version") != VERSION:
        raise BadEntry("not a journal entry of this version")
    session, kind = raw.get("session"), _KINDS.get(str(raw.get("change")))
    if not isinstance(session, str) or kind is None:
        raise BadEntry("no session or an unknown change")
    values = {field.name: _value(raw, field.name, str(field.type)) for field in fields(kind)}
    if set(raw) != {"version", "session", "change", *values}:
        raise BadEntry("unknown fields")
    return session, kind(**values)


def _value(raw: dict[str, Any], name: str, wanted: str) -> Any:
    value = raw.get(name)
    if type(value) is not _TYPES[wanted]:
        raise BadEntry(f"field {name} is not {wanted}")
    return value


def decode_all(data: bytes) -> tuple[list[Entry], int]:
    """(entries, bad lines) of a journal's bytes.

    A last line without its end was being written when the writer died: its change was never made, so it counts as
    nothing.
    """
    entries, bad = [], 0
    for line in data.split(b"\n")[:-1]:
        try:
            entries.append(decode_untrusted(line)[1])
        except BadEntry:
            bad += 1
    return entries, bad


def undo_order(entries: Iterable[Entry]) -> list[Entry]:
    """Newest first, each once: undoing is idempotent, so of equal entries the oldest place counts."""
    return list(dict.fromkeys(entries))[::-1]
