"""Items and messages through JSON; bytes from outside raise BadMessage only."""

from __future__ import annotations

import contextlib
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpn_directory import codec
from vpn_directory.codec import decode_untrusted, encode, hash_of, item_from_json_untrusted, item_to_json
from vpn_directory.messages import BadMessage, ChangeSet, Gone, ListEnd, ListHead, ListItem, Mark, Message
from vpn_directory.model import (
    Claim,
    Delete,
    Endpoint,
    EndpointGroup,
    Item,
    Namespace,
    Pod,
    Port,
    Put,
    Service,
    ServiceKind,
    Zone,
    ZoneKind,
)

names = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,8}[a-z0-9])?", fullmatch=True)
addresses = st.ip_addresses().map(str)
ports = st.builds(Port, names, st.sampled_from(["TCP", "UDP"]), st.integers(1, 65535), st.just("") | names)
endpoints = st.builds(Endpoint, addresses, st.just("") | names, st.booleans(), st.sampled_from(Claim),
                      st.just("") | st.builds("{}/{}".format, names, names), st.booleans())
groups = st.builds(EndpointGroup, st.just("") | names, st.just("") | names, st.integers(0, 9),
                   st.lists(ports, max_size=2).map(tuple), st.lists(endpoints, max_size=3).map(tuple))
services = st.builds(Service, names, names, names, st.sampled_from(ServiceKind), st.lists(addresses, max_size=2).map(tuple),
                     st.just(()), st.just("") | names, st.lists(ports, max_size=2).map(tuple),
                     st.lists(groups, max_size=2).map(tuple))
items: st.SearchStrategy[Item] = (
    services.map(lambda s: replace(s, presented=s.addresses))
    | st.builds(Namespace, names) | st.builds(Pod, names, names, st.lists(addresses, max_size=2).map(tuple))
    | st.builds(Zone, names, st.sampled_from(ZoneKind), st.just(("10.0.0.0/8",)), st.just(())))


@given(items)
def test_items_round_trip(item: Item) -> None:
    assert item_from_json_untrusted(item_to_json(item)) == item


@given(st.lists(items, max_size=4), st.integers(0, 2**64 - 1))
def test_messages_round_trip_one_line_each(found: list[Item], number: int) -> None:
    changes = tuple([Put(item) for item in found] + [Delete(item.key) for item in found])
    messages: list[Message] = [ListHead("e", number, 3), ListEnd(number, number), ChangeSet(number, 0, changes),
                               Mark(number, 3, number, True), Gone("why"), *map(ListItem, found)]
    for message in messages:
        line = encode(message)
        assert line.count(b"\n") == 1
        assert decode_untrusted(line) == message


@given(st.lists(items, max_size=6), st.randoms(use_true_random=False))
def test_the_hash_does_not_depend_on_order(found: list[Item], rng: random.Random) -> None:
    shuffled = list(found)
    rng.shuffle(shuffled)
    assert hash_of(shuffled) == hash_of(found)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes(data: bytes) -> None:
    with contextlib.suppress(BadMessage):
        assert decode_untrusted(data)


@given(st.data())
def test_mutated_lines(data: st.DataObject) -> None:
    line = bytearray(encode(ListItem(data.draw(items))))
    for _ in range(data.draw(st.integers(1, 4))):
        line[data.draw(st.integers(0, len(line) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(BadMessage):
        assert decode_untrusted(bytes(line))


@pytest.mark.parametrize("line", [b"[]", b"{}", b'{"type":1}', b'{"type":"LIST","epoch":"e","rev":-1,"count":0}',
                                  b'{"type":"MARK","rev":1,"count":1,"hash":"zz"}', b"[" * 100_000,
                                  b'{"type":"CHANGE","rev":2,"prev":1,"ops":[{"delete":["a"]}]}',
                                  b'{"type":"ITEM","item":{"kind":"pod","namespace":"a","name":"b","addresses":["x"]}}'])
def test_what_is_no_message(line: bytes) -> None:
    with pytest.raises(BadMessage):
        decode_untrusted(line)


def test_a_line_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "MAX_LINE", 10)
    with pytest.raises(BadMessage, match="at most 10"):
        decode_untrusted(b" " * 11)
