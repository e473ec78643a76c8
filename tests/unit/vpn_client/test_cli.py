"""The command line as users and scripts meet it: exit codes, streams, start-up."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.testbed.places import ROOT
from vpn_client import cli, commands_show
from vpn_client.exit_codes import ExitCode, Failure

SLOW = ("kubernetes", "asyncio", "ssl", "yaml", "cryptography", "rich", "kvpn_dns", "vpn_tunnel", "subprocess", "socketserver")


@pytest.fixture(autouse=True)
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KVPN_STATE_DIR", str(tmp_path))
    return tmp_path


def test_start_up_imports_nothing_slow(state_dir: Path) -> None:
    done = subprocess.run([sys.executable, "-X", "importtime", "-m", "vpn_client", "status"], cwd=ROOT, text=True,
                          capture_output=True, check=False, env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'dns'}"})
    assert done.returncode == ExitCode.NOT_CONNECTED
    imported = {line.rpartition("|")[2].strip().split(".")[0] for line in done.stderr.splitlines() if "|" in line}
    assert "argparse" in imported
    assert imported.isdisjoint(SLOW)


def test_status_without_a_daemon(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["status"]) == ExitCode.NOT_CONNECTED
    out, err = capsys.readouterr()
    assert out == "not connected: kvpnd is not running\n"
    assert err.startswith("hint: ")


@pytest.mark.parametrize("argv", [[], ["fly"], ["up", "--timeout", "soon"], ["status", "-o", "yaml"], ["keygen"],
                                  ["completion", "csh"]])
def test_usage_errors(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(argv) == ExitCode.USAGE
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("kvpn: ")
    assert "hint: kvpn" in err


@pytest.mark.parametrize("argv", [["--state-dir", "/x/y", "status"], ["status", "--state-dir", "/x/y"]])
def test_the_state_directory_may_be_named_anywhere(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert str(cli.build_parser().parse_args(argv).state_dir) == "/x/y"


def test_quiet_may_be_said_anywhere() -> None:
    for argv in (["-q", "down"], ["down", "-q"]):
        assert cli.build_parser().parse_args(argv).quiet is True


def test_expected_failures_become_their_code(monkeypatch: pytest.MonkeyPatch,
                                             capsys: pytest.CaptureFixture[str]) -> None:
    def fail(*args: object) -> int:
        raise Failure(ExitCode.DENIED, "gateway", "no", "ask")
    monkeypatch.setattr(commands_show, "status", fail)
    assert cli.main(["status"]) == ExitCode.DENIED
    assert capsys.readouterr().err == "kvpn: gateway: no\nhint: ask\n"


def test_an_interrupt_is_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(*args: object) -> int:
        raise KeyboardInterrupt
    monkeypatch.setattr(commands_show, "status", interrupt)
    assert cli.main(["status"]) == ExitCode.INTERRUPTED
    assert capsys.readouterr().err == "interrupted\n"


def test_a_bug_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(*args: object) -> int:
        raise ZeroDivisionError
    monkeypatch.setattr(commands_show, "status", bug)
    with pytest.raises(ZeroDivisionError):
        cli.main(["status"])


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    out = capsys.readouterr().out
    for command in ("up", "down", "status", "doctor", "version", "keygen", "dns", "completion"):
        assert f"    {command} " in out
