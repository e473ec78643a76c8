"""Which of many peers wants to be woken first: a heap whose entries may be stale, so that re-arming costs nothing.

A timer that moves to a later time leaves its entry; when that comes due its owner says when it is really wanted.
"""

from __future__ import annotations

import heapq
from math import inf


class DeadlineQueue:
    """Earliest wake-up for each integer id."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int]] = []
        self._queued: dict[int, float] = {}

    def schedule(self, ident: int, when: float) -> None:
        """Wake `ident` at `when` (seconds) or earlier; `inf` asks for nothing."""
        if when < self._queued.get(ident, inf):
            self._queued[ident] = when
            heapq.heappush(self._heap, (when, ident))

    def forget(self, ident: int) -> None:
        """`ident` is gone."""
        self._queued.pop(ident, None)

    def next(self) -> float | None:
        """The earliest wake-up wanted, or None."""
        while self._heap:
            when, ident = self._heap[0]
            if self._queued.get(ident) == when:
                return when
            heapq.heappop(self._heap)
        return None

    def due(self, now: float) -> list[int]:
        """Those whose time has come; each must schedule itself again."""
        ready = []
        while self._heap and self._heap[0][0] <= now:
            when, ident = heapq.heappop(self._heap)
            if self._queued.get(ident) == when:
                del self._queued[ident]
                ready.append(ident)
        return ready
