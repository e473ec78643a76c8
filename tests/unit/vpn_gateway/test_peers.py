"""Peer objects: validation, and the ownership rule under attack."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.vpn_directory.fixtures import located
from tests.unit.vpn_gateway.objects import key, peer
from vpn_directory.kube_fields import ObjectRefused
from vpn_gateway.peers import MAX_PEERS_PER_USER, owners, read_peer, read_peers

EARLY, LATE = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"


def kept(*objects: dict[str, Any], now: float = 0.0) -> list[str]:
    found, refused = read_peers(located(*objects), {})
    assert refused == []
    return [p.name for p in owners(found, now)[0]]


def test_a_whole_peer() -> None:
    read = read_peer(peer("a", created=EARLY, uid="u", username="ada", groups=["dev"], ttlSeconds=3600))
    assert (read.name, read.uid, read.username, str(read.public_key)) == ("a", "u", "ada", key("a"))
    assert read.expires == 1767225600 + 3600


@pytest.mark.parametrize(("change", "words"), [
    ({"publicKey": "x"}, "spec.publicKey: public key is not base64"), ({"publicKey": None}, "spec.publicKey: is missing"),
    ({"colour": 1}, "spec.colour: is unknown; expected groups, publicKey"), ({"ttlSeconds": 5}, "spec.ttlSeconds"),
    ({"groups": "dev"}, "spec.groups: expected a list")])
def test_a_bad_peer_names_object_and_field(change: dict[str, Any], words: str) -> None:
    obj = peer("a")
    obj["spec"].update(change)
    with pytest.raises(ObjectRefused) as caught:
        read_peer(obj)
    assert str(caught.value).startswith("Peer a: ")
    assert words in str(caught.value)


def test_a_refused_peer_keeps_its_last_good_state() -> None:
    good, _ = read_peers(located(peer("a")), {})
    bad = peer("a")
    bad["spec"]["colour"] = 1
    again, refused = read_peers(located(bad, peer("b")), {"/a": good[0]})
    assert sorted(p.name for p in again) == ["a", "b"]
    assert len(refused) == 1


def test_the_oldest_owns_a_key_in_whatever_order_they_come() -> None:
    honest, thief = peer("honest", created=EARLY, uid="z"), peer("thief", of="honest", created=LATE, uid="a")
    assert kept(thief, honest) == kept(honest, thief) == ["honest"]
    undated = peer("undated", of="honest", uid="0")
    assert kept(undated, honest) == ["honest"], "a Peer without a date is nobody's elder"


def test_a_users_sixth_peer_is_denied_and_others_are_not() -> None:
    many = [peer(f"p{n}", created=f"2026-01-0{n + 1}T00:00:00Z", username="ada") for n in range(MAX_PEERS_PER_USER + 1)]
    assert kept(*reversed(many), peer("other", username="bob")) == [*(f"p{n}" for n in range(MAX_PEERS_PER_USER)), "other"]


def test_an_expired_peer_is_none_and_frees_its_key() -> None:
    old = peer("old", created=EARLY, ttlSeconds=60)
    new = peer("new", of="old", created=LATE)
    assert kept(old, new, now=1767225600 + 59) == ["old"]
    assert kept(old, new, now=1767225600 + 60) == ["new"]
