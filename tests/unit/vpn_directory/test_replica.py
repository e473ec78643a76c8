"""States and refusals of the client's copy."""

from __future__ import annotations

import pytest

from vpn_directory.codec import hash_of
from vpn_directory.messages import ChangeSet, Gone, ListEnd, ListHead, ListItem, Mark, Message
from vpn_directory.model import Delete, Item, Namespace, Put
from vpn_directory.replica import SERVE_AFTER_LOSS, Replica, ReplicaState, ResyncNeeded

A, B = Namespace("a"), Namespace("b")


def listing(*items: Item, rev: int = 1, epoch: str = "e") -> list[Message]:
    return [ListHead(epoch, rev, len(items)), *map(ListItem, items), ListEnd(rev, hash_of(items))]


def fed(*messages: Message) -> Replica:
    replica = Replica()
    for message in messages:
        replica.receive(message, 0.0)
    return replica


def test_states_over_a_life() -> None:
    replica = Replica()
    assert replica.state(0.0) is ReplicaState.UNSYNCED
    replica = fed(*listing(A))
    assert replica.state(0.0) is ReplicaState.LIVE
    replica.receive(Mark(1, 1, hash_of([A]), True), 0.0)
    assert replica.state(0.0) is ReplicaState.STALE
    replica.lost(10.0)
    assert replica.state(10.0 + SERVE_AFTER_LOSS - 0.1) is ReplicaState.STALE
    assert replica.state(10.0 + SERVE_AFTER_LOSS) is ReplicaState.EXPIRED
    assert replica.expires_at() == 10.0 + SERVE_AFTER_LOSS


def test_a_new_epoch_serves_the_old_copy_until_its_list_is_whole() -> None:
    replica = fed(*listing(A))
    head, item, end = listing(B, epoch="f", rev=9)
    assert replica.receive(head, 0.0) == replica.receive(item, 0.0) == []
    assert list(replica.items.values()) == [A]
    assert replica.receive(end, 0.0) == [Delete(A.key), Put(B)]
    assert (replica.epoch, replica.rev) == ("f", 9)


@pytest.mark.parametrize("message", [ChangeSet(3, 2, ()), ChangeSet(1, 1, ()), Mark(1, 2, hash_of([A]), False),
                                     Mark(1, 1, 0, False), Mark(2, 1, hash_of([A]), False), Gone("x"), ListItem(A),
                                     ListEnd(1, 0)])
def test_what_does_not_fit_asks_for_a_listing(message: Message) -> None:
    with pytest.raises(ResyncNeeded):
        fed(*listing(A), message)


def test_a_listing_is_taken_only_whole() -> None:
    streams: list[list[Message]] = [[ListHead("e", 1, 2), ListItem(A), ListEnd(1, hash_of([A]))],
                                    [ListHead("e", 1, 1), ListItem(A), ListEnd(1, 5)],
                                    [ListHead("e", 1, 1), ListItem(A), ListItem(B)]]
    for broken in streams:
        with pytest.raises(ResyncNeeded):
            fed(*broken)


def test_a_change_is_applied_and_accounted() -> None:
    replica = fed(*listing(A), ChangeSet(2, 1, (Put(B), Delete(A.key))), Mark(2, 1, hash_of([B]), False))
    assert list(replica.items.values()) == [B]
