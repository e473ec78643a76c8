"""What may come in: text that ends no line and no script, and addresses without free text in them."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpn_directory.text import canonical_address, is_apex, is_label, is_plain, is_special, is_subdomain, shown


@given(st.ip_addresses())
def test_addresses_become_canonical(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    assert canonical_address(address.exploded) == str(address)


@pytest.mark.parametrize("text", ["", "10.0.0", "10.0.0.256", "010.0.0.1", "fe80::1%eth0", "fd00::1%x }\nflush ruleset\n#",
                                  "10.0.0.1\n", " 10.0.0.1", "::1/128"])
def test_what_is_no_address_is_refused_in_printable_words(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no IP address|has a scope") as caught:
        canonical_address(text)
    assert str(caught.value).isprintable()


@given(st.text(max_size=80))
def test_only_characters_of_dns_pass_as_names(text: str) -> None:
    for accepted in (is_label(text), is_subdomain(text), is_apex(text)):
        assert not accepted or (set(text) <= set("abcdefghijklmnopqrstuvwxyz0123456789-.") and len(text) <= 253)
    assert not is_label(text) or is_subdomain(text)
    assert not is_plain(text) or (text.isascii() and text.isprintable())


def test_names_have_limits() -> None:
    assert is_label("a" * 63)
    assert not is_label("a" * 64)
    assert not any(map(is_label, ["", "-a", "a-", "A", "a_b", "a.b", "a\n"]))
    assert is_subdomain("cluster.local")
    assert not is_subdomain("cluster.local.")
    assert not is_apex(".".join(["a" * 60] * 3))


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "224.0.0.1", "0.0.0.0", "255.255.255.255", "::1", "fe80::1",
                                     "ff02::1", "::ffff:10.0.0.1", "100.100.100.200", "168.63.129.16", "fd00:ec2::254"])
def test_special_addresses(address: str) -> None:
    assert is_special(canonical_address(address))


@pytest.mark.parametrize("address", ["10.0.0.1", "192.168.0.1", "172.16.0.1", "203.0.113.1", "100.64.0.1", "fd00::1"])
def test_ordinary_addresses(address: str) -> None:
    assert not is_special(address)


@given(st.text(max_size=200))
def test_what_is_shown_fits_a_log_line(text: str) -> None:
    assert shown(text).replace("…", "").isascii()
    assert "\n" not in shown(text)
    assert len(shown(text)) <= 64
