"""Where the examination runs."""

from pathlib import Path

import pytest

from tests.unit.vpn_client.test_doctor_checks import HEALTHY
from vpn_client import doctor
from vpn_client.control_client import NotRunning
from vpn_client.doctor_checks import Finding
from vpn_client.output import Level


def test_with_a_daemon_its_eyes_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = {"name": "a", "level": "warn", "evidence": "b", "fix": "c"}
    monkeypatch.setattr(doctor, "call", lambda *args, **options: {"checks": [raw]})
    assert doctor.run(tmp_path, None) == [Finding("a", Level.WARN, "b", "c")]


def test_without_one_our_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(*args: object, **options: object) -> None:
        raise NotRunning(tmp_path)
    monkeypatch.setattr(doctor, "call", nobody)
    monkeypatch.setattr(doctor, "gather", lambda *args, **options: HEALTHY)
    assert {each.level for each in doctor.run(tmp_path, None)} == {Level.OK}
    assert doctor.examine(tmp_path, {})


@pytest.mark.parametrize(("levels", "worst"), [
    ([], Level.OK), ([Level.OK, Level.WARN], Level.WARN), ([Level.FAIL, Level.WARN], Level.FAIL)])
def test_the_worst_level_counts(levels: list[Level], worst: Level) -> None:
    assert doctor.worst([Finding("a", level, "b") for level in levels]) is worst
