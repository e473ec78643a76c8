"""I/O: a small process that outlives the worker and restores the host when the worker dies.

Owns the worker's life: start, signals, restart. Leaves to others: what is undone (`linux_undo`), what the worker does.
Imports little and no asyncio, so that little can fail here; what restoring needs is loaded while the worker starts, so
that an upgrade in the meantime cannot take it away.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Final

RESTART_WINDOW: Final = 60.0
"""Seconds in which restarts are counted."""
RESTART_PAUSE: Final = 0.2
"""Seconds before a restart."""
PASSED_ON: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
ORPHANS_TIMEOUT: Final = 1.0
"""Seconds for what a dead worker was running, an `ip` or `nft`, to end; then it is killed."""
PARENT: Final = "KVPN_SUPERVISOR"
"""Environment variable of the worker: our process id."""
_PR_SET_PDEATHSIG: Final = 1  # prctl(2)
_PR_SET_CHILD_SUBREAPER: Final = 36


def supervise(argv: Sequence[str], state_dir: Path, *, restarts: int = 0,
              environment: Mapping[str, str] | None = None) -> int:
    """Run the worker `argv` until it ends, restoring the host before, between and after; returns the exit code.

    An exit code of 0 ends it; any other end restarts the worker up to `restarts` times in `RESTART_WINDOW` seconds.
    SIGTERM, SIGINT and SIGHUP are passed on, and after one of the first two nothing is restarted. File descriptors that
    are inheritable stay open in the worker. After a death by signal the exit code is 128 + its number. `argv[0]` is a
    path. The worker calls `end_with_supervisor` first.
    """
    restore = _loader(state_dir)
    _tell(restore())
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    began: list[float] = []
    while True:
        began = [*(when for when in began if when > time.monotonic() - RESTART_WINDOW), time.monotonic()]
        code, asked = _run_once(argv, {**(environment or os.environ), PARENT: str(os.getpid())})
        _reap_orphans()
        notes = restore()
        if code != 0:
            _say(f"the worker ended with {code}; the host is restored")
        _tell(notes)
        if code == 0 or asked or len(began) > restarts:
            return code
        time.sleep(RESTART_PAUSE)


def _loader(state_dir: Path) -> Callable[[], Sequence[object]]:
    from vpn_client.linux_undo import undo_ownerless

    return lambda: undo_ownerless(state_dir)


def _run_once(argv: Sequence[str], environment: Mapping[str, str]) -> tuple[int, bool]:
    """(exit code, whether we were asked to end it)."""
    asked = False
    pid = 0

    def pass_on(number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        asked |= number != signal.SIGHUP
        if pid:
            os.kill(pid, number)

    before = {number: signal.signal(number, pass_on) for number in PASSED_ON}
    try:
        pid = os.posix_spawn(argv[0], list(argv), environment, setsigdef=PASSED_ON)
        if asked:
            os.kill(pid, signal.SIGTERM)
        _, status = os.waitpid(pid, 0)
    finally:
        pid = 0
        for number, handler in before.items():
            signal.signal(number, handler)
    code = os.waitstatus_to_exitcode(status)
    return (128 - code if code < 0 else code), asked


def _reap_orphans() -> None:
    """Wait for the dead worker's children, for a change still under way would come after its undoing."""
    deadline = time.monotonic() + ORPHANS_TIMEOUT
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0 and time.monotonic() > deadline:
            for orphan in Path("/proc/self/task", str(os.getpid()), "children").read_text().split():
                os.kill(int(orphan), signal.SIGKILL)
        if pid == 0:
            time.sleep(0.005)


def _tell(notes: Sequence[object]) -> None:
    for note in notes:
        _say(str(getattr(note, "text", note)))


def _say(text: str) -> None:
    sys.stderr.write(f"kvpnd: {text}\n")
    sys.stderr.flush()


def end_with_supervisor() -> None:
    """Called by the worker at its start: get SIGTERM when the supervisor dies (prctl(2), PR_SET_PDEATHSIG)."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(os.environ.get(PARENT, os.getppid())):  # It died before we asked.
        os.kill(os.getpid(), signal.SIGTERM)


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)
