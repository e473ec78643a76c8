"""The gateway's half of directory sync: revisions, a ring to resume from, marks, bounded subscriptions. No I/O; `now` in seconds.

Owns the order of revisions and what a follower gets. Changes to one item within 50 ms become one; a follower that does not
keep up is told to list again, and never slows others down. Every item is encoded once, whoever listens. Leaves the wire to
the control API.

Rule that others must not break: each item's line fits `codec.MAX_LINE` (`kube_objects.MAX_SERVICE` sees to it), and so does
each set of changes, for it is closed when it has grown to `SET_BYTES`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final

from vpn_directory.codec import HASH_MASK, change_line, item_line, item_text, operation_text, text_hash
from vpn_directory.messages import ChangeSet, Gone, ListEnd, ListHead, ListItem, Mark, Message
from vpn_directory.model import Change, Item, Key, Put

COALESCE: Final = 0.05  # seconds
RING_CHANGES: Final = 65_536  # changes
RING_BYTES: Final = 64 << 20  # bytes of encoded changes
RING_SECONDS: Final = 60.0
MARK_INTERVAL: Final = 5.0  # seconds
MAX_QUEUED: Final = 16_384  # changes and marks that one subscription may be behind
MAX_QUEUED_BYTES: Final = 16 << 20  # bytes of encoded changes that one subscription may be behind
SET_BYTES: Final = 128 << 10  # bytes of one set of changes, so that decoding it does not hold up a client for long


class Subscription:
    """One watcher's queue. Take messages whenever there is room to write them."""

    def __init__(self) -> None:
        self._queue: deque[Message] = deque()
        self._queued = 0
        self._bytes = 0
        self.ended = False

    def push(self, message: Message) -> None:
        """Queue a message; a queue that would grow past its limit is replaced by the order to list again."""
        if self.ended:
            return
        self._account(message, 1)
        if self._queued > MAX_QUEUED or self._bytes > MAX_QUEUED_BYTES:
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
        self._account(message, -1)
        return message

    def _account(self, message: Message, sign: int) -> None:
        self._queued += sign * (len(message.changes) if isinstance(message, ChangeSet) else 1)
        self._bytes += sign * (len(message.line) if isinstance(message, ChangeSet) else 0)


class Publisher:
    """The items in force and everyone who follows them."""

    def __init__(self, epoch: str, *, now: float) -> None:
        self.epoch = epoch
        self.rev = 0
        self.stale = False
        self._items: dict[Key, Item] = {}
        self._lines: dict[Key, ListItem] = {}
        self._hash = 0
        self._pending: dict[Key, Change] = {}
        self._pending_since: float | None = None
        self._ring: deque[tuple[float, ChangeSet]] = deque()
        self._ring_changes = 0
        self._ring_bytes = 0
        self._subscriptions: list[Subscription] = []
        self._marked = now
        self.told = 0
        """Messages published so far: whoever writes to followers has something to do when it has grown."""

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
            self._trim(now)
            self._tell(self._mark())

    def flush(self, now: float) -> None:
        """Publish everything pending now: one revision, or several when it is much."""
        pending, self._pending, self._pending_since = self._pending, {}, None
        for changes, operations in self._portions(pending.values()):
            line = change_line(self.rev + 1, self.rev, operations)
            change_set = ChangeSet(self.rev + 1, self.rev, changes, line)
            self.rev += 1
            self._ring.append((now, change_set))
            self._ring_changes += len(changes)
            self._ring_bytes += len(line)
            self._tell(change_set)
        self._trim(now)

    def _portions(self, pending: Iterable[Change]) -> Iterator[tuple[tuple[Change, ...], list[str]]]:
        """What has really changed, in portions that fit a line each."""
        changes: list[Change] = []
        operations: list[str] = []
        size = 0
        for change in pending:
            operation = self._take_in(change)
            if operation is None:
                continue
            if changes and size + len(operation) > SET_BYTES:
                yield tuple(changes), operations
                changes, operations, size = [], [], 0
            changes.append(change)
            operations.append(operation)
            size += len(operation)
        if changes:
            yield tuple(changes), operations

    def _take_in(self, change: Change) -> str | None:
        """Make the change and return it as JSON; None when it changes nothing."""
        key = change.item.key if isinstance(change, Put) else change.key
        before = self._items.get(key)
        after = change.item if isinstance(change, Put) else None
        if before == after:
            return None
        if before is not None:
            self._hash = (self._hash - text_hash(item_text(before))) & HASH_MASK
            del self._items[key], self._lines[key]
        if after is None:
            return operation_text(change)
        text = item_text(after)
        self._hash = (self._hash + text_hash(text)) & HASH_MASK
        self._items[key] = after
        self._lines[key] = ListItem(after, item_line(text))
        return f'{{"put":{text}}}'

    def _trim(self, now: float) -> None:
        while self._ring and (self._ring_changes > RING_CHANGES or self._ring_bytes > RING_BYTES
                              or now - self._ring[0][0] > RING_SECONDS):
            _, change_set = self._ring.popleft()
            self._ring_changes -= len(change_set.changes)
            self._ring_bytes -= len(change_set.line)

    def _mark(self) -> Mark:
        return Mark(self.rev, len(self._items), self._hash, self.stale)

    def _tell(self, message: Message) -> None:
        self.told += 1
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
        return [head, *self._lines.values(), ListEnd(self.rev, self._hash), self._mark()]

    def subscribe(self) -> Subscription:
        """Everything that is published from now on."""
        subscription = Subscription()
        self._subscriptions.append(subscription)
        return subscription

    def resume(self, epoch: str, rev: int) -> Subscription | None:
        """Everything since `rev`; None when the ring does not reach back that far, or the epoch is another."""
        if epoch != self.epoch or rev > self.rev or (rev < self.rev and (not self._ring or self._ring[0][1].prev > rev)):
            return None
        subscription = Subscription()
        for _, change_set in self._ring:
            if change_set.prev >= rev:
                subscription.push(change_set)
        subscription.push(self._mark())
        if subscription.ended:
            return None
        self._subscriptions.append(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """The watcher is gone."""
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)
