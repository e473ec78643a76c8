"""Wake-ups of many, against a dictionary."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vpn_tunnel.deadlines import DeadlineQueue


@given(st.lists(st.tuples(st.integers(1, 5), st.floats(0, 100))), st.floats(0, 100), st.sets(st.integers(1, 5)))
def test_earliest_schedule_wins_and_the_forgotten_stay_asleep(plan: list[tuple[int, float]], now: float,
                                                              gone: set[int]) -> None:
    queue, wanted = DeadlineQueue(), dict[int, float]()
    for ident, when in plan:
        queue.schedule(ident, when)
        wanted[ident] = min(when, wanted.get(ident, when))
    for ident in gone:
        queue.forget(ident)
        wanted.pop(ident, None)
    assert queue.next() == min(wanted.values(), default=None)
    assert sorted(queue.due(now)) == sorted(ident for ident, when in wanted.items() if when <= now)
    assert queue.due(now) == []
