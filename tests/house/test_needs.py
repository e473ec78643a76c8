"""`needs` skips with a reason and the fix; with CI=true it fails."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.testbed import needs, places


def test_tool_that_exists_is_found() -> None:
    assert needs.tool("sh") == shutil.which("sh")


def test_our_own_build_comes_before_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sh").write_text("#!/bin/true\n")
    (tmp_path / "sh").chmod(0o755)
    monkeypatch.setattr(places, "BIN", tmp_path)
    assert needs.tool("sh") == str(tmp_path / "sh")


def test_missing_tool_skips_with_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no-such-program is not installed; fix: scripts/test"):
        needs.tool("no-such-program")


def test_missing_tool_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=r"nothing may be skipped.*no-such-program"):
        needs.tool("no-such-program")


def test_other_users_than_root_skip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(pytest.skip.Exception, match="not root; fix"):
        needs.root()


def test_cached_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(needs, "ROOT", tmp_path)
    with pytest.raises(pytest.skip.Exception, match=r"\.cache/debs/x is not there"):
        needs.cached("debs/x")
    (tmp_path / ".cache/debs").mkdir(parents=True)
    assert needs.cached("debs") == tmp_path / ".cache/debs"
