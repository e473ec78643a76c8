"""Asking upstreams that do not answer."""

from __future__ import annotations

import asyncio
import socket

import pytest

from kvpn_dns import upstream_io
from kvpn_dns.forward import Upstream
from kvpn_dns.upstream_io import Forwarder
from kvpn_dns.wire import encode_name, parse_query_untrusted

QUERY = parse_query_untrusted(b"\0\7\1\0\0\1\0\0\0\0\0\0" + encode_name("www.example.org") + b"\0\1\0\1")


@pytest.mark.parametrize("tcp", [False, True])
def test_silence_and_refusal_end_in_servfail(monkeypatch: pytest.MonkeyPatch, tcp: bool) -> None:
    monkeypatch.setattr(upstream_io, "TIMEOUT", 0.05)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        forwarder = Forwarder([Upstream(*silent.getsockname())])
        reply = asyncio.run(forwarder.ask(QUERY, tcp=tcp))
    assert (reply[:2], reply[3] & 15) == (b"\0\7", 2)
    assert forwarder.counters["failed"] == 2


def test_questions_in_flight_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream_io, "MAX_IN_FLIGHT", 0)
    forwarder = Forwarder([Upstream("127.0.0.1", 9)])
    assert asyncio.run(forwarder.ask(QUERY, tcp=False))[3] & 15 == 2
    assert forwarder.counters["too_many"] == 1
