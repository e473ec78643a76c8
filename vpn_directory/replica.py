"""The client's half of directory sync: a copy that is either in step with the gateway or known not to be. No I/O.

Owns gap and drift detection and the states of DESIGN §6. A new listing is built aside and swapped in whole, so the old copy
serves until the new one is complete; what changed by it comes out as changes, as for any other message. A message either
takes effect whole or raises `ResyncNeeded` and has none, so whoever folds the changes always holds what `items` holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from vpn_directory.codec import HASH_MASK, item_hash
from vpn_directory.messages import ChangeSet, Gone, ListEnd, ListHead, ListItem, Mark, Message
from vpn_directory.model import Change, Delete, Item, Key, Put

SERVE_AFTER_LOSS: Final = 30.0  # seconds that a copy without its gateway still answers
MAX_ITEMS: Final = 1 << 20  # items that a gateway may make us hold


class ReplicaState(StrEnum):
    """What the copy is worth."""

    UNSYNCED = "unsynced"
    """No listing yet: owned names answer SERVFAIL."""
    LIVE = "live"
    STALE = "stale"
    """The gateway is lost since less than 30 s, or has itself lost its object source: served, and marked."""
    EXPIRED = "expired"
    """Without its gateway for 30 s: owned names answer SERVFAIL."""


class ResyncNeeded(Exception):
    """The stream does not fit the copy (gap, drift, or the gateway says so): ask for a full listing."""


class _Aside:
    """A listing while it comes in, compared item by item with what is served, so that its end costs little."""

    def __init__(self, head: ListHead) -> None:
        self.head = head
        self.items: dict[Key, Item] = {}
        self.changed: list[Change] = []
        self.hash = 0

    def add(self, item: Item, served: Item | None) -> None:
        if item.key in self.items or len(self.items) >= min(MAX_ITEMS, self.head.count):
            raise ResyncNeeded("the listing has more than its head says")
        self.items[item.key] = item
        self.hash = (self.hash + item_hash(item)) & HASH_MASK
        if item != served:
            self.changed.append(Put(item))

    def check(self, end: ListEnd) -> None:
        if (end.rev, end.hash) != (self.head.rev, self.hash) or len(self.items) != self.head.count:
            raise ResyncNeeded("the listing is not what its end says")


class Replica:
    """The items as the gateway last told them."""

    def __init__(self) -> None:
        self._items: dict[Key, Item] = {}
        self.items: Mapping[Key, Item] = MappingProxyType(self._items)
        """What is served; always this mapping, whatever happens to the stream."""
        self.epoch = ""
        self.rev = 0
        self.synced = False
        self.source_stale = False
        self._hash = 0
        self._lost_at: float | None = None
        self._aside: _Aside | None = None

    def state(self, now: float) -> ReplicaState:
        """What the copy is worth at `now`."""
        if not self.synced:
            return ReplicaState.UNSYNCED
        if self._lost_at is None:
            return ReplicaState.STALE if self.source_stale else ReplicaState.LIVE
        return ReplicaState.STALE if now - self._lost_at < SERVE_AFTER_LOSS else ReplicaState.EXPIRED

    def expires_at(self) -> float | None:
        """When STALE turns EXPIRED; None while the gateway is there."""
        return None if self._lost_at is None else self._lost_at + SERVE_AFTER_LOSS

    def lost(self, now: float) -> None:
        """The stream broke."""
        self._aside = None
        if self._lost_at is None:
            self._lost_at = now

    def receive(self, message: Message, now: float) -> list[Change]:
        """Take in one message; what it changed here. Raises `ResyncNeeded`, after which only a listing helps."""
        if isinstance(message, ListHead):
            self._aside = _Aside(message)
            return []
        if isinstance(message, ListItem):
            return self._list_item(message)
        if isinstance(message, ListEnd):
            return self._list_end(message)
        if isinstance(message, Gone):
            raise ResyncNeeded(message.reason)
        if not self.synced or self._aside is not None:
            raise ResyncNeeded("a change came before the listing was complete")
        if isinstance(message, ChangeSet):
            return self._change(message)
        return self._mark(message)

    def _list_item(self, message: ListItem) -> list[Change]:
        if self._aside is None:
            raise ResyncNeeded("an item came outside of a listing")
        self._aside.add(message.item, self._items.get(message.item.key))
        return []

    def _list_end(self, message: ListEnd) -> list[Change]:
        aside, self._aside = self._aside, None
        if aside is None:
            raise ResyncNeeded("a listing ended that had not begun")
        aside.check(message)
        gone: list[Change] = [Delete(key) for key in self._items if key not in aside.items]
        self._items.clear()
        self._items.update(aside.items)
        self._hash = aside.hash
        self.epoch, self.rev, self.synced = aside.head.epoch, aside.head.rev, True
        self._lost_at = None
        return gone + aside.changed

    def _change(self, message: ChangeSet) -> list[Change]:
        if message.prev != self.rev or message.rev <= message.prev:
            raise ResyncNeeded(f"a change from revision {message.prev} came at revision {self.rev}")
        if len(self._items) + len(message.changes) > MAX_ITEMS:
            raise ResyncNeeded(f"more than {MAX_ITEMS} items")
        for change in message.changes:
            self._take_in(change)
        self.rev = message.rev
        self._lost_at = None
        return list(message.changes)

    def _take_in(self, change: Change) -> None:
        key = change.item.key if isinstance(change, Put) else change.key
        before = self._items.pop(key, None)
        if before is not None:
            self._hash = (self._hash - item_hash(before)) & HASH_MASK
        if isinstance(change, Put):
            self._hash = (self._hash + item_hash(change.item)) & HASH_MASK
            self._items[key] = change.item

    def _mark(self, message: Mark) -> list[Change]:
        if (message.rev, message.count, message.hash) != (self.rev, len(self._items), self._hash):
            raise ResyncNeeded("the copy has drifted from the gateway's")
        self.source_stale = message.stale
        self._lost_at = None
        return []
