"""I/O: a world with a gateway and a laptop's profile, ready for `kvpn up`, for tests of the client on real parts."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen
from typing import Any

from tests.testbed import cluster_objects as objects
from tests.testbed.netns import wait_until
from tests.testbed.world import World, snapshot

URL = "http://web.shop.svc.cluster.local"
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=+dac_read_search",
          "--ambient-caps=+dac_read_search", "env", "PYTHONDONTWRITEBYTECODE=1"]
"""Runs a command as nobody, who can read this repository wherever it lies, and can change nothing."""
SLACK = 6.0
"""Seconds beyond what is promised: two cores are shared with other tests."""


class ClientWorld:
    """A world, its gateway, and the laptop as it was before."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.laptop = world.laptop
        key = world.make_keys()
        world.write_cluster()
        world.write("laptop.yaml", objects.peer("laptop", key, username="ada@example.org"))
        self.gateway: Popen[bytes] = world.start_gateway()
        self.profile: Path = world.write_profile()
        self.before = snapshot(world.laptop)

    def up(self, *words: str) -> Any:
        """`kvpn up`, and its JSON."""
        done = self.world.kvpn("up", "--profile", str(self.profile), "-o", "json", *words)
        return json.loads(done.stdout)["sessions"][0]

    def status(self) -> Any:
        """The one session's status; an empty object without a session."""
        shown = json.loads(self.world.kvpn("status", "-o", "json", check=False).stdout)
        return shown["sessions"][0] if shown["sessions"] else {}

    def state(self) -> str:
        """The one session's state."""
        return str(self.status().get("state", "none"))

    def finding(self, name: str) -> Any:
        """One check of `kvpn doctor`."""
        shown = json.loads(self.world.kvpn("doctor", "-o", "json", check=False).stdout)
        return next((check for check in shown["checks"] if check["name"] == name), None)

    def fetch(self, url: str = URL, seconds: float = 2) -> str:
        """What curl prints; empty when it fails."""
        return self.laptop.run(["curl", "-sS", "-m", str(seconds), url], check=False).stdout

    def restored(self) -> bool:
        """Whether the laptop is as it was before."""
        return snapshot(self.laptop) == self.before

    def daemon_pids(self) -> dict[str, int]:
        """Process ids of the supervisor and the worker of this world's kvpnd."""
        found = {}
        for entry in Path("/proc").iterdir():
            words = _command_line(entry)
            if "vpn_client.daemon" in words and str(self.world.state_dir) in words:
                found["worker" if "--worker" in words else "supervisor"] = int(entry.name)
        return found

    def kill(self, *names: str) -> None:
        """SIGKILL; wait until they are gone."""
        pids = self.daemon_pids()
        for name in names:
            os.kill(pids[name], signal.SIGKILL)
        wait_until(lambda: not set(names) & set(self.daemon_pids()), what=f"{names} gone")

    def seconds_until_traffic(self, timeout: float) -> float:
        """How long until curl by name succeeds."""
        began = time.monotonic()
        wait_until(lambda: "hello" in self.fetch(seconds=0.5), timeout=timeout, what="traffic by name")
        return time.monotonic() - began


def _command_line(entry: Path) -> list[str]:
    try:
        return (entry / "cmdline").read_text().split("\0")
    except OSError:
        return []


@contextmanager
def client_world() -> Iterator[ClientWorld]:
    """A world for one test or one file; `kvpn down` at its end, whatever was killed."""
    with World() as world:
        client = ClientWorld(world)
        try:
            yield client
        finally:
            world.kvpn("down", "--force", check=False)
