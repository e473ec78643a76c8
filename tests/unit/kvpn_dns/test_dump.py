"""Answers as text."""

import pytest

from kvpn_dns.dump import dump, readable
from tests.unit.kvpn_dns.world import answerer


def test_a_dump_is_sorted_and_complete() -> None:
    subject = answerer()
    lines = list(dump(subject.index, subject))
    assert lines[0].startswith("cluster.local. 5 IN SOA")
    assert "_http._tcp.web.shop.svc.cluster.local. 5 IN SRV 0 100 80 web.shop.svc.cluster.local." in lines
    assert not any("10.1.0.7" in line for line in lines), "not ready"


@pytest.mark.parametrize("data", [b"", b"x" * 11, b"\0" * 5 + b"\1" + b"\0" * 6 + b"\xc0"])
def test_what_is_no_message_is_said(data: bytes) -> None:
    with pytest.raises(ValueError, match="no DNS message"):
        readable(data)
