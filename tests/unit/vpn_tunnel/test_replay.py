"""The sequences of wireguard-go's replay_test.go, and a set as oracle."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vpn_tunnel.constants import REJECT_AFTER_MESSAGES as LAST
from vpn_tunnel.replay import USABLE, ReplayWindow

T = USABLE + 1
SEQUENCE = [
    (0, True), (1, True), (1, False), (9, True), (8, True), (7, True), (7, False), (T, True), (T - 1, True),
    (T - 1, False), (T - 2, True), (2, True), (2, False), (T + 16, True), (3, False), (T + 16, False), (T * 4, True),
    (T * 4 - (T - 1), True), (10, False), (T * 4 - T, False), (T * 4 - (T + 1), False), (T * 4 - (T - 2), True),
    (T * 4 + 1 - T, False), (0, False), (LAST, False), (LAST - 1, True), (LAST, False), (LAST - 1, False),
    (LAST - 2, True), (LAST + 1, False), (LAST + 2, False), (LAST - 2, False), (LAST - 3, True), (0, False)]


def test_the_known_sequence() -> None:
    window = ReplayWindow()
    assert [window.accept(counter) for counter, _ in SEQUENCE] == [expected for _, expected in SEQUENCE]


def test_a_whole_window_in_either_direction() -> None:
    up, down = ReplayWindow(), ReplayWindow()
    assert all(up.accept(n) for n in range(1, USABLE + 1))
    assert up.accept(0)
    assert not up.accept(0)
    assert all(down.accept(n) for n in range(USABLE + 1, 0, -1))
    assert not down.accept(0)


@given(st.lists(st.integers(0, 3 * USABLE) | st.integers(0, 200), max_size=300))
def test_equals_a_set_with_a_horizon(counters: list[int]) -> None:
    window, seen, top = ReplayWindow(), set[int](), 0
    for counter in counters:
        expected = counter not in seen and top - counter <= USABLE
        assert window.accept(counter) is expected
        if expected:
            seen.add(counter)
            top = max(top, counter)
