"""Which bytes are the answer to a relayed question."""

from __future__ import annotations

import pytest

from kvpn_dns.forward import BadUpstream, Relay, Upstream, usable
from kvpn_dns.wire import encode_name, parse_query_untrusted

QUERY = parse_query_untrusted(b"\0\7\1\0\0\1\0\0\0\0\0\0" + encode_name("www.Example.org") + b"\0\1\0\1")


def test_the_id_is_fresh_on_the_way_out_and_the_askers_on_the_way_back() -> None:
    relay = Relay(QUERY, 0xBEEF)
    assert relay.request == b"\xbe\xef" + QUERY.packet[2:]
    reply = b"\xbe\xef\x81\x80" + relay.request[4:]
    assert relay.accept_untrusted(reply) == b"\0\7" + reply[2:]
    assert relay.accept_untrusted(reply.replace(b"Example", b"eXAMPLE")) is not None


@pytest.mark.parametrize("spoil", [lambda r: b"\0\0" + r[2:], lambda r: r[:2] + b"\1\0" + r[4:], lambda r: r[:20],
                                   lambda r: r.replace(b"www", b"wwx"), lambda r: r[:-3] + b"\x1c" + r[-2:],
                                   lambda r: r[:4] + b"\0\2" + r[6:], lambda r: b""])
def test_what_answers_something_else_is_not_taken(spoil: object) -> None:
    relay = Relay(QUERY, 0xBEEF)
    assert callable(spoil)
    assert relay.accept_untrusted(spoil(b"\xbe\xef\x81\x80" + relay.request[4:])) is None


def test_upstreams_in_text() -> None:
    assert [Upstream.parse(text) for text in ("192.0.2.1", "192.0.2.1:5353", "2001:db8::1", "[2001:db8::1]:54", "[::1]")] == [
        Upstream("192.0.2.1"), Upstream("192.0.2.1", 5353), Upstream("2001:db8::1"), Upstream("2001:db8::1", 54), Upstream("::1")]
    for wrong in ("", "host", "192.0.2.1:x", "192.0.2.1:0", "192.0.2.1:70000"):
        with pytest.raises(BadUpstream):
            Upstream.parse(wrong)


def test_we_never_ask_ourselves() -> None:
    assert usable([Upstream("198.18.0.2"), Upstream("192.0.2.1")], [("198.18.0.2", 53)]) == [Upstream("192.0.2.1")]
