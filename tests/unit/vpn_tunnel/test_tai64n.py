"""Timestamps: whitened, in order, and never going back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vpn_tunnel.tai64n import Timestamps, from_unix_ns


def test_epoch() -> None:
    assert from_unix_ns(0).hex() == "400000000000000a00000000"


def test_ten_milliseconds_are_hidden_and_twenty_are_not() -> None:
    start = 1_700_000_000_000_000_000
    assert from_unix_ns(start) == from_unix_ns(start + 10_000_000)
    assert from_unix_ns(start) < from_unix_ns(start + 20_000_000)


@given(st.lists(st.integers(0, 2**62), min_size=2, max_size=50))
def test_each_is_greater_than_the_one_before_whatever_the_clock_does(times: list[int]) -> None:
    timestamps = Timestamps()
    sent = [timestamps.next(time) for time in times]
    assert sent == sorted(set(sent))
    assert len(sent) == len(times)


def test_one_wrong_future_time_does_not_stop_progress() -> None:
    timestamps = Timestamps()
    far = timestamps.next(2**62)
    assert timestamps.next(1_700_000_000_000_000_000) > far
