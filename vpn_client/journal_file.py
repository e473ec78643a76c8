"""I/O: the journal of one session on disk: append, fsync, read, remove; and which journals have a living owner.

Owns the file and its lock. Leaves to others: what the lines mean (`journal`). The owner holds an exclusive flock(2) on
the file for as long as it lives, and the kernel drops it at its death, so that nobody undoes a living session.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from vpn_client.journal import Entry, decode_all, encode

PREFIX: Final = "journal-"
SUFFIX: Final = ".json"


class JournalBusy(Exception):
    """The journal belongs to a living process."""


class JournalFile:
    """An open, locked journal. Each entry is on disk when `record` returns."""

    def __init__(self, path: Path, session: str, *, recorded: Callable[[Entry], None] | None = None) -> None:
        """Open or create it; JournalBusy if its owner lives, OSError if it cannot be written.

        `recorded` is called after each new entry is on disk and before its change is made.
        """
        self.path = path
        self._session = session
        self._recorded = recorded
        self._fd = _open_locked(path)
        self.entries, self.bad_lines = decode_all(_read(self._fd))
        os.ftruncate(self._fd, _end_of_last_line(self._fd))

    def record(self, entry: Entry) -> None:
        """Append and fsync, unless the very same entry is there already."""
        if entry in self.entries:
            return
        os.lseek(self._fd, 0, os.SEEK_END)
        _write_all(self._fd, encode(self._session, entry))
        os.fsync(self._fd)
        self.entries.append(entry)
        if self._recorded is not None:
            self._recorded(entry)

    def remove(self) -> None:
        """Delete the file, as its last act before the lock goes."""
        self.path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Let go of the lock; the file stays."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    @property
    def closed(self) -> bool:
        """Whether the lock has been let go of."""
        return self._fd < 0


def journal_path(state_dir: Path, session: str) -> Path:
    """Where a session's journal is."""
    return state_dir / f"{PREFIX}{session}{SUFFIX}"


def session_of(path: Path) -> str:
    """The session whose journal `path` is."""
    return path.name.removeprefix(PREFIX).removesuffix(SUFFIX)


def ownerless(state_dir: Path) -> Iterator[JournalFile]:
    """Every journal in `state_dir` whose owner is dead, open and locked; the caller removes or closes it."""
    for path in sorted(state_dir.glob(f"{PREFIX}*{SUFFIX}")):
        try:
            yield JournalFile(path, session_of(path))
        except JournalBusy:
            continue


def has_living_owner(path: Path) -> bool:
    """Whether some process holds the journal at `path`."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _open_locked(path: Path) -> int:
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            raise JournalBusy(f"{path} belongs to a running kvpnd; fix: kvpn down") from None
        # Its last owner may have removed the file between our open and our lock.
        if path.exists() and os.path.samestat(os.fstat(fd), path.stat()):
            return fd
        os.close(fd)


def _read(fd: int) -> bytes:
    return os.pread(fd, os.fstat(fd).st_size, 0)


def _end_of_last_line(fd: int) -> int:
    return _read(fd).rfind(b"\n") + 1


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data):]
