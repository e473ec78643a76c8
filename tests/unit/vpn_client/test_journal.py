"""Journal entries: what is written can be read again, what is not ours is refused, the newest is undone first."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpn_client import journal
from vpn_client.journal import (
    AddressAdded,
    BadEntry,
    Device,
    DropIn,
    Entry,
    Firewall,
    Link,
    Resolvconf,
    ResolvedLink,
    ResolverFile,
    Routes,
    decode_all,
    decode_untrusted,
    encode,
    undo_order,
)

EVERY: list[Entry] = [
    Device("kvpn0"), Link("kvpn0", 1500, False), AddressAdded("kvpn0", "198.18.0.2"), Routes("kvpn0"),
    Firewall("kvpn_default"), ResolvedLink("kvpn0"), Resolvconf("kvpn0"), DropIn("/etc/dnsmasq.d/kvpn.conf"),
    ResolverFile("/etc/resolv.conf", "file", "nameserver 1.1.1.1\n\xff\x00", "ours\n", 0o600, 1, 2),
]


@pytest.mark.parametrize("entry", EVERY, ids=lambda entry: type(entry).__name__)
def test_round_trip_with_the_sessions_name(entry: Entry) -> None:
    line = encode("work", entry)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert decode_untrusted(line) == ("work", entry)


def test_every_kind_is_covered() -> None:
    assert {type(entry).__name__ for entry in EVERY} == set(journal._KINDS)


@pytest.mark.parametrize("line", [
    b"", b"{", b"[]", b"null", b"1", b"{}", b'{"version":2,"session":"a","change":"Device","interface":"k"}',
    b'{"version":1,"session":1,"change":"Device","interface":"k"}', b'{"version":1,"session":"a","change":"Exec"}',
    b'{"version":1,"session":"a","change":"Device"}', b'{"version":1,"session":"a","change":"Device","interface":3}',
    b'{"version":1,"session":"a","change":"Device","interface":"k","command":"rm"}',
    b'{"version":1,"session":"a","change":"Link","interface":"k","mtu":true,"up":true}', b"\xff\xfe",
    b"[" * 100_000, b" " * (journal.MAX_LINE + 1),
])
def test_anything_else_is_refused(line: bytes) -> None:
    with pytest.raises(BadEntry):
        decode_untrusted(line)


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    decode_all(data)


@given(st.integers(0, 300))
def test_a_torn_last_line_counts_as_never_written(cut: int) -> None:
    data = b"".join(encode("default", entry) for entry in EVERY[:3])
    entries, bad = decode_all(data[:min(cut, len(data))])
    assert bad == 0
    assert entries == EVERY[:data[:cut].count(b"\n")]


def test_a_bad_line_does_not_take_the_others_down() -> None:
    data = encode("a", EVERY[0]) + b"garbage\n" + encode("a", EVERY[1])
    assert decode_all(data) == (EVERY[:2], 1)


def test_undo_order_is_newest_first_and_each_once() -> None:
    a, b = Firewall("a"), Firewall("b")
    assert undo_order([a, b, a]) == [b, a]


def test_entries_are_readable_by_a_person() -> None:
    shown = json.loads(encode("default", Firewall("kvpn_default")))
    assert shown == {"version": 1, "session": "default", "change": "Firewall", "table": "kvpn_default"}
