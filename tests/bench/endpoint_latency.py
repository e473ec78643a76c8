"""I/O: `scripts/bench endpoint`: from an endpoint's change in the gateway's files to `getaddrinfo` on the laptop.

All parts are real: object files, gateway, tunnel, kvpnd, systemd-resolved (unpacked, in the laptop's namespace), glibc.
The laptop asks every few milliseconds; the time between two questions is part of the figure.
"""

from __future__ import annotations

import argparse
import random
import select
import socket
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial

from tests.testbed import cluster_objects as objects
from tests.testbed.debian_host import DebianHost
from tests.testbed.netns import wait_until
from tests.testbed.places import ROOT
from tests.testbed.world import DB, OFFICE_RESOLVER, World

NAME = "db.shop.svc.cluster.local"
P99_MS = 300.0
ASK_EVERY = 0.003
"""Seconds between two questions."""
PAUSE = (0.15, 0.6)
"""Seconds between two changes: no rhythm that the gateway's polling could fall in with."""


def watch() -> None:
    """On the laptop: print the time (CLOCK_MONOTONIC, the machine's) and the answer whenever it changes."""
    last = ""
    while True:
        try:
            answer = ",".join(sorted({str(found[4][0]) for found in socket.getaddrinfo(NAME, 5432, socket.AF_INET)}))
        except socket.gaierror as error:
            answer = f"error {error}"
        if answer != last:
            print(time.monotonic(), answer, flush=True)
            last = answer
        select.select([], [], [], ASK_EVERY)


class Latency:
    """A world whose laptop resolves through systemd-resolved, connected."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.host = DebianHost(world.laptop, "resolved", world.folder / "host")
        self.host.start_resolved(OFFICE_RESOLVER)
        world.write("laptop.yaml", objects.peer("laptop", world.make_keys()))
        self.say(next(iter(DB)))
        world.start_gateway()
        profile = world.write_profile()
        self.host.run(["kvpn", "up", "--profile", str(profile)], env=world.environment)
        self.log = world.folder / "watch.log"
        self.log.touch()
        self.host.start([str(ROOT / ".venv/bin/python"), "-m", "tests.bench.endpoint_latency", "--watch"], log=self.log,
                        env=world.environment)

    def say(self, pod: str) -> float:
        """Put this pod alone behind the service; returns when the file was replaced."""
        self.world.write("cluster.yaml", objects.dump([
            objects.namespace("shop"), objects.service("db", "shop", {"postgres": "5432/TCP"}, []),
            objects.endpoint_slice("db", "shop", {"postgres": "5432/TCP"}, {pod: DB[pod]}, hostnames=True),
            *(objects.pod(name, "shop", [address]) for name, address in DB.items())]))
        return time.monotonic()

    def seen(self) -> list[tuple[float, str]]:
        """Every answer that differed from the one before it, and when."""
        lines = [line.split() for line in self.log.read_text().splitlines()]
        return [(float(words[0]), words[1]) for words in lines if len(words) == 2]

    def _answers(self, address: str) -> bool:
        return self.seen()[-1][1] == address

    def measure(self, count: int, rng: random.Random) -> Iterator[float]:
        """Seconds from the file to the answer, `count` times."""
        wait_until(self.seen, timeout=20, what=f"an answer in {self.log}")
        pods = list(DB)
        for number in range(count):
            select.select([], [], [], rng.uniform(*PAUSE))
            pod = pods[(number + 1) % len(pods)]
            changed = self.say(pod)
            wait_until(partial(self._answers, DB[pod]), timeout=20, what=f"{DB[pod]} in {self.log}")
            yield self.seen()[-1][0] - changed


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, exit 1 when the promise is broken."""
    parser = argparse.ArgumentParser(prog="scripts/bench endpoint", description=__doc__)
    parser.add_argument("--count", type=int, default=300, help="changes")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--watch", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.watch:
        watch()
    print(f"seed {options.seed}", flush=True)
    with World() as world:
        took = sorted(each * 1e3 for each in Latency(world).measure(options.count, random.Random(options.seed)))
    p99 = took[min(len(took) - 1, int(len(took) * 0.99))]
    print(f"endpoint change → getaddrinfo through systemd-resolved, {len(took)} changes: "
          f"p50 {statistics.median(took):.0f} ms, p99 {p99:.0f} ms, max {took[-1]:.0f} ms")
    print(f"{'holds ' if p99 <= P99_MS else 'BROKEN'} p99 at most {P99_MS:.0f} ms")
    return 0 if p99 <= P99_MS else 1


if __name__ == "__main__":
    sys.exit(main())
