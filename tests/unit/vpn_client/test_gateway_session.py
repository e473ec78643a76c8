"""The gateway's session answer: what it must hold, and what it may not say."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.vpn_client.samples import INTENT
from vpn_client.exit_codes import ExitCode, Failure
from vpn_client.gateway_session import BadAnswer, check_identity, parse_session_untrusted, unapproved
from vpn_client.intent import parse_intent_untrusted

ANSWER: dict[str, Any] = {
    "version": 1, "gateway": {"version": "0.1.0", "publicKey": "x", "epoch": "e"},
    "peer": {"name": "laptop", "publicKey": "y", "addresses": ["198.18.0.2", "fd6b:7670:6e::2"]}, "policy": "open",
    "dns": {"clusterDomain": "cluster.local", "clustersetDomain": None},
    "directory": {"epoch": "e", "rev": 1, "stale": False}, "mtu": 1420, "later": {}}


def changed(path: str, value: object) -> bytes:
    answer = json.loads(json.dumps(ANSWER))
    *way, last = path.split(".")
    at = answer
    for name in way:
        at = at[name]
    at[last] = value
    return json.dumps(answer).encode()


def test_a_whole_answer() -> None:
    answer = parse_session_untrusted(json.dumps(ANSWER).encode())
    assert (answer.version, answer.peer, answer.policy, answer.mtu) == ("0.1.0", "laptop", "open", 1420)
    assert (answer.cluster_domain, answer.clusterset_domain) == ("cluster.local", "")


@pytest.mark.parametrize(("path", "value"), [
    ("version", 2), ("gateway", None), ("gateway.version", "x" * 300), ("gateway.version", "a\x1b[2J"), ("peer", []),
    ("peer.name", 7), ("peer.addresses", "x"), ("peer.addresses", ["x"]), ("peer.addresses", ["::1"] * 9), ("dns", 1),
    ("policy", None), ("mtu", 10), ("mtu", True), ("mtu", "1420"), ("dns.clusterDomain", None),
    ("dns.clustersetDomain", 7)])
def test_what_is_wrong_is_refused(path: str, value: object) -> None:
    with pytest.raises(BadAnswer):
        parse_session_untrusted(changed(path, value))


@given(st.binary(max_size=80))
def test_any_bytes_raise_the_one_exception(body: bytes) -> None:
    with contextlib.suppress(BadAnswer):
        parse_session_untrusted(body)


def test_deep_nesting_is_no_answer() -> None:
    with pytest.raises(BadAnswer):
        parse_session_untrusted(b"[" * 200_000)


def test_other_addresses_than_the_profiles_are_a_denial() -> None:
    intent = parse_intent_untrusted(INTENT)
    check_identity(parse_session_untrusted(changed("peer.addresses", ["FD6B:7670:6E:0::2", "198.18.0.2"])), intent)
    with pytest.raises(Failure, match="knows this peer as") as caught:
        check_identity(parse_session_untrusted(changed("peer.addresses", ["198.18.0.3"])), intent)
    assert caught.value.code is ExitCode.DENIED


def test_domains_that_are_not_approved() -> None:
    intent = parse_intent_untrusted(INTENT)
    assert unapproved(parse_session_untrusted(json.dumps(ANSWER).encode()), intent) == []
    assert unapproved(parse_session_untrusted(changed("dns.clustersetDomain", "evil.example")), intent) == ["evil.example"]
