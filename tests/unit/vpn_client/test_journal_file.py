"""The journal on disk: durable before the change, private, owned by one living process."""

from __future__ import annotations

import fcntl
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from vpn_client.journal import Entry, Firewall, Link, Routes, encode
from vpn_client.journal_file import JournalBusy, JournalFile, has_living_owner, journal_path, ownerless, session_of

ONE, TWO = Firewall("kvpn_a"), Routes("kvpn0")


def test_what_was_recorded_is_there_at_the_next_start(tmp_path: Path) -> None:
    path = journal_path(tmp_path / "state", "a")
    first = JournalFile(path, "a")
    first.record(ONE)
    first.record(TWO)
    assert path.read_bytes() == encode("a", ONE) + encode("a", TWO)
    first.close()
    assert first.closed
    again = JournalFile(path, "a")
    assert again.entries == [ONE, TWO]
    again.remove()
    assert not path.exists()


def test_it_is_private(tmp_path: Path) -> None:
    path = tmp_path / "journal-a.json"
    JournalFile(path, "a").close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_symlink_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("x")
    path = tmp_path / "journal-a.json"
    path.symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="symbolic links"):
        JournalFile(path, "a")


def test_an_entry_is_synced_when_its_change_may_begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, order = tmp_path / "journal-a.json", list[str]()
    real = os.fsync

    def fsync(fd: int) -> None:
        order.append("synced")
        real(fd)

    def recorded(entry: Entry) -> None:
        order.append("told")
        assert encode("a", entry) in path.read_bytes()

    monkeypatch.setattr(os, "fsync", fsync)
    JournalFile(path, "a", recorded=recorded).record(ONE)
    assert order == ["synced", "told"]


def test_an_equal_entry_is_written_once(tmp_path: Path) -> None:
    told: list[Entry] = []
    journal = JournalFile(tmp_path / "journal-a.json", "a", recorded=told.append)
    for _ in range(3):
        journal.record(ONE)
    journal.record(Link("kvpn0", 1500, True))
    assert len(told) == 2 == journal.path.read_bytes().count(b"\n")


def test_a_torn_last_line_is_dropped_and_written_over(tmp_path: Path) -> None:
    path = tmp_path / "journal-a.json"
    path.write_bytes(encode("a", ONE) + encode("a", TWO)[:-5])
    journal = JournalFile(path, "a")
    assert journal.entries == [ONE]
    journal.record(TWO)
    assert path.read_bytes() == encode("a", ONE) + encode("a", TWO)


def test_bad_lines_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "journal-a.json"
    path.write_bytes(b"garbage\n" + encode("a", ONE))
    journal = JournalFile(path, "a")
    assert (journal.entries, journal.bad_lines) == ([ONE], 1)


def test_a_living_owner_is_respected_and_a_dead_one_is_not(tmp_path: Path) -> None:
    path = journal_path(tmp_path, "a")
    words = ("import sys,pathlib; from vpn_client.journal_file import JournalFile; "
             "j = JournalFile(pathlib.Path(sys.argv[1]), 'a'); print('held', flush=True); sys.stdin.read()")
    with subprocess.Popen([sys.executable, "-c", words, str(path)], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"held\n"
        with pytest.raises(JournalBusy, match="kvpn down"):
            JournalFile(path, "a")
        assert list(ownerless(tmp_path)) == []
        assert has_living_owner(path)
        owner.kill()
        owner.wait()
    assert not has_living_owner(path)
    assert not has_living_owner(tmp_path / "none")
    (journal,) = ownerless(tmp_path)
    assert session_of(journal.path) == "a"
    journal.remove()


def test_a_file_that_its_last_owner_removes_while_we_open_it_is_not_used(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, locks = tmp_path / "journal-a.json", list[int]()
    real = fcntl.flock

    def flock(fd: int, operation: int) -> None:
        if not locks:
            path.unlink()
        locks.append(fd)
        real(fd, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    journal = JournalFile(path, "a")
    journal.record(ONE)
    assert len(locks) == 2
    assert path.read_bytes() == encode("a", ONE)
