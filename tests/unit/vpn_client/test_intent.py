"""The limited intent: what it takes, what it refuses, and that it never shows a key."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.vpn_client.samples import INTENT, KEY
from vpn_client.intent import BadIntent, Intent, join_endpoint, parse_endpoint, parse_intent_untrusted, to_json


def test_a_whole_intent_and_its_defaults() -> None:
    intent = parse_intent_untrusted(INTENT)
    assert intent.addresses == ("198.18.0.2", "fd6b:7670:6e::2")
    assert (intent.mtu, intent.persistent_keepalive, intent.suffixes) == (1420, 25, ("cluster.local",))


def test_it_survives_json() -> None:
    intent = parse_intent_untrusted({**INTENT, "include": ["10.0.0.0/8"], "clusterset_domain": "clusterset.local"})
    assert parse_intent_untrusted(json.loads(json.dumps(to_json(intent)))) == intent


def test_keys_are_never_shown() -> None:
    assert KEY not in repr(parse_intent_untrusted({**INTENT, "preshared_key": KEY}))


def test_addresses_and_domains_become_canonical() -> None:
    intent = parse_intent_untrusted({**INTENT, "addresses": ["198.18.0.2/32", "FD6B:0::0002"],
                                     "cluster_domain": "Cluster.Local.", "endpoints": ["[2001:DB8:0::1]:1"]})
    assert intent.addresses == ("198.18.0.2", "fd6b::2")
    assert intent.cluster_domain == "cluster.local"
    assert intent.endpoints == ("[2001:db8::1]:1",)


@pytest.mark.parametrize(("name", "value"), [
    ("session", "../x"), ("session", ""), ("session", "A"), ("session", "x" * 40), ("session", 7),
    ("private_key", "short"), ("private_key", KEY[:-2]), ("private_key", None), ("preshared_key", "x"),
    ("addresses", []), ("addresses", ["198.18.0.0/15"]), ("addresses", ["198.18.0.2", "198.18.0.3"]),
    ("addresses", "198.18.0.2"), ("addresses", ["one"]), ("addresses", ["10.0.0.1", "fd::1", "fd::2"]),
    ("gateway_address", "gateway"), ("endpoints", []), ("endpoints", ["gw.example.com:51820"]),
    ("endpoints", ["192.0.2.1"]), ("endpoints", ["192.0.2.1:0"]), ("endpoints", ["192.0.2.1:65536"]),
    ("endpoints", ["2001:db8::1:5"]), ("endpoints", ["192.0.2.1:51820"] * 17), ("mtu", 1279), ("mtu", 9001),
    ("mtu", True), ("mtu", "1420"), ("persistent_keepalive", -1), ("persistent_keepalive", 70000),
    ("cluster_domain", ""), ("cluster_domain", "a..b"), ("cluster_domain", "x" * 64), ("cluster_domain", "a b"),
    ("clusterset_domain", "-"), ("include", ["10.0.0.1/8"]), ("include", ["10.0.0.0/8"] * 257), ("exclude", [7]),
    ("addresses", ["fd00::1%x }; flush ruleset; #"]), ("gateway_address", "fe80::1%eth0"), ("include", ["fd00::1%x dev lo"]),
    ("endpoints", ["[fe80::1%x;y]:51820"]), ("profile", "line\nbreak"), ("profile", "x" * 5000), ("command", "rm -rf /")])
def test_what_is_wrong_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(BadIntent) as caught:
        parse_intent_untrusted({**INTENT, name: value})
    assert caught.value.name == name
    assert caught.value.fix


@pytest.mark.parametrize("name", ["session", "profile", "private_key", "addresses", "gateway_public_key",
                                  "gateway_address", "endpoints"])
def test_what_is_needed_is_asked_for(name: str) -> None:
    with pytest.raises(BadIntent, match=f"{name}: missing"):
        parse_intent_untrusted({key: value for key, value in INTENT.items() if key != name})


def test_a_key_is_not_repeated_in_the_error() -> None:
    with pytest.raises(BadIntent) as caught:
        parse_intent_untrusted({**INTENT, "private_key": KEY + "tail"})
    assert KEY not in str(caught.value)


_anything = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
                         lambda inner: st.lists(inner, max_size=3)
                         | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=6)


@given(st.dictionaries(st.sampled_from([*Intent.__slots__, "other"]), _anything))
def test_anything_else_raises_the_one_exception(changes: dict[str, Any]) -> None:
    with contextlib.suppress(BadIntent):
        parse_intent_untrusted({**INTENT, **changes})


@pytest.mark.parametrize("text", ["192.0.2.1:51820", "[2001:db8::1]:1", "gw.example.com:65535"])
def test_endpoints_round_trip(text: str) -> None:
    assert join_endpoint(*parse_endpoint(text)) == text


def test_the_profile_name_does_not_make_another_session() -> None:
    one = parse_intent_untrusted(INTENT)
    assert one.same_session(parse_intent_untrusted({**INTENT, "profile": "b.toml"}))
    assert not one.same_session(parse_intent_untrusted({**INTENT, "mtu": 1300}))
