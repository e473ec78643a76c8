"""The commands that look, against canned answers of a daemon."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.vpn_client.samples import SESSION
from vpn_client import cli, commands_show, doctor
from vpn_client.control_client import NotRunning
from vpn_client.control_protocol import Step
from vpn_client.doctor_checks import Finding
from vpn_client.exit_codes import ExitCode, Failure
from vpn_client.output import Level

STATUS = {"version": 1, "daemon": {"version": "0.0.9", "pid": 7}, "sessions": [SESSION]}


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the daemon answers."""
    answer = json.loads(json.dumps(STATUS))
    monkeypatch.setattr(commands_show, "call", lambda *args, **options: answer)
    return dict(answer)


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise NotRunning(Path("/x"))
    monkeypatch.setattr(commands_show, "call", refuse)


@pytest.mark.usefixtures("daemon")
def test_status_as_text_and_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["status"]) == ExitCode.OK
    assert capsys.readouterr().out.startswith("default  UP for 2 h 13 min")
    assert cli.main(["status", "-o", "json"]) == ExitCode.OK
    assert json.loads(capsys.readouterr().out) == STATUS


@pytest.mark.usefixtures("daemon")
def test_status_of_one_session(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["status", "--session", "other", "-o", "json"]) == ExitCode.NOT_CONNECTED
    assert json.loads(capsys.readouterr().out)["sessions"] == []


@pytest.mark.usefixtures("nobody")
def test_status_without_a_daemon_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["status", "-o", "json"]) == ExitCode.NOT_CONNECTED
    assert json.loads(capsys.readouterr().out) == {"version": 1, "daemon": None, "sessions": []}


def test_watch_prints_each_status_until_the_daemon_goes(monkeypatch: pytest.MonkeyPatch,
                                                        capsys: pytest.CaptureFixture[str]) -> None:
    def replies(*args: object, **options: object) -> Iterator[object]:
        yield Step(STATUS)
        yield Step(STATUS)
    monkeypatch.setattr(commands_show, "replies", replies)
    assert cli.main(["status", "--watch", "-o", "json"]) == ExitCode.NOT_CONNECTED
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [STATUS, STATUS]


def test_watch_ends_with_the_daemons_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands_show, "replies", lambda *args, **options: iter(
        [Failure(ExitCode.FAILURE, "kvpnd", "too many callers", "wait")]))
    assert cli.main(["status", "--watch"]) == ExitCode.FAILURE


@pytest.mark.usefixtures("daemon")
def test_version_names_all_and_hints_at_a_skew(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["version"]) == ExitCode.OK
    out, err = capsys.readouterr()
    assert out.splitlines() == ["client   0.1.0", "daemon   0.0.9", "gateway  0.1.0 (default)"]
    assert "versions differ: 0.0.9" in err
    assert cli.main(["version", "-o", "json"]) == ExitCode.OK
    assert json.loads(capsys.readouterr().out)["gateways"] == {"default": "0.1.0"}


@pytest.mark.usefixtures("nobody")
def test_version_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["version"]) == ExitCode.OK
    assert capsys.readouterr() == ("client   0.1.0\ndaemon   not running\n", "")
    assert cli.main(["version", "--client", "-o", "json"]) == ExitCode.OK
    assert json.loads(capsys.readouterr().out) == {"version": 1, "client": "0.1.0"}


@pytest.mark.parametrize(("level", "code", "fix"), [
    (Level.OK, ExitCode.OK, False), (Level.WARN, ExitCode.OK, True), (Level.FAIL, ExitCode.FAILURE, True)])
def test_doctor_prints_findings_with_their_fix(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
                                               level: Level, code: ExitCode, fix: bool) -> None:
    monkeypatch.setattr(doctor, "run", lambda *args: [Finding("mtu", level, "1420", "lower it")])
    assert cli.main(["doctor"]) == code
    assert ("fix: lower it" in capsys.readouterr().out) is fix
    assert cli.main(["doctor", "-o", "json"]) == code
    assert json.loads(capsys.readouterr().out)["checks"][0]["level"] == level


def test_completion_knows_the_commands_of_dns_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["completion", "bash"]) == ExitCode.OK
    assert "dns serve" in capsys.readouterr().out


def test_dns_is_handed_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["dns", "dump"]) == ExitCode.USAGE
    assert "kvpn dns dump: " in capsys.readouterr().err
    assert cli.main(["dns", "dump", "--objects", "/none"]) == 1
