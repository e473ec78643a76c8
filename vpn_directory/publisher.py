"""The gateway's half of directory sync: revisions, a ring of changes to resume from, marks. No I/O; `now` in seconds.

Owns epoch and revision, coalescing (changes to one item within 50 ms are one), and each subscription's bounded queue: who
does not keep up is told to list again, and never slows others down. Leaves the wire to the control API.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

from vpn_directory.codec import HASH_MASK, item_hash
from vpn_directory.messages import ChangeSet, Gone, ListEnd, ListHead, ListItem, Mark, Message
from vpn_directory.model import Change, Item, Key, Put

COALESCE: Final = 0.05  # seconds
RING_CHANGES: Final = 65_536  # changes
RING_SECONDS: Final = 60.0
MARK_INTERVAL: Final = 5.0  # seconds
MAX_QUEUED: Final = 16_384  # changes that one subscription may be behind


class Subscription:
    """One watcher's queue. Take messages whenever there is room to write them."""

    def __init__(self) -> None:
        self._queue: deque[Message] = deque()
        self._changes = 0
        self.ended = False

    def push(self, message: Message) -> None:
        """Queue a message; a queue that would grow past its limit is replaced by the order to list again."""
        if self.ended:
            return
        self._changes += len(message.changes) if isinstance(message, ChangeSet) else 0
        if self._changes > MAX_QUEUED:
            self._queue.clear()
            self._queue.append(Gone("the client reads too slowly"))
            self.ended = True
            return
        self._queue.append(message)

    def take(self) -> Message | None:
        """The oldest message."""
        if not self._queue:
            return None
        message = self._queue.popleft()
        self._changes -= len(message.changes) if isinstance(message, ChangeSet) else 0
        return message


class Publisher:
    """The items in force and everyone who follows them."""

    def __init__(self, epoch: str, *, now: float) -> None:
        self.epoch = epoch
        self.rev = 0
        self.stale = False
        self._items: dict[Key, Item] = {}
        self._hash = 0
        self._pending: dict[Key, Change] = {}
        self._pending_since: float | None = None
        self._ring: deque[tuple[float, ChangeSet]] = deque()
        self._ring_changes = 0
        self._subscriptions: list[Subscription] = []
        self._marked = now

    @property
    def items(self) -> dict[Key, Item]:
        """What is published; do not change it."""
        return self._items

    def apply(self, changes: Iterable[Change], now: float) -> None:
        """Take changes in; they are published by `poll` at most 50 ms later, the last one of each item."""
        for change in changes:
            self._pending[change.item.key if isinstance(change, Put) else change.key] = change
        if self._pending and self._pending_since is None:
            self._pending_since = now

    def next_deadline(self) -> float:
        """When to call `poll`."""
        mark = self._marked + MARK_INTERVAL
        return mark if self._pending_since is None else min(mark, self._pending_since + COALESCE)

    def poll(self, now: float) -> None:
        """Publish what is due."""
        if self._pending_since is not None and now >= self._pending_since + COALESCE:
            self.flush(now)
        if now >= self._marked + MARK_INTERVAL:
            self._marked = now
            self._tell(self._mark())

    def flush(self, now: float) -> None:
        """Publish everything pending now."""
        changes = tuple(change for change in self._pending.values() if self._take_in(change))
        self._pending.clear()
        self._pending_since = None
        if not changes:
            return
        change_set = ChangeSet(self.rev + 1, self.rev, changes)
        self.rev += 1
        self._ring.append((now, change_set))
        self._ring_changes += len(changes)
        self._trim(now)
        self._tell(change_set)

    def _take_in(self, change: Change) -> bool:
        key = change.item.key if isinstance(change, Put) else change.key
        before = self._items.get(key)
        after = change.item if isinstance(change, Put) else None
        if before == after:
            return False
        if before is not None:
            self._hash = (self._hash - item_hash(before)) & HASH_MASK
            del self._items[key]
        if after is not None:
            self._hash = (self._hash + item_hash(after)) & HASH_MASK
            self._items[key] = after
        return True

    def _trim(self, now: float) -> None:
        while self._ring and (self._ring_changes > RING_CHANGES or now - self._ring[0][0] > RING_SECONDS):
            self._ring_changes -= len(self._ring.popleft()[1].changes)

    def _mark(self) -> Mark:
        return Mark(self.rev, len(self._items), self._hash, self.stale)

    def _tell(self, message: Message) -> None:
        for subscription in self._subscriptions:
            subscription.push(message)
        self._subscriptions = [s for s in self._subscriptions if not s.ended]

    def set_stale(self, stale: bool) -> None:
        """The object source was lost, or is back; watchers hear it at once."""
        if stale != self.stale:
            self.stale = stale
            self._tell(self._mark())

    def listing(self) -> list[Message]:
        """The full state as messages, a mark at its end."""
        head = ListHead(self.epoch, self.rev, len(self._items))
        return [head, *(ListItem(item) for item in self._items.values()), ListEnd(self.rev, self._hash), self._mark()]

    def subscribe(self) -> Subscription:
        """Everything that is published from now on."""
        subscription = Subscription()
        self._subscriptions.append(subscription)
        return subscription

    def resume(self, epoch: str, rev: int) -> Subscription | None:
        """Everything since `rev`; None when the ring does not reach back that far, or the epoch is another."""
        if epoch != self.epoch or rev > self.rev or (rev < self.rev and (not self._ring or self._ring[0][1].prev > rev)):
            return None
        subscription = self.subscribe()
        for _, change_set in self._ring:
            if change_set.prev >= rev:
                subscription.push(change_set)
        subscription.push(self._mark())
        return None if subscription.ended else subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """The watcher is gone."""
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)


