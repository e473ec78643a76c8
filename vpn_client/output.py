"""What people read: step lines, failures and hints on stderr; data on stdout.

Owns marks, colours, widths and units. Leaves to others: what is said (`commands_*`, `status`, `doctor`).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, TextIO

from vpn_client.exit_codes import Failure

NAME_WIDTH: Final = 12
"""Columns of a step's name."""


class Level(StrEnum):
    """How a step or a check ended."""

    OK = "ok"
    WARN = "warn"
    """It works; the user may want to act."""
    FAIL = "fail"


MARKS: Final = {Level.OK: "✓", Level.WARN: "!", Level.FAIL: "✗"}
_COLOURS: Final = {Level.OK: "32", Level.WARN: "33", Level.FAIL: "31"}


def wants_colour(is_tty: bool, environment: Mapping[str, str]) -> bool:
    """Colour only on a terminal that has not asked for none (no-color.org; `TERM=dumb`; CI logs)."""
    plain = environment.get("NO_COLOR") or environment.get("CI") or environment.get("TERM") == "dumb"
    return is_tty and not plain


class Talk:
    """Everything said to a person: one line per step, on stderr, so that stdout stays parsable."""

    def __init__(self, stream: TextIO, *, colour: bool = False, quiet: bool = False) -> None:
        self._stream = stream
        self._colour = colour
        self._quiet = quiet

    def line(self, text: str) -> None:
        """One line, unless `--quiet`."""
        if not self._quiet:
            self._write(text)

    def step(self, name: str, level: Level, evidence: str, seconds: float | None = None) -> None:
        """` ✓ transport    udp 192.0.2.1:51820 · handshake 19 ms    0.06s`; failures are said even with `--quiet`."""
        if self._quiet and level is not Level.FAIL:
            return
        took = "" if seconds is None else f"  {seconds:.2f}s"
        self._write(f" {self.mark(level)} {name:<{NAME_WIDTH}} {evidence}{took}")

    def failure(self, failure: Failure) -> None:
        """`kvpn: what: why`, then the fix as a hint."""
        self._write(f"kvpn: {failure.what}: {failure.why}")
        if failure.fix:
            self.hint(failure.fix)

    def hint(self, text: str) -> None:
        """The one thing to do now."""
        self._write(f"hint: {text}")

    def mark(self, level: Level) -> str:
        """The mark of a level, coloured if wanted."""
        mark = MARKS[level]
        return f"\x1b[{_COLOURS[level]}m{mark}\x1b[0m" if self._colour else mark

    def _write(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()


def duration(seconds: float) -> str:
    """Two units at most: `0.4 s`, `42 s`, `3 min 5 s`, `2 h 13 min`, `3 d 4 h`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def size(count: float) -> str:
    """Bytes in decimal units, as network tools print them: `512 B`, `1.2 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def parse_duration(text: str) -> float:
    """Seconds from `30`, `30s`, `500ms`, `2m`, `1h`; ValueError that names the fix otherwise."""
    for suffix, factor in (("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0), ("", 1.0)):
        number = text.removesuffix(suffix)
        if text.endswith(suffix) and number.replace(".", "", 1).isdigit() and float(number) > 0:
            return float(number) * factor
    raise ValueError(f"{text!r} is not a duration; write for example 30s, 500ms or 2m")
