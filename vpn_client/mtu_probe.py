"""Which inner MTU a path carries, decided from echoes through the tunnel: no I/O.

Owns the sizes to try and the verdict. Leaves to others: sending echoes with the outer DF bit set (`mtu_echo`), setting
the MTU (`linux_host`).

An ICMP echo of inner size s to the gateway's tunnel address comes back with the same size, so an answer proves both
directions, end to end: no router has to say "fragmentation needed", which on the paths that matter none does.

The transport message pads its plaintext to 16 bytes, but never beyond the sender's MTU (WireGuard paper §5.4.6), and
the gateway does not know our MTU. So the sizes worth trying are the multiples of 16 and the upper bound itself; a size
in between would be padded to the next multiple on its way back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

PADDING: Final = 16
"""Bytes."""
TRIES: Final = 2
"""Echoes per size: one loss decides nothing."""
SMALL: Final = 96
"""Bytes of the echo that tells a gateway that does not answer from a path that carries little."""
FLOOR_IPV6: Final = 1280
"""Bytes; RFC 8200 §5: with less, the link carries no IPv6."""
FLOOR_IPV4: Final = 576
"""Bytes; RFC 791: every host takes as much."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the echoes showed."""

    mtu: int
    """Bytes, to be set."""
    proved: bool
    """Whether an echo of that size came back."""
    text: str


@dataclass(slots=True)
class MtuProbe:
    """One measurement: send `sizes()`, tell `answered(size)`, wait, again for `unanswered()`; then `verdict()`."""

    upper: int
    """Bytes; the configured MTU."""
    floor: int = FLOOR_IPV6
    seen: set[int] = field(default_factory=set)

    def sizes(self) -> tuple[int, ...]:
        """Every size worth an echo, largest first, then the small one. Some ten for the usual bounds."""
        aligned = range(self.upper - self.upper % PADDING, self.floor - 1, -PADDING)
        return tuple(dict.fromkeys((self.upper, *aligned, SMALL)))

    def answered(self, size: int) -> None:
        """An echo of this size came back."""
        self.seen.add(size)

    @property
    def done(self) -> bool:
        """Whether nothing larger can be learnt: the upper bound passes."""
        return self.upper in self.seen

    def unanswered(self) -> tuple[int, ...]:
        """The sizes for the next try: those above the largest that passed."""
        best = max(self.seen, default=0)
        return tuple(size for size in self.sizes() if size > best)

    def verdict(self) -> Verdict:
        """The largest size that passed; the upper bound when the gateway answers no echo at all."""
        passed = max((size for size in self.seen if size != SMALL), default=0)
        if passed:
            return Verdict(passed, True, f"{passed} bytes pass both ways" + self._below(passed))
        if SMALL in self.seen:
            return Verdict(self.floor, False, f"not even {self.floor} bytes pass; large packets will be lost")
        return Verdict(self.upper, False, f"{self.upper} bytes, not measured: the gateway answers no echo")

    def _below(self, passed: int) -> str:
        return "" if passed == self.upper else f"; {min(size for size in self.sizes() if size > passed)} do not"
