"""I/O: a small process that outlives the worker and restores the host when the worker dies.

Owns the worker's life: start, signals, restart. Leaves to others: what is undone (`linux_host.undo_leftovers`), what
the worker does. Imports little and no asyncio, so that little can fail here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def supervise(argv: Sequence[str], state_dir: Path, *, restarts: int = 0) -> int:
    """Run the worker `argv` until it ends, restoring the host before, between and after; returns the exit code.

    An exit code of 0 ends it; any other end restarts the worker up to `restarts` times in `RESTART_WINDOW` seconds.
    SIGTERM, SIGINT and SIGHUP are passed on. File descriptors that are inheritable stay open in the worker, the
    environment too. After a death by signal the exit code is 128 + its number.
    """
    raise NotImplementedError


def end_with_supervisor() -> None:
    """Called by the worker at its start: get SIGTERM when the supervisor dies (prctl(2), PR_SET_PDEATHSIG)."""
    raise NotImplementedError
