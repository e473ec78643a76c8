"""The anti-replay window of one keypair (RFC 6479 with 8192 bits, of which 8128 are usable at any time).

Zero state is ready. The caller has authenticated the counter before it asks.
"""

from __future__ import annotations

from vpn_tunnel.constants import REJECT_AFTER_MESSAGES, REPLAY_WINDOW_BITS

_WORD = 64
_WORDS = REPLAY_WINDOW_BITS // _WORD
USABLE = REPLAY_WINDOW_BITS - _WORD  # counters behind the greatest that are still told apart


class ReplayWindow:
    """Which counters have been seen: a ring of 64-bit words."""

    __slots__ = ("_ring", "_top")

    def __init__(self) -> None:
        self._top = 0
        self._ring = [0] * _WORDS

    def accept(self, counter: int) -> bool:
        """True once for each counter that is not behind the window and below REJECT_AFTER_MESSAGES."""
        if counter >= REJECT_AFTER_MESSAGES:
            return False
        word = counter >> 6
        if counter > self._top:
            ring = self._ring
            current = self._top >> 6
            for step in range(current + 1, min(word, current + _WORDS) + 1):
                ring[step % _WORDS] = 0
            self._top = counter
        elif self._top - counter > USABLE:
            return False
        slot, bit = word % _WORDS, 1 << (counter & 63)
        if self._ring[slot] & bit:
            return False
        self._ring[slot] |= bit
        return True
