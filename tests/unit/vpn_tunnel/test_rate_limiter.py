"""Twenty a second, five at once, for each source network on its own."""

from __future__ import annotations

import pytest

from vpn_tunnel import rate_limiter
from vpn_tunnel.rate_limiter import RateLimiter

SOURCES = ["127.0.0.1", "192.168.1.1", "172.167.2.3", "97.231.252.215", "248.97.91.167", "188.208.233.47",
           "2001:0db8:0a0b:12f0::1", "f5c2:818f:c052:655a:9860:b136:6894:25f0", "97d6:6e2e:2f1b:d1a4::1"]


@pytest.mark.parametrize("source", SOURCES)
def test_burst_then_steady_rate(source: str) -> None:
    limiter, now = RateLimiter(), 0.0
    assert [limiter.allow(source, now) for _ in range(6)] == [True] * 5 + [False]
    assert [limiter.allow(source, now + 0.05) for _ in range(2)] == [True, False]
    assert [limiter.allow(source, now + 0.15) for _ in range(3)] == [True, True, False]


def test_sources_do_not_share_a_bucket() -> None:
    limiter = RateLimiter()
    while limiter.allow("192.0.2.1", 0.0):
        pass
    assert limiter.allow("192.0.2.2", 0.0)


def test_an_ipv6_slash_64_is_one_source() -> None:
    limiter = RateLimiter()
    allowed = [limiter.allow(f"2001:db8::{n}", 0.0) for n in range(1, 8)]
    assert allowed == [True] * 5 + [False] * 2
    assert limiter.allow("2001:db8:0:1::1", 0.0)


def test_the_table_has_a_cap_and_forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limiter, "MAX_RATE_LIMITER_ENTRIES", 3)
    limiter = RateLimiter()
    assert [limiter.allow(f"192.0.2.{n}", 5.0) for n in range(5)] == [True] * 3 + [False] * 2
    assert limiter.allow("192.0.2.9", 7.0)
    assert len(limiter) == 1
