"""`up`, `down`, `keygen` from the user's side: rights, spawning, words."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.vpn_client.samples import KEY, OTHER_KEY, PROFILE, SESSION
from vpn_client import cli, commands_connect, leftovers
from vpn_client.control_client import NotRunning
from vpn_client.control_protocol import Method
from vpn_client.exit_codes import ExitCode, Failure
from vpn_client.intent import parse_intent_untrusted
from vpn_client.output import Level

RESULT = {"already": False, "session": SESSION, "daemon": {"version": "0.1.0", "pid": 7}}
STEP = {"name": "transport", "level": "ok", "text": "udp 192.0.2.1:51820", "seconds": 0.06}
Answer = Callable[..., Any]


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    (tmp_path / "laptop.key").write_text(KEY)
    (tmp_path / "laptop.key").chmod(0o600)
    (tmp_path / "laptop.toml").write_text(PROFILE)
    return tmp_path / "laptop.toml"


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Method, Any]]:
    """A daemon that connects."""
    seen: list[tuple[Method, Any]] = []

    def call(state_dir: Path, method: Method, params: Any = None, *, on_step: Answer = lambda step: None,
             timeout: float = 0) -> Any:
        seen.append((method, params))
        on_step(STEP)
        return RESULT
    monkeypatch.setattr(commands_connect, "call", call)
    return seen


def nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    def call(*args: object, **options: object) -> None:
        raise NotRunning(Path("/x"))
    monkeypatch.setattr(commands_connect, "call", call)


def test_up_sends_the_intent_and_says_what_happened(profile: Path, calls: list[tuple[Method, Any]],
                                                    capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["up", "--profile", str(profile), "--include", "10.9.0.0/16", "--exclude", "10.8.0.0/16", "--timeout", "9s"]
    assert cli.main(argv) == ExitCode.OK
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == ["kvpn 0.1.0 · profile laptop.toml · session default",
                                " ✓ transport    udp 192.0.2.1:51820  0.06s",
                                err.splitlines()[2], "Stop: sudo kvpn down"]
    assert "as 198.18.0.2 · 1 routes · cluster.local" in err
    (method, params), = calls
    intent = parse_intent_untrusted(params["intent"])
    assert (method, params["timeout"], params["switch"]) == (Method.UP, 9.0, False)
    assert (intent.private_key, intent.gateway_public_key) == (KEY, OTHER_KEY)
    assert (intent.include, intent.exclude) == (("10.9.0.0/16",), ("10.8.0.0/16",))


@pytest.mark.usefixtures("calls")
def test_up_json_is_the_status_document(profile: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["up", "--profile", str(profile), "-o", "json", "-q"]) == ExitCode.OK
    out, err = capsys.readouterr()
    assert json.loads(out)["sessions"][0]["state"] == "up"
    assert err == ""


@pytest.mark.usefixtures("calls")
def test_already_connected(profile: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(RESULT, "already", True)
    assert cli.main(["up", "--profile", str(profile)]) == ExitCode.OK
    assert "Already connected as 198.18.0.2" in capsys.readouterr().err


@pytest.mark.parametrize(("argv", "why"), [
    ([], "no profile is given"), (["--profile", "/none"], "No such file"), (["--include", "10.0.0.1/8"], "--include"),
    (["--session", "../x"], "session name")])
def test_bad_arguments_are_usage_errors(profile: Path, argv: list[str], why: str,
                                        capsys: pytest.CaptureFixture[str]) -> None:
    full = argv if argv in ([], ["--profile", "/none"]) else ["--profile", str(profile), *argv]
    assert cli.main(["up", *full]) == ExitCode.USAGE
    assert why in capsys.readouterr().err


def test_no_daemon_and_no_root_says_what_to_do(profile: Path, monkeypatch: pytest.MonkeyPatch,
                                               capsys: pytest.CaptureFixture[str]) -> None:
    nobody_listens(monkeypatch)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for more in ([], ["--foreground"]):
        assert cli.main(["up", "--profile", str(profile), *more]) == ExitCode.NO_PERMISSION
        assert "hint: sudo kvpn up" in capsys.readouterr().err


def test_no_daemon_and_root_starts_one(profile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Path] = []

    def call(*args: object, **options: object) -> Any:
        if not started:
            raise NotRunning(Path("/x"))
        return RESULT
    monkeypatch.setattr(commands_connect, "call", call)
    monkeypatch.setattr(commands_connect, "spawn", started.append)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.delenv("SUDO_UID", raising=False)
    assert cli.main(["--state-dir", "/s", "up", "--profile", str(profile)]) == ExitCode.OK
    assert started == [Path("/s")]


def spawned(monkeypatch: pytest.MonkeyPatch, **outcome: Any) -> list[Any]:
    seen: list[Any] = []

    def run(words: list[str], **options: Any) -> Any:
        seen.append((words, options))
        if "raises" in outcome:
            raise outcome["raises"]
        return subprocess.CompletedProcess(words, outcome["code"], "", outcome.get("stderr", ""))
    monkeypatch.setattr(subprocess, "run", run)
    return seen


def test_spawn_holds_no_secret_in_its_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen = spawned(monkeypatch, code=0)
    commands_connect.spawn(tmp_path)
    words, options = seen[0]
    assert words[1:] == ["-m", "vpn_client.daemon", "--background", "--exit-when-idle", "--state-dir", str(tmp_path)]
    assert options["cwd"] == "/"


@pytest.mark.parametrize(("outcome", "why", "code"), [
    ({"code": 1, "stderr": "a\nno /dev/net/tun\n"}, "it did not start: no /dev/net/tun", ExitCode.FAILURE),
    ({"code": 7}, "exit 7", ExitCode.FAILURE),
    ({"raises": subprocess.TimeoutExpired("kvpnd", 15)}, "not listening after 15 s", ExitCode.TIMEOUT)])
def test_a_daemon_that_does_not_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, outcome: dict[str, Any],
                                      why: str, code: ExitCode) -> None:
    spawned(monkeypatch, **outcome)
    with pytest.raises(Failure, match=why) as caught:
        commands_connect.spawn(tmp_path)
    assert caught.value.code is code
    assert "kvpnd.log" in caught.value.fix


def answer_down(monkeypatch: pytest.MonkeyPatch, **result: Any) -> None:
    full = {"sessions": ["default"], "exiting": False, "left": [], **result}
    monkeypatch.setattr(commands_connect, "call", lambda *args, **options: full)


@pytest.mark.parametrize(("result", "code", "words"), [
    ({}, ExitCode.OK, "Disconnected."), ({"sessions": []}, ExitCode.OK, "Already down."),
    ({"left": ["interface kvpn0"]}, ExitCode.FAILURE, "still there: interface kvpn0")])
def test_down_through_the_daemon(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
                                 result: dict[str, Any], code: ExitCode, words: str) -> None:
    answer_down(monkeypatch, **result)
    assert cli.main(["down"]) == code
    assert words in capsys.readouterr().err


def test_down_waits_for_a_daemon_that_has_nothing_left(monkeypatch: pytest.MonkeyPatch) -> None:
    methods: list[Method] = []

    def call(state_dir: Path, method: Method, *args: object, **options: object) -> Any:
        methods.append(method)
        if methods.count(Method.STATUS) == 3:
            raise NotRunning(state_dir)
        return {"sessions": ["default"], "exiting": True, "left": []}
    monkeypatch.setattr(commands_connect, "call", call)
    assert cli.main(["down"]) == ExitCode.OK
    assert methods == [Method.DOWN, Method.STATUS, Method.STATUS, Method.STATUS]


def test_down_without_daemon_and_journal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
                                         capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--state-dir", str(tmp_path), "down"]) == ExitCode.OK
    assert capsys.readouterr().err == "Already down.\n"


@pytest.mark.parametrize(("level", "code", "words"), [
    (Level.OK, ExitCode.OK, "Restored."), (Level.FAIL, ExitCode.FAILURE, "Not everything could be restored.")])
def test_down_undoes_a_dead_daemons_journal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, level: Level,
                                            code: ExitCode, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "journal-default.json").touch()
    monkeypatch.setattr(leftovers, "undo_all", lambda state_dir: [("restore", level, "routes")])
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert cli.main(["--state-dir", str(tmp_path), "down", "--force"]) == code
    assert words in capsys.readouterr().err
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert cli.main(["--state-dir", str(tmp_path), "down"]) == ExitCode.NO_PERMISSION


def test_force_goes_on_when_the_daemon_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def call(*args: object, **options: object) -> None:
        raise Failure(ExitCode.TIMEOUT, "kvpnd", "no word", "")
    monkeypatch.setattr(commands_connect, "call", call)
    assert cli.main(["--state-dir", str(tmp_path), "down"]) == ExitCode.TIMEOUT
    assert cli.main(["--state-dir", str(tmp_path), "down", "--force"]) == ExitCode.OK


def test_keygen_prints_the_public_key_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                            capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("SUDO_UID", raising=False)
    assert cli.main(["keygen", "--private-key-file", str(tmp_path / "k")]) == ExitCode.OK
    out, err = capsys.readouterr()
    assert len(out.strip()) == 44
    assert (tmp_path / "k").read_text().strip() not in out + err


def test_routes_of_flags_are_checked_like_the_profiles() -> None:
    intent = parse_intent_untrusted({**{"session": "default", "profile": "p", "private_key": KEY}, **{
        "addresses": ["198.18.0.2"], "gateway_public_key": KEY, "gateway_address": "198.18.0.1",
        "endpoints": ["192.0.2.1:1"], "include": ["10.0.0.0/8"]}})
    assert commands_connect.with_routes(intent, ["10.1.0.0/16"], []).include == ("10.0.0.0/8", "10.1.0.0/16")
