"""The daemon's processes: one per state directory, ready or with a reason, nothing secret in argv."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.unit.vpn_client.samples import INTENT, KEY
from vpn_client import daemon, leftovers, supervisor
from vpn_client.exit_codes import ExitCode, Failure
from vpn_client.host_plan import Note
from vpn_client.intent import parse_intent_untrusted
from vpn_client.linux_host import LinuxHost
from vpn_client.output import Level


@pytest.fixture
def supervised(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """A supervisor that only remembers what it was asked for, and reads the intent as the worker would."""
    seen: list[dict[str, Any]] = []

    def supervise(words: list[str], state_dir: Path) -> int:
        fds = {words[at]: int(words[at + 1]) for at in range(len(words) - 1) if words[at].endswith("-fd")}
        assert all(os.get_inheritable(fd) for fd in fds.values())
        intent = daemon._read_params(os.dup(fds["--up-fd"])) if "--up-fd" in fds else None
        seen.append({"words": words, "intent": intent})
        return 0
    monkeypatch.setattr(supervisor, "supervise", supervise)
    monkeypatch.setattr(LinuxHost, "undo_leftovers", staticmethod(lambda state_dir: [Note("dns", "file restored")]))
    return seen


def test_the_worker_is_told_what_was_restored(tmp_path: Path, supervised: list[dict[str, Any]]) -> None:
    assert daemon.main(["--state-dir", str(tmp_path / "run"), "--exit-when-idle", "-v"]) == 0
    words = supervised[0]["words"]
    assert words[1:6] == ["-m", "vpn_client.daemon", "--worker", "--state-dir", str(tmp_path / "run")]
    assert json.loads(words[words.index("--restored") + 1]) == [["dns", "ok", "file restored"]]
    assert {"--exit-when-idle", "-v"} <= set(words)
    assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o755


def test_one_daemon_per_state_directory(tmp_path: Path, supervised: list[dict[str, Any]],
                                        capsys: pytest.CaptureFixture[str]) -> None:
    lock = daemon._lock(tmp_path)
    assert daemon.main(["--state-dir", str(tmp_path)]) == ExitCode.FAILURE
    assert "another one runs" in capsys.readouterr().err
    assert supervised == []
    os.close(lock)
    assert daemon.main(["--state-dir", str(tmp_path)]) == 0


def test_the_foreground_intent_is_in_memory_not_in_argv(tmp_path: Path, supervised: list[dict[str, Any]]) -> None:
    intent = parse_intent_untrusted(INTENT)
    assert daemon.run_foreground(tmp_path, intent, 9.0, owner=1000) == 0
    got = supervised[0]
    assert parse_intent_untrusted(got["intent"]["intent"]) == intent
    assert (got["intent"]["timeout"], got["intent"]["owner"]) == (9.0, 1000)
    assert KEY not in " ".join(got["words"])


def test_a_state_directory_that_cannot_be_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert daemon.main(["--state-dir", str(tmp_path / "file" / "x")]) == ExitCode.FAILURE
    assert "state directory" in capsys.readouterr().err


@pytest.mark.parametrize(("level", "code"), [(Level.OK, ExitCode.OK), (Level.FAIL, ExitCode.FAILURE)])
def test_cleanup_only_restores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, level: Level, code: ExitCode,
                               capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(leftovers, "undo_all", lambda state_dir: [("restore", level, "routes")])
    assert daemon.main(["--state-dir", str(tmp_path), "--cleanup"]) == code
    assert "restore" in capsys.readouterr().err


def test_the_background_daemons_last_words_reach_its_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    monkeypatch.setattr(daemon, "_redirect", lambda path: None)
    monkeypatch.setattr(os, "chdir", lambda path: None)

    def fail(args: object, inherited: object) -> int:
        raise Failure(ExitCode.NO_PERMISSION, "lock", "not yours", "sudo")
    monkeypatch.setattr(daemon, "_supervise", fail)
    before = os.umask(0o022)
    os.umask(before)
    try:
        assert daemon._as_daemon(daemon._parser().parse_args(["--state-dir", str(tmp_path)]), writing) == 77
    finally:
        os.umask(before)
    os.close(writing)
    with open(reading, "rb") as pipe:
        assert pipe.read() == b"lock: not yours; fix: sudo\n"


def test_the_log_is_for_root_only(tmp_path: Path) -> None:
    code = os.fork()
    if code == 0:
        daemon._redirect(tmp_path / "deep" / "kvpnd.log")
        os.write(2, b"hello")
        os._exit(0)
    os.waitpid(code, 0)
    log = tmp_path / "deep" / "kvpnd.log"
    assert log.read_text() == "hello"
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_ready_is_said_once_and_nobody_listening_is_fine() -> None:
    reading, writing = os.pipe()
    daemon._say_ready(writing)
    with open(reading, "rb") as pipe:
        assert pipe.read() == daemon.READY
    reading, writing = os.pipe()
    os.close(reading)
    daemon._say_ready(writing)
    daemon._say_ready(None)
