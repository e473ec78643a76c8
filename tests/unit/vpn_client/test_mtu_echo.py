"""Echoes: their form, and a measurement over loopback. Paths that lose packets: tests/e2e/test_client_host_mtu.py."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpn_client.mtu_echo import Echo
from vpn_tunnel.ip_packet import checksum


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("size", [96, 1280, 1420])
def test_an_answer_of_the_same_size_counts(version: int, size: int) -> None:
    echo = Echo(version)
    request = echo.build(size)
    assert len(request) == size - echo.header
    assert checksum(request) == 0
    reply = bytes([echo.reply]) + request[1:]
    assert echo.size_of_untrusted(reply, with_header=False) == size
    assert echo.size_of_untrusted(b"\x46" + bytes(23) + reply, with_header=True) == size
    assert echo.size_of_untrusted(request, with_header=False) is None, "our own request is no answer"
    assert Echo(version).size_of_untrusted(reply, with_header=False) is None, "somebody else's"


@given(st.binary(max_size=60), st.booleans())
def test_any_bytes(data: bytes, with_header: bool) -> None:
    assert Echo(4).size_of_untrusted(data, with_header=with_header) is None
