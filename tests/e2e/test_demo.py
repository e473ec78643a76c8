"""The demo is a promise of the README: it runs to its end and proves all it says."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from tests.testbed import needs
from tests.testbed.places import ROOT

DEMO_SECONDS = 60
"""What the demo promises, once everything is installed."""


@pytest.mark.root
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_demo_proves_everything_and_leaves_no_namespace() -> None:
    for name in ("nft", "curl", "dig", "ping", "wg"):
        needs.tool(name)
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "tests.testbed.demo"], cwd=ROOT, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True)
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    assert "FAILED" not in output
    assert time.monotonic() - began <= DEMO_SECONDS
    listed = subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout
    assert f"kv{process.pid % 1000000}x" not in listed
