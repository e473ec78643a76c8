"""I/O: a host in a namespace whose every setting can be compared before and after, and processes to kill on it.

Owns the host's look (`Snapshot`), starting the stand-in worker with and without its supervisor, and killing them.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.testbed.needs import ROOT
from tests.testbed.netns import Testbed, wait_until

LIMIT = 2.0
"""Seconds from the worker's death to a host as before."""
SUPERVISE = "import sys; from pathlib import Path; from vpn_client.supervisor import supervise; " \
            "sys.exit(supervise(sys.argv[2:], Path(sys.argv[1])))"
RESTORE = "import sys; from pathlib import Path; from vpn_client.host_observe import Paths; " \
          "from vpn_client.linux_host import LinuxHost; " \
          "print(*LinuxHost.undo_leftovers(Path(sys.argv[1]), Paths(resolv_conf=Path(sys.argv[2]))), sep='\\n')"
ENVIRONMENT = {"PYTHONPATH": str(ROOT)}
ORIGINAL = "# by hand\nnameserver 10.9.9.9\nsearch lan\noptions edns0\n"
Snapshot = dict[str, Any]


class HostRig:
    """One namespace with a LAN of its own and a resolv.conf that is a bind mount, as `ip netns exec` makes it."""

    def __init__(self, folder: Path) -> None:
        self.state_dir = folder / "state"
        self.log = folder / "log"
        self._bed = Testbed()
        self.host = self._bed.add("host")
        router = self._bed.add("router")
        for scope in ("all", "default"):  # An address that is still being probed changes the look.
            self.host.sysctl(f"net.ipv6.conf.{scope}.accept_dad", "0")
        self._bed.join(self.host, ["192.168.7.2/24", "fd77::2/64"], router, ["192.168.7.1/24", "fd77::1/64"])
        self.host.ip("route", "add", "default", "via", "192.168.7.1")
        self.resolv_conf = Path("/etc/resolv.conf")
        self._etc = self.host.etc / "resolv.conf"
        self._etc.write_text(ORIGINAL)
        wait_until(lambda: "tentative" not in self.host.ip("addr"), what="duplicate address detection")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bed.close()

    def use_file(self, path: Path) -> None:
        """Let the worker take this file for resolv.conf: one that can be renamed over."""
        self.resolv_conf = self._etc = path

    def snapshot(self) -> Snapshot:
        """Everything a session may touch: addresses, routes, rules, firewall, resolv.conf and its folder, state."""
        look: Snapshot = {"addr": self.host.ip_json("addr"), "nft": self.host.run(["nft", "list", "ruleset"]).stdout}
        for family in ("-4", "-6"):
            look[f"route {family}"] = self.host.ip_json(family, "route", "show", "table", "all")
            look[f"rule {family}"] = self.host.ip_json(family, "rule")
        look["resolv.conf"] = _look(self._etc)
        look["folder"] = sorted(os.listdir(self._etc.parent))
        look["state"] = sorted({*os.listdir(self.state_dir)} - {"ready"}) if self.state_dir.exists() else []
        return look

    def worker_words(self, *options: str) -> list[str]:
        """The stand-in worker's command line."""
        return [sys.executable, "-m", "tests.testbed.host_worker", "--state-dir", str(self.state_dir),
                "--resolv-conf", str(self.resolv_conf), *options]

    def start(self, words: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start a process on the host."""
        return self.host.start(words, log=self.log, env=ENVIRONMENT)

    def supervised(self, *options: str) -> subprocess.Popen[bytes]:
        """Start a supervisor with the worker below it."""
        (self.state_dir / "ready").unlink(missing_ok=True)
        return self.start([sys.executable, "-c", SUPERVISE, str(self.state_dir), *self.worker_words(*options)])

    def ready(self) -> None:
        """Wait until the worker has made all its changes once."""
        wait_until((self.state_dir / "ready").exists, what="the worker's changes")

    def restore(self) -> str:
        """What the next start does first."""
        words = [sys.executable, "-c", RESTORE, str(self.state_dir), str(self.resolv_conf)]
        return self.host.run(words, env=ENVIRONMENT).stdout

    def worker_of(self, supervisor: subprocess.Popen[bytes]) -> int:
        """The worker's process id, 0 while there is none."""
        try:
            children = Path(f"/proc/{supervisor.pid}/task/{supervisor.pid}/children").read_text().split()
        except FileNotFoundError:
            return 0
        named = [int(pid) for pid in children if b"host_worker" in _command_line(int(pid))]
        return named[0] if named else 0

    def wait_for_worker(self, supervisor: subprocess.Popen[bytes], seconds: float) -> int:
        """The worker's process id, `seconds` after it was started."""
        worker = wait_until(lambda: self.worker_of(supervisor), what="a worker")
        deadline = time.monotonic() + seconds
        wait_until(lambda: time.monotonic() > deadline)
        return int(worker)

    def restored(self, before: Snapshot, since: float) -> float:
        """Wait for a host as before; returns the seconds since `since` (monotonic)."""
        left = LIMIT - (time.monotonic() - since)
        wait_until(lambda: self.snapshot() == before, timeout=left, what=f"restored; see {self.log}")
        return time.monotonic() - since


def _look(path: Path) -> tuple[object, ...]:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return ()
    link = os.readlink(path) if path.is_symlink() else ""
    return path.read_bytes(), link, status.st_mode, status.st_uid, status.st_gid


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def kill(pid: int) -> float:
    """SIGKILL; returns when (monotonic)."""
    os.kill(pid, signal.SIGKILL)
    return time.monotonic()
