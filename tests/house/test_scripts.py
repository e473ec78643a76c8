"""The commands' shared set-up: says what it installs, asks for nothing that is there, and is done in a moment then."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.testbed import needs
from tests.testbed.places import ROOT


def bash(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-c", f"set -euo pipefail; . scripts/lib/bootstrap.sh; {script}"], cwd=ROOT,
                          capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)


@pytest.mark.parametrize(("version", "good"), [("go1.26", True), ("go1.23", True), ("go1.22", False), ("go1.9", False)])
def test_go_is_new_enough(version: str, good: bool) -> None:
    assert (bash(f"new_enough {version}").returncode == 0) is good


def test_missing_packages_are_said_and_each_is_named_once() -> None:
    done = bash("install_quietly() { echo \"apt: $*\"; }; have() { [[ $1 != iperf3 && $1 != dig ]]; }; "
                "system_packages $DEMO_NEEDS $TEST_NEEDS")
    assert "installing Debian packages: bind9-dnsutils iperf3\n" in done.stderr
    if os.geteuid() == 0:
        assert done.stdout == "apt: bind9-dnsutils iperf3\n"
    else:
        assert "fix: run as root once, or: apt-get install bind9-dnsutils iperf3" in done.stderr


def test_nothing_is_asked_for_when_all_is_there() -> None:
    done = bash("install_quietly() { echo asked; }; have() { true; }; system_packages $DEMO_NEEDS $TEST_NEEDS")
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


def test_without_apt_the_fix_is_said() -> None:
    done = bash("have() { [[ $1 != ip && $1 != apt-get ]]; }; system_packages $DEMO_NEEDS")
    assert done.returncode == 69
    assert "missing: iproute2; fix: install them" in done.stderr


def test_a_second_bootstrap_says_nothing() -> None:
    if not (ROOT / ".venv/kvpn-stamp").exists():
        needs.missing("this virtual environment was not made by scripts/lib/bootstrap.sh")
    done = bash("bootstrap test >/dev/null 2>&1; bootstrap test")
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


@pytest.mark.parametrize("name", ["demo", "test", "check", "bench"])
def test_each_command_is_a_few_lines_over_the_shared_set_up(name: str) -> None:
    lines = (ROOT / "scripts" / name).read_text().splitlines()
    assert ". scripts/lib/bootstrap.sh" in lines
    assert len(lines) < 25


def test_bench_names_what_it_can_measure() -> None:
    done = subprocess.run([ROOT / "scripts/bench", "nonsense"], capture_output=True, text=True)
    assert done.returncode == 64
    assert "usage: scripts/bench tunnel|dns|" in done.stderr
