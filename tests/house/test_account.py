"""The suite's own plugin (tests/conftest.py), run on a small suite of its own in another process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.testbed.needs import ROOT

SUITE = """
import pytest
def test_good(): pass
def test_skips(): pytest.skip("no moon tonight")
@pytest.mark.xfail(reason="known")
def test_expected(): assert False
"""


def run_suite(folder: Path, ci: str, text: str = SUITE) -> subprocess.CompletedProcess[str]:
    (folder / "test_small.py").write_text(text)
    return subprocess.run([sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", "-q",
                           "-c", os.devnull, "--rootdir", str(folder), str(folder)],
                          env={**os.environ, "CI": ci, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)


@pytest.mark.slow
def test_skips_are_listed_with_their_reason(tmp_path: Path) -> None:
    done = run_suite(tmp_path, ci="")
    assert done.returncode == 0
    assert "test_small.py::test_skips: no moon tonight" in done.stdout
    assert "1 passed, 2 skipped" in done.stdout


@pytest.mark.slow
def test_with_ci_a_skip_is_a_failure_and_an_expected_failure_is_not(tmp_path: Path) -> None:
    done = run_suite(tmp_path, ci="true")
    assert done.returncode == 1
    assert "1 failed, 1 passed, 1 xfailed" in done.stdout
    assert "with CI=true nothing may be skipped: no moon tonight" in done.stdout


@pytest.mark.slow
def test_with_ci_a_file_cannot_skip_itself(tmp_path: Path) -> None:
    text = "import pytest\npytest.importorskip('no_such_module')\ndef test_good(): pass\n"
    assert run_suite(tmp_path, ci="", text=text).returncode == 5
    assert run_suite(tmp_path, ci="true", text=text).returncode not in (0, 5)
