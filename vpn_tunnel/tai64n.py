"""TAI64N timestamps of initiations (paper §5.4.2): 12 bytes, compared as bytes.

Owns whitening and the promise never to go back. Leaves reading the clock to the driver.
"""

from __future__ import annotations

import struct

_TAI64 = 0x400000000000000A  # label of the Unix epoch, with the ten leap seconds of 1970
_WHITENED = (1 << 24) - 1  # nanoseconds: whitened to 16.7 ms, to be no precise clock for others
_FORMAT = struct.Struct(">QI")


def from_unix_ns(unix_ns: int) -> bytes:
    """The whitened timestamp of a Unix time in nanoseconds; 12 bytes."""
    seconds, nanoseconds = divmod(unix_ns, 1_000_000_000)
    return _FORMAT.pack(_TAI64 + seconds, nanoseconds & ~_WHITENED)


class Timestamps:
    """Timestamps to send: each greater than every one before, even when the clock is set back (CVE-2021-46873)."""

    def __init__(self) -> None:
        self._last_ns = 0

    def next(self, unix_ns: int) -> bytes:
        """The timestamp for an initiation at this Unix time in nanoseconds."""
        whitened = unix_ns - (unix_ns % 1_000_000_000 & _WHITENED)
        if whitened <= self._last_ns:
            whitened = self._tick_after(self._last_ns)
        self._last_ns = whitened
        return from_unix_ns(whitened)

    @staticmethod
    def _tick_after(unix_ns: int) -> int:
        seconds, nanoseconds = divmod(unix_ns, 1_000_000_000)
        following = (nanoseconds & ~_WHITENED) + _WHITENED + 1
        return (seconds + 1) * 1_000_000_000 if following >= 1_000_000_000 else seconds * 1_000_000_000 + following
