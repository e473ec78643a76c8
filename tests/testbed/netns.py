"""I/O: networks of namespaces for tests and for the demo.

Owns the life of what it makes: every namespace, link and process is removed by `close()`, processes by pid. Names carry
this process's id, so that runs side by side do not meet.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


class CommandFailed(AssertionError):
    """A command in the testbed failed; the message has its words, its exit code and what it printed."""


def run(argv: Sequence[str], *, check: bool = True, timeout: float = 60, stdin: str | None = None,
        env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end and return what it printed."""
    done = subprocess.run(list(argv), input=stdin, capture_output=True, text=True, timeout=timeout,
                          env=None if env is None else {**os.environ, **env})
    if check and done.returncode != 0:
        raise CommandFailed(f"{shlex.join(argv)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def wait_until(condition: Callable[[], Any], *, timeout: float = 10, what: str = "") -> Any:
    """Poll `condition` every 10 ms until it is true and return its value; AssertionError after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what or condition}")
        select.select([], [], [], 0.01)


@contextlib.contextmanager
def inside(path: str) -> Iterator[None]:
    """Enter the network namespace at `path` with this thread; sockets opened here stay there."""
    here = os.open(f"/proc/self/task/{threading.get_native_id()}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    there = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _setns(there)
        yield
    finally:
        _setns(here)
        os.close(here)
        os.close(there)


def _setns(fd: int) -> None:
    if _libc.setns(fd, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Namespace:
    """One network namespace with loopback up, and the processes started in it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._processes: list[subprocess.Popen[bytes]] = []
        run(["ip", "netns", "add", name])
        self.ip("link", "set", "lo", "up")

    @property
    def path(self) -> str:
        """The file that names the namespace, for `inside`."""
        return f"/run/netns/{self.name}"

    @property
    def etc(self) -> Path:
        """Files here appear over /etc for commands run in the namespace (`ip netns exec` binds them)."""
        folder = Path("/etc/netns") / self.name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def ip(self, *words: str) -> str:
        """`ip WORDS` in the namespace; returns its output."""
        return run(["ip", "-n", self.name, *words]).stdout

    def ip_json(self, *words: str) -> Any:
        """`ip -json WORDS` in the namespace, decoded."""
        return json.loads(run(["ip", "-n", self.name, "-json", *words]).stdout or "[]")

    def sysctl(self, key: str, value: str) -> None:
        """Set one sysctl of the namespace."""
        self.run(["sh", "-c", f"echo {shlex.quote(value)} > /proc/sys/{key.replace('.', '/')}"])

    def run(self, argv: Sequence[str], *, check: bool = True, timeout: float = 60, stdin: str | None = None,
            env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command in the namespace to its end."""
        return run(["ip", "netns", "exec", self.name, *argv], check=check, timeout=timeout, stdin=stdin, env=env)

    def start(self, argv: Sequence[str], *, log: Path | None = None,
              env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start a process in the namespace; `close()` ends it. Its output goes to `log`, or nowhere."""
        with open(log or os.devnull, "ab") as sink:
            process = subprocess.Popen(["ip", "netns", "exec", self.name, *argv], stdin=subprocess.DEVNULL,
                                       stdout=sink, stderr=sink, env=None if env is None else {**os.environ, **env})
        self._processes.append(process)
        return process

    def close(self) -> None:
        """End every process started here, then everything else that lives in the namespace, then the namespace."""
        for process in reversed(self._processes):
            stop(process)
        for pid in run(["ip", "netns", "pids", self.name], check=False).stdout.split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        run(["ip", "netns", "del", self.name], check=False)
        folder = Path("/etc/netns") / self.name
        if folder.exists():
            for file in folder.iterdir():
                file.unlink()
            folder.rmdir()


def stop(process: subprocess.Popen[bytes], *, timeout: float = 5) -> int:
    """SIGTERM, then SIGKILL after `timeout` seconds; returns the exit code."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()


class Testbed:
    """A set of namespaces joined by veth pairs; a context manager that removes them."""

    __test__ = False
    _count = 0

    def __init__(self) -> None:
        Testbed._count += 1
        self._prefix = f"kv{os.getpid() % 1000000}x{Testbed._count}"
        self._links = 0
        self.namespaces: dict[str, Namespace] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def add(self, name: str) -> Namespace:
        """Make the namespace `name`."""
        namespace = Namespace(f"{self._prefix}-{name}")
        self.namespaces[name] = namespace
        return namespace

    def join(self, one: Namespace, one_cidrs: Sequence[str], other: Namespace, other_cidrs: Sequence[str], *,
             names: tuple[str, str] | None = None, mtu: int = 1500) -> tuple[str, str]:
        """A veth pair between two namespaces, up, with these addresses (`10.0.0.1/24`); returns both link names."""
        self._links += 1
        first, second = names or (f"eth{self._links}a", f"eth{self._links}b")
        run(["ip", "-n", one.name, "link", "add", first, "mtu", str(mtu), "type", "veth", "peer", "name", second,
             "mtu", str(mtu), "netns", other.name])
        for namespace, link, cidrs in ((one, first, one_cidrs), (other, second, other_cidrs)):
            for cidr in cidrs:
                nodad = ["nodad"] if ":" in cidr else []
                namespace.ip("addr", "add", cidr, "dev", link, *nodad)
            namespace.ip("link", "set", link, "up")
        return first, second

    def close(self) -> None:
        """Remove everything."""
        for namespace in reversed(self.namespaces.values()):
            namespace.close()
        self.namespaces.clear()
