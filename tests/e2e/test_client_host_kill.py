"""SIGKILL at every journal entry and at random moments leaves the host as it was."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench.kills import kill_both, kill_worker
from tests.testbed.host_rig import LIMIT, ORIGINAL, HostRig, kill
from tests.testbed.netns import stop
from vpn_client.journal_file import journal_path

pytestmark = [pytest.mark.root, pytest.mark.slow]
ENTRIES = 8
"""Device, firewall, link, two addresses, routes, resolver; and the resolver once more when its search list changes."""


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[HostRig]:
    with HostRig(tmp_path) as made:
        yield made


@pytest.fixture(params=["bind mount", "file", "symlink", "missing"])
def resolver_rig(request: pytest.FixtureRequest, rig: HostRig, tmp_path: Path) -> HostRig:
    etc = tmp_path / "etc"
    etc.mkdir()
    if request.param == "file":
        (etc / "resolv.conf").write_text(ORIGINAL)
        (etc / "resolv.conf").chmod(0o640)
    if request.param == "symlink":
        (etc / "stub.conf").write_text(ORIGINAL)
        (etc / "resolv.conf").symlink_to("stub.conf")
    if request.param != "bind mount":
        rig.use_file(etc / "resolv.conf")
    return rig


def test_an_orderly_end_restores_exactly(resolver_rig: HostRig) -> None:
    before = resolver_rig.snapshot()
    supervisor = resolver_rig.supervised()
    resolver_rig.ready()
    during = resolver_rig.snapshot()
    assert {key for key in before if during[key] != before[key]} >= {
        "addr", "nft", "route -4", "route -6", "resolv.conf", "state"}
    assert stop(supervisor) == 0
    assert resolver_rig.snapshot() == before


def test_killed_at_every_journal_entry_the_supervisor_restores(resolver_rig: HostRig) -> None:
    before = resolver_rig.snapshot()
    for entry in range(1, ENTRIES + 1):
        supervisor = resolver_rig.supervised("--die-at", str(entry))
        assert supervisor.wait(20) == 128 + 9, f"it has fewer than {entry} entries"
        assert resolver_rig.snapshot() == before, f"killed at entry {entry}"


def test_killed_at_every_journal_entry_the_next_start_restores(resolver_rig: HostRig) -> None:
    before = resolver_rig.snapshot()
    for entry in range(1, ENTRIES + 1):
        worker = resolver_rig.start(resolver_rig.worker_words("--die-at", str(entry)))
        assert worker.wait(20) == -9
        left = resolver_rig.snapshot()
        assert left["state"] == ["journal-default.json"]
        resolver_rig.restore()
        assert resolver_rig.snapshot() == before, f"killed at entry {entry}"


def test_killed_while_undoing(rig: HostRig) -> None:
    before = rig.snapshot()
    supervisor = rig.supervised("--die-undoing")
    rig.ready()
    supervisor.terminate()
    assert supervisor.wait(20) == 128 + 9
    assert rig.snapshot() == before


def test_random_kills_of_the_worker(rig: HostRig) -> None:
    assert max(kill_worker(rig, 25, random.Random(1))) <= LIMIT


def test_random_kills_of_both(rig: HostRig) -> None:
    assert len(kill_both(rig, 15, random.Random(2))) == 15


def test_when_only_the_supervisor_dies_the_worker_restores_and_ends(rig: HostRig) -> None:
    before = rig.snapshot()
    supervisor = rig.supervised()
    rig.ready()
    since = kill(supervisor.pid)
    rig.restored(before, since)


def test_after_a_power_cut_the_file_says_itself_what_it_was(resolver_rig: HostRig) -> None:
    """/run is gone, /etc is not."""
    before = resolver_rig.snapshot()
    worker = resolver_rig.start(resolver_rig.worker_words())
    resolver_rig.ready()
    kill(worker.pid)
    worker.wait()
    journal_path(resolver_rig.state_dir, "default").unlink()
    assert "from its own comments" in resolver_rig.restore()
    assert resolver_rig.snapshot()["resolv.conf"] == before["resolv.conf"]


def test_a_living_session_is_left_alone(rig: HostRig) -> None:
    rig.supervised()
    rig.ready()
    assert rig.restore() == "\n"
    assert "kvpn" in rig.snapshot()["nft"]
