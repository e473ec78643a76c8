"""I/O: `scripts/bench kills`: SIGKILL the worker, or worker and supervisor, at random moments; is the host as before?

Prints how many left something behind (none may) and how long restoring took. The suite runs a small share of it.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.testbed.host_rig import LIMIT, HostRig, kill

SPAN = 0.6
"""Seconds after its start within which the worker is killed: start-up, the first changes, later ones."""


def kill_worker(rig: HostRig, count: int, choose: random.Random) -> list[float]:
    """Kill the worker `count` times; returns the seconds until the host was as before. AssertionError if it was not."""
    before, took = rig.snapshot(), []
    for _ in range(count):
        supervisor = rig.supervised()
        since = kill(rig.wait_for_worker(supervisor, choose.uniform(0, SPAN)))
        took.append(rig.restored(before, since))
        supervisor.wait(5)
    return took


def kill_both(rig: HostRig, count: int, choose: random.Random) -> list[float]:
    """Kill supervisor and worker `count` times; returns the seconds that the next start took to restore the host."""
    before, took = rig.snapshot(), []
    for _ in range(count):
        supervisor = rig.supervised()
        worker = rig.wait_for_worker(supervisor, choose.uniform(0, SPAN))
        kill(supervisor.pid)
        since = kill(worker)
        supervisor.wait(5)
        rig.restore()
        took.append(time.monotonic() - since)
        assert rig.snapshot() == before, "the next start left something behind"
    return took


def main(argv: Sequence[str] | None = None) -> int:
    """Run, print, exit 1 if anything was left behind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worker", type=int, default=200, help="kills of the worker alone")
    parser.add_argument("--both", type=int, default=100, help="kills of worker and supervisor")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(argv)
    choose = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as folder, HostRig(Path(folder)) as rig:
        for what, count, run in (("worker", args.worker, kill_worker), ("worker and supervisor", args.both, kill_both)):
            took = run(rig, count, choose)
            print(f"{what}: {len(took)} kills, none left anything behind; restored after "
                  f"{statistics.median(took):.2f} s (median), {max(took):.2f} s (longest; "
                  f"{LIMIT:.0f} s allowed for the worker alone)", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
