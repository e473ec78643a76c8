"""What a gateway tells a client, as values: one listing, then changes and marks (docs/directory-protocol.md)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from vpn_directory.model import Change, Item


@dataclass(frozen=True, slots=True)
class ListHead:
    """A full listing of `count` items follows, the state at revision `rev` of `epoch`."""

    epoch: str
    rev: int
    count: int


@dataclass(frozen=True, slots=True)
class ListItem:
    """One item of the listing."""

    item: Item
    line: bytes = field(default=b"", compare=False, repr=False)
    """Its encoding, if that is at hand: a gateway sends the same line to every client."""


@dataclass(frozen=True, slots=True)
class ListEnd:
    """The listing is complete; `hash` is over all of it."""

    rev: int
    hash: int


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """Everything that changed between revisions `prev` and `rev`."""

    rev: int
    prev: int
    changes: tuple[Change, ...]
    line: bytes = field(default=b"", compare=False, repr=False)
    """Its encoding, if that is at hand."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Sent every few seconds: proves that the stream lives and that both sides hold the same items."""

    rev: int
    count: int
    hash: int
    stale: bool
    """The gateway has lost its object source and serves what it knew last."""


@dataclass(frozen=True, slots=True)
class Gone:
    """The stream cannot go on from where the client is; it must ask for a listing."""

    reason: str


Message: TypeAlias = ListHead | ListItem | ListEnd | ChangeSet | Mark | Gone


class BadMessage(ValueError):
    """Bytes that are no message of this protocol. The only exception of `decode_untrusted`."""
