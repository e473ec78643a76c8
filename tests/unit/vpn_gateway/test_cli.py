"""Commands by their output and exit code."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import yaml

from tests.unit.vpn_gateway.objects import peer
from vpn_gateway.cli import main
from vpn_gateway.exit_codes import ExitCode


@pytest.fixture
def objects(tmp_path: Path) -> Path:
    path = tmp_path / "peers.yaml"
    path.write_text(yaml.safe_dump_all([peer("laptop"), peer("ci")]))
    return path


def test_run_refuses_to_be_open_by_absence(objects: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--objects", str(objects), "--private-key-file", "k"]) == ExitCode.USAGE
    assert "--open" in capsys.readouterr().err


def test_peers_and_profile_agree(objects: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["peers", "--objects", str(objects)]) == 0
    addresses = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}
    assert main(["profile", "laptop", "--objects", str(objects), "--private-key-file", str(tmp_path / "key"),
                 "--endpoint", "[2001:db8::1]:51820"]) == 0
    profile = tomllib.loads(capsys.readouterr().out)
    assert profile["interface"]["addresses"] == addresses["laptop"]
    assert profile["gateway"]["endpoints"] == ["[2001:db8::1]:51820"]


@pytest.mark.parametrize(("words", "code", "said"), [
    (["profile", "nobody", "--endpoint", "192.0.2.1:5"], ExitCode.FAILURE, "peers in force: ci, laptop"),
    (["profile", "ci", "--endpoint", "host"], ExitCode.USAGE, "--endpoint"),
    (["profile", "ci", "--endpoint", "192.0.2.1:5", "--pool4", "x"], ExitCode.USAGE, "--pool4"),
    (["profile", "ci", "--endpoint", "192.0.2.1:5", "--cluster-domain", "x."], ExitCode.USAGE, "--cluster-domain"),
    (["profile", "ci", "--endpoint", "192.0.2.1:5", "--pool6", "fd00::%x }/64"], ExitCode.USAGE, "has no scope")])
def test_errors_name_the_fix(objects: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str],
                             code: ExitCode, said: str) -> None:
    assert main([*words, "--objects", str(objects), "--private-key-file", str(tmp_path / "key")]) == code
    assert said in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    assert capsys.readouterr().out.count(".") == 2
