"""The text of the firewall. That it holds is shown in tests/e2e/test_client_host_firewall.py, from both sides."""

from __future__ import annotations

import pytest

from vpn_client.host_firewall import removal, ruleset, table_name


def test_ruleset() -> None:
    text = ruleset("default", "kvpn0", ["198.18.0.2", "fd6b::2"])
    lines = [line.strip() for line in text.splitlines()]
    assert lines[:3] == ["table inet kvpn_default", "delete table inet kvpn_default", "table inet kvpn_default {"]
    assert "ip daddr 198.18.0.2 iifname != { kvpn0, lo } counter drop" in lines
    assert "ip6 daddr fd6b::2 iifname != { kvpn0, lo } counter drop" in lines
    assert lines.index("iifname kvpn0 jump from_tunnel") < lines.index("ct state established ct direction reply accept")
    assert "iifname kvpn0 counter drop" in lines
    assert "oifname kvpn0 counter drop" in lines


def test_table_names_do_not_meet() -> None:
    assert table_name("a-b") == "kvpn_a_b"
    assert removal("kvpn_a") == "table inet kvpn_a\ndelete table inet kvpn_a\n"


@pytest.mark.parametrize("session", ["", "a_b", "a;flush ruleset", "A", "a b", "-a", "a" * 33])
def test_a_session_cannot_speak_to_nft(session: str) -> None:
    with pytest.raises(ValueError, match="not a session name"):
        table_name(session)


@pytest.mark.parametrize("interface", ["", "a b", "a;b", "{", "kvpn0\n", "a" * 16])
def test_an_interface_cannot_speak_to_nft(interface: str) -> None:
    with pytest.raises(ValueError, match="not an interface name"):
        ruleset("default", interface, [])


def test_an_address_cannot_speak_to_nft() -> None:
    with pytest.raises(ValueError, match="does not appear to be"):
        ruleset("default", "kvpn0", ["1.1.1.1 accept"])
