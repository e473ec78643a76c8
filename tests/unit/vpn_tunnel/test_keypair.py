"""The three slots, as the paper moves them."""

from __future__ import annotations

import os

from vpn_tunnel.constants import REJECT_AFTER_MESSAGES
from vpn_tunnel.keypair import Keypair, Keypairs
from vpn_tunnel.noise import SessionKeys


def pair(number: int, *, initiator: bool) -> Keypair:
    return Keypair(SessionKeys(os.urandom(32), os.urandom(32), number, number, initiator, b""), 1, 0.0)


def test_an_initiator_uses_its_new_keys_at_once_and_keeps_the_previous() -> None:
    slots, one, two, three = Keypairs(), *(pair(n, initiator=True) for n in (1, 2, 3))
    assert slots.install(one) == []
    assert slots.install(two) == []
    assert (slots.current, slots.previous) == (two, one)
    assert slots.install(three) == [one]


def test_a_responder_waits_for_the_first_packet() -> None:
    slots, one, two = Keypairs(), pair(1, initiator=True), pair(2, initiator=False)
    slots.install(one)
    slots.install(two)
    assert (slots.current, slots.next) == (one, two)
    assert slots.confirm(one) == []
    assert slots.confirm(two) == []
    assert (slots.current, slots.previous, slots.next) == (two, one, None)


def test_an_unconfirmed_keypair_becomes_previous_when_we_initiate() -> None:
    slots, theirs, ours = Keypairs(), pair(1, initiator=False), pair(2, initiator=True)
    slots.install(theirs)
    slots.install(ours)
    assert (slots.current, slots.previous, slots.next) == (ours, theirs, None)
    assert set(slots.clear()) == {ours, theirs}
    assert slots.all() == []


def test_age_and_count_end_sending() -> None:
    keys = pair(1, initiator=True)
    assert keys.may_send(179.9)
    assert not keys.may_send(180.0)
    keys.send_counter = REJECT_AFTER_MESSAGES
    assert not keys.may_send(1.0)
    assert repr(keys).count("0x") == 2
