"""I/O: replacing a resolv.conf and putting the original back, whatever moment we may be killed at.

Owns atomic replacement, writing in place where the file is a mount point or its folder is read-only, and telling our
file from anyone else's. Leaves to others: the text (`resolv_conf`), when (`linux_resolver`, `linux_undo`).
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import Final

from vpn_client.host_observe import LINUX, Paths, is_mount
from vpn_client.journal import ResolverFile
from vpn_client.journal_file import has_living_owner
from vpn_client.resolv_conf import is_ours, original, render

MODE: Final = 0o644
_LABEL: Final = "security.selinux"


def plan_file(path: Path, *, server: str, search: tuple[str, ...], journal: Path,
              paths: Paths = LINUX) -> ResolverFile:
    """What we would write and what is there, as the entry to journal first. Reads only."""
    target = path if renameable(path, paths) else path.resolve()
    before = read_state(target)
    found = original(before.before) if before.kind == "file" else None
    if found is not None:  # Written by us: what counts is what it replaced.
        before = ResolverFile(before.path, found.kind, found.content, "", before.mode, before.uid, before.gid)
    was = _text_behind(path) if before.kind == "symlink" else before.before if before.kind == "file" else None
    text = render(was, server=server, search=search, journal=str(journal),
                  symlink=before.before if before.kind == "symlink" else "")
    return ResolverFile(before.path, before.kind, before.before, text, before.mode, before.uid, before.gid)


def _text_behind(path: Path) -> str | None:
    try:
        return path.read_bytes().decode("latin-1")
    except OSError:
        return None


def read_state(path: Path) -> ResolverFile:
    """The file as it is now, in the form of an entry that would leave it so."""
    try:
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            return ResolverFile(str(path), "symlink", os.readlink(path), "")
        content = path.read_bytes().decode("latin-1")
    except FileNotFoundError:
        return ResolverFile(str(path), "missing", "", "")
    return ResolverFile(str(path), "file", content, "", stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)


def renameable(path: Path, paths: Paths = LINUX) -> bool:
    """Whether a new file can be renamed over it: not a mount point, in a folder that we may write."""
    return os.access(path.parent, os.W_OK) and not is_mount(path, paths)


def write(entry: ResolverFile) -> None:
    """Put our text there."""
    mode = entry.mode if entry.kind == "file" else MODE
    _put(Path(entry.path), entry.ours, mode, entry.uid, entry.gid)


def restore(entry: ResolverFile) -> bool:
    """Put back what was there; False, and nothing done, if someone else has written the file since. Idempotent."""
    path = Path(entry.path)
    _temporary(path).unlink(missing_ok=True)
    now = read_state(path)
    if (now.kind, now.before) == (entry.kind, entry.before):
        return True
    if now.kind != "file" or not _is_this(now.before, entry):
        return False
    _put_back(path, entry)
    return True


def _put_back(path: Path, entry: ResolverFile) -> None:
    if entry.kind == "missing":
        path.unlink()
    elif entry.kind == "symlink":
        os.symlink(entry.before, _temporary(path))
        os.replace(_temporary(path), path)
    else:
        _put(path, entry.before, entry.mode, entry.uid, entry.gid)


def _is_this(text: str, entry: ResolverFile) -> bool:
    """Whether `text` is what this entry wrote, or what a death while writing or restoring in place leaves."""
    old = entry.before if entry.kind == "file" else ""
    return text == entry.ours or _torn(text, entry.ours, old) or _torn(text, old, entry.ours)


def _torn(text: str, new: str, old: str) -> bool:
    """Whether `text` is `old` with the beginning of `new` written over it."""
    done = next((i for i, (one, other) in enumerate(zip(text, new, strict=False)) if one != other),
                min(len(text), len(new)))
    return text == new[:done] + old[done:]


def restore_orphan(path: Path) -> bool:
    """Restore a file of ours from what it says itself, unless its session lives.

    For the journal is in /run and does not survive a power cut.
    """
    now = read_state(path)
    found = original(now.before) if now.kind == "file" else None
    if found is None or has_living_owner(Path(found.journal)):
        return False
    return restore(ResolverFile(str(path), found.kind, found.content, now.before, now.mode, now.uid, now.gid))


def belongs_to_another(path: Path, journal: Path) -> bool:
    """Whether a living session other than the one with this journal has written the file."""
    now = read_state(path)
    found = original(now.before) if now.kind == "file" and is_ours(now.before) else None
    return found is not None and found.journal != str(journal) and has_living_owner(Path(found.journal))


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.kvpn")


def _put(path: Path, text: str, mode: int, uid: int, gid: int) -> None:
    """Atomically where the file can be renamed over, else in place: a mount point, or a folder we may not write."""
    data = text.encode("latin-1")
    if renameable(path):
        _replace(path, data, mode, uid, gid)
    else:
        _overwrite(path, data)


def _replace(path: Path, data: bytes, mode: int, uid: int, gid: int) -> None:
    temporary = _temporary(path)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(temporary, flags, 0o600), "wb") as file:
        os.fchown(file.fileno(), uid, gid)
        os.fchmod(file.fileno(), mode)
        with contextlib.suppress(OSError):
            os.setxattr(file.fileno(), _LABEL, os.getxattr(path, _LABEL))
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def _overwrite(path: Path, data: bytes) -> None:
    """One write, then the length: a death between the two leaves a tail that `_torn` knows."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, MODE)
    try:
        os.pwrite(fd, data, 0)
        os.ftruncate(fd, len(data))
        os.fsync(fd)
    finally:
        os.close(fd)
