"""Endpoints in text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpn_tunnel.endpoint import BadEndpoint, Endpoint


@given(st.ip_addresses(), st.integers(1, 65535))
def test_round_trip(address: object, port: int) -> None:
    endpoint = Endpoint(str(address), port)
    assert Endpoint.parse(str(endpoint)) == endpoint


@pytest.mark.parametrize("text", ["", "1.2.3.4", "1.2.3.4:", "1.2.3.4:0", "1.2.3.4:65536", "::1:5", "[1.2.3.4]:5",
                                  "example.org:5", "[::1]", ":5"])
def test_what_is_no_endpoint_is_refused(text: str) -> None:
    with pytest.raises(BadEndpoint):
        Endpoint.parse(text)


def test_the_source_does_not_make_another_address() -> None:
    sticky = Endpoint("192.0.2.1", 5, "192.0.2.9", 3)
    assert sticky.same_address(Endpoint("192.0.2.1", 5))
    assert sticky.without_source() == Endpoint("192.0.2.1", 5)
    assert sticky.mac_bytes() == Endpoint("192.0.2.1", 5).mac_bytes()
    assert sticky.mac_bytes() != Endpoint("192.0.2.1", 6).mac_bytes()
