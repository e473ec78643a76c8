"""Coalescing, the ring, slow readers, and that every replica ends equal to the source whatever the stream suffers."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpn_directory import publisher as publisher_module
from vpn_directory.codec import decode_untrusted, encode
from vpn_directory.messages import ChangeSet, Gone, Mark
from vpn_directory.model import Delete, Namespace, Pod, Put
from vpn_directory.publisher import COALESCE, MARK_INTERVAL, RING_SECONDS, Publisher, Subscription
from vpn_directory.replica import Replica, ResyncNeeded


def pod(number: int, address: int) -> Pod:
    return Pod("shop", f"p{number}", (f"10.0.0.{address}",))


def test_changes_to_one_item_within_50_ms_are_one() -> None:
    publisher = Publisher("e", now=0.0)
    watcher = publisher.subscribe()
    for step in range(5):
        publisher.apply([Put(pod(1, step + 1))], step * 0.009)
        publisher.poll(step * 0.009)
    assert watcher.take() is None
    assert publisher.next_deadline() == COALESCE
    publisher.poll(COALESCE)
    message = watcher.take()
    assert isinstance(message, ChangeSet)
    assert message.changes == (Put(pod(1, 5)),)


def test_what_changes_nothing_is_not_published() -> None:
    publisher = Publisher("e", now=0.0)
    publisher.apply([Put(Namespace("a")), Delete(Namespace("b").key)], 0.0)
    publisher.flush(0.0)
    publisher.apply([Put(Namespace("a"))], 1.0)
    publisher.flush(1.0)
    assert publisher.rev == 1


def test_resume_needs_the_epoch_and_the_ring() -> None:
    publisher = Publisher("e", now=0.0)
    for second in range(3):
        publisher.apply([Put(pod(1, second + 1))], float(second))
        publisher.flush(float(second))
    assert publisher.resume("other", 1) is None
    assert publisher.resume("e", 4) is None
    resumed = publisher.resume("e", 1)
    assert resumed is not None
    taken = [resumed.take() for _ in range(3)]
    assert [getattr(message, "rev", None) for message in taken] == [2, 3, 3]
    publisher.apply([Put(pod(1, 9))], RING_SECONDS + 10)
    publisher.flush(RING_SECONDS + 10)
    assert publisher.resume("e", 1) is None


def test_a_reader_that_falls_behind_is_told_to_list_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher_module, "MAX_QUEUED", 3)
    publisher = Publisher("e", now=0.0)
    slow = publisher.subscribe()
    for second in range(6):
        publisher.apply([Put(pod(1, second + 1))], float(second))
        publisher.flush(float(second))
    assert isinstance(slow.take(), Gone)
    assert slow.ended
    assert publisher._subscriptions == []


def test_marks_come_regularly_and_say_when_the_source_is_lost() -> None:
    publisher = Publisher("e", now=0.0)
    watcher = publisher.subscribe()
    publisher.poll(MARK_INTERVAL)
    assert isinstance(watcher.take(), Mark)
    publisher.set_stale(True)
    mark = watcher.take()
    assert isinstance(mark, Mark)
    assert mark.stale


class Stream:
    """One client: a subscription whose lines may be lost, and which lists again when told."""

    def __init__(self, publisher: Publisher, now: float) -> None:
        self.replica = Replica()
        self.folded: dict[object, object] = {}
        self.connect(publisher, now)

    def connect(self, publisher: Publisher, now: float) -> None:
        resumed = publisher.resume(self.replica.epoch, self.replica.rev) if self.replica.synced else None
        self.subscription: Subscription = resumed or publisher.subscribe()
        if resumed is None:
            for message in publisher.listing():
                self.feed(encode(message), now)

    def feed(self, line: bytes, now: float) -> None:
        for change in self.replica.receive(decode_untrusted(line), now):
            if isinstance(change, Put):
                self.folded[change.item.key] = change.item
            else:
                self.folded.pop(change.key, None)

    def drain(self, publisher: Publisher, now: float, rng: random.Random, loss: float) -> None:
        while (message := self.subscription.take()) is not None:
            if rng.random() < loss:
                continue
            try:
                self.feed(encode(message), now)
            except ResyncNeeded:
                publisher.unsubscribe(self.subscription)
                self.replica.synced = False
                self.connect(publisher, now)


@given(st.lists(st.tuples(st.sampled_from("pdbrne"), st.integers(1, 5), st.integers(1, 5)), max_size=60), st.integers(0, 2**32))
def test_any_sequence_of_changes_losses_and_reconnects_ends_equal(steps: list[tuple[str, int, int]], seed: int) -> None:
    rng, now = random.Random(seed), 0.0
    publisher = Publisher("e0", now=now)
    client = Stream(publisher, now)
    for what, number, address in steps:
        now += rng.choice([0.01, 0.06, 6.0])
        if what == "p":
            publisher.apply([Put(pod(number, address))], now)
        elif what == "d":
            publisher.apply([Delete(pod(number, 1).key)], now)
        elif what in "br":
            client.replica.lost(now)
            publisher.unsubscribe(client.subscription)
            client.connect(publisher, now)
        elif what == "e":
            items = list(publisher.items.values())
            publisher = Publisher(f"e{now}", now=now)
            publisher.apply([Put(item) for item in items], now)
            publisher.flush(now)
            client.replica.lost(now)
            client.connect(publisher, now)
        publisher.poll(now)
        client.drain(publisher, now, rng, 0.2)
    for _ in range(3):
        now += MARK_INTERVAL
        publisher.poll(now)
        client.drain(publisher, now, rng, 0.0)
    assert dict(client.replica.items) == publisher.items == client.folded
