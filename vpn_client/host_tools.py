"""I/O: running the host's resolver programs: resolvectl, resolvconf, nmcli, busctl.

Owns time limits and how a failure reads. Leaves to others: `ip` and `nft` (`vpn_tunnel.host_commands`), what is asked
(`linux_resolver`, `host_observe`).
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from typing import Final

from vpn_tunnel.host_commands import CommandError

TIMEOUT: Final = 5.0
"""Seconds; a program that waits for a hung daemon must not hold `up` or `down`."""
SYSTEM_FOLDERS: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Searched after PATH: under a service manager PATH may be short."""


def find(program: str) -> str | None:
    """Path of a program, None without it."""
    return shutil.which(program, path=os.pathsep.join((os.environ.get("PATH", ""), SYSTEM_FOLDERS)))


def run(words: Sequence[str], stdin: str = "") -> str:
    """Run to the end and return stdout; CommandError if it is missing, fails or takes too long."""
    return run_all([words], stdin)[0]


def run_all(commands: Sequence[Sequence[str]], stdin: str = "") -> list[str]:
    """Run commands side by side and return their outputs; CommandError for the first that failed, after all ended."""
    started = [_start(words) for words in commands]
    outcomes = [_end(words, process, stdin) for words, process in zip(commands, started, strict=True)]
    for outcome in outcomes:
        if isinstance(outcome, CommandError):
            raise outcome
    return [outcome for outcome in outcomes if isinstance(outcome, str)]


def _start(words: Sequence[str]) -> subprocess.Popen[str] | None:
    path = find(words[0])
    if path is None:
        return None
    return subprocess.Popen([path, *words[1:]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True, errors="replace", env={**os.environ, "LC_ALL": "C"})


def _end(words: Sequence[str], process: subprocess.Popen[str] | None, stdin: str) -> str | CommandError:
    what = " ".join(words)
    if process is None:
        return CommandError(what, f"{words[0]} is not installed", f"install the package that has {words[0]}")
    try:
        out, err = process.communicate(stdin, TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return CommandError(what, f"no answer in {TIMEOUT:.0f} s", f"see whether what {words[0]} talks to is running")
    if process.returncode != 0:
        why = err.strip().splitlines() or out.strip().splitlines() or [f"exit {process.returncode}"]
        return CommandError(what, why[-1], f"run it by hand: {what}")
    return out


def answer(words: Sequence[str]) -> str | None:
    """stdout of a command that may be missing or fail."""
    try:
        return run(words)
    except CommandError:
        return None
