"""Finding journals with no daemon, and undoing them."""

from pathlib import Path

import pytest

from vpn_client.host_plan import Note
from vpn_client.leftovers import journals, undo_all
from vpn_client.linux_host import LinuxHost
from vpn_client.output import Level


def test_only_journals_are_journals(tmp_path: Path) -> None:
    for name in ("journal-default.json", "journal-ci.json", "kvpnd.lock", "journal.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in journals(tmp_path)] == ["journal-ci.json", "journal-default.json"]
    assert journals(tmp_path / "absent") == []


def test_what_is_undone_is_said_and_what_stays_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notes = [Note("restore", "routes")]
    monkeypatch.setattr(LinuxHost, "undo_leftovers", staticmethod(lambda state_dir: notes))
    assert undo_all(tmp_path) == [("restore", Level.OK, "routes")]
    (tmp_path / "journal-default.json").touch()
    assert undo_all(tmp_path)[1][:2] == ("journal", Level.FAIL)
