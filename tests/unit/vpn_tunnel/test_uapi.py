"""The configuration protocol's text."""

from __future__ import annotations

import contextlib
import os
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpn_tunnel.device import PeerStatus
from vpn_tunnel.endpoint import Endpoint
from vpn_tunnel.keys import PresharedKey, PrivateKey, PublicKey
from vpn_tunnel.uapi import BadRequest, parse_set_untrusted, render_get

KEY = bytes(range(32)).hex()


def test_every_key_of_set() -> None:
    change = parse_set_untrusted([
        f"private_key={KEY}", "listen_port=12912", "fwmark=0x20", "replace_peers=true", f"public_key={KEY}", "update_only=true",
        f"preshared_key={KEY}", "endpoint=[2001:db8::1]:5", "persistent_keepalive_interval=25", "replace_allowed_ips=true",
        "allowed_ip=10.0.0.1/24", "allowed_ip=-fd00::/64", "protocol_version=1", f"public_key={'ab' * 32}", "remove=true"])
    peer, gone = change.peers
    assert (change.listen_port, change.fwmark, change.replace_peers) == (12912, 32, True)
    assert (peer.endpoint, peer.persistent_keepalive, peer.replace_allowed_ips) == (Endpoint("2001:db8::1", 5), 25, True)
    assert peer.add_allowed_ips == [ip_network("10.0.0.0/24")]
    assert peer.remove_allowed_ips == [ip_network("fd00::/64")]
    assert gone.remove
    assert KEY not in repr(change)


def test_a_private_key_of_zeros_removes_it() -> None:
    assert parse_set_untrusted([f"private_key={'00' * 32}"]).remove_private_key


@pytest.mark.parametrize("lines", [["x"], ["nonsense=1"], ["private_key=zz"], ["listen_port=70000"], ["fwmark=-1"],
                                   [f"public_key={KEY}", "endpoint=host:1"], [f"public_key={KEY}", "remove=yes"],
                                   [f"public_key={KEY}", "protocol_version=2"], [f"public_key={KEY}", "allowed_ip=1.2.3/8"]])
def test_a_bad_line_refuses_the_request(lines: list[str]) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_set_untrusted(lines)
    assert KEY not in str(caught.value)


@given(st.lists(st.text(max_size=60), max_size=10))
def test_any_lines(lines: list[str]) -> None:
    with contextlib.suppress(BadRequest):
        assert parse_set_untrusted(lines) is not None


def test_get_shows_what_set_takes() -> None:
    status = PeerStatus(PublicKey(bytes(32)), PresharedKey(b"p" * 32), (ip_network("10.0.0.0/8"),), Endpoint("192.0.2.1", 5),
                        1_700_000_000_000_000_005, 11, 22, 25, None)
    text = render_get(PrivateKey(os.urandom(32)), 51820, 7, [status])
    for line in ("listen_port=51820", "fwmark=7", f"public_key={'00' * 32}", f"preshared_key={'70' * 32}",
                 "endpoint=192.0.2.1:5", "last_handshake_time_sec=1700000000", "last_handshake_time_nsec=5", "tx_bytes=22",
                 "rx_bytes=11", "persistent_keepalive_interval=25", "allowed_ip=10.0.0.0/8", "protocol_version=1"):
        assert line in text.splitlines()
