"""I/O: the host's own tools, `ip` and `nft`, each run as one batch that either happened or is reported.

Owns running them and the error that names the line. Leaves to callers what to say and how to undo it.
"""

from __future__ import annotations

import json
import subprocess
from typing import Any, Final

TIMEOUT: Final = 10.0  # seconds


class CommandError(Exception):
    """A host command failed: what was attempted, why it failed, and what to do about it."""

    def __init__(self, what: str, why: str, fix: str) -> None:
        super().__init__(f"{what}: {why}")
        self.what = what
        self.why = why
        self.fix = fix


def _run(argv: list[str], text: str | None) -> str:
    try:
        done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except FileNotFoundError as error:
        raise CommandError(argv[0], "not found", f"install it: apt-get install {_PACKAGES.get(argv[0], argv[0])}") from error
    except subprocess.TimeoutExpired as error:
        raise CommandError(" ".join(argv), f"no end after {TIMEOUT:.0f} s", "look at the host's load and try again") from error
    if done.returncode != 0:
        why = done.stderr.strip() or f"exit code {done.returncode}"
        raise CommandError(" ".join(argv), why, _fix(why))
    return done.stdout


_PACKAGES = {"ip": "iproute2", "nft": "nftables"}


def _fix(why: str) -> str:
    if "not permitted" in why or "ermission" in why:
        return "run as root or with CAP_NET_ADMIN"
    return "see the message above"


def run_ip(*lines: str) -> None:
    """Run `ip` commands, one a line without the word `ip`, in order; the first that fails ends the batch.

    Raises `CommandError` whose `what` is the line."""
    if not lines:
        return
    try:
        _run(["ip", "-batch", "-"], "".join(f"{line}\n" for line in lines))
    except CommandError as error:
        raise CommandError(f"ip {_failed_line(error.why, lines)}", error.why.splitlines()[0], error.fix) from error


def _failed_line(why: str, lines: tuple[str, ...]) -> str:
    number = why.rpartition("Command failed -:")[2].strip()
    return lines[int(number) - 1] if number.isdigit() and 0 < int(number) <= len(lines) else "; ".join(lines)


def ip_json(*words: str) -> Any:
    """`ip -json WORDS`, decoded; an empty answer is an empty list. Raises `CommandError`."""
    return json.loads(_run(["ip", "-json", *words], None) or "[]")


def run_nft(script: str) -> None:
    """Apply an nftables script as one transaction: all of it or nothing. Raises `CommandError`."""
    _run(["nft", "-f", "-"], script)
