"""I/O: what a test needs from the machine: foreign programs, root, prepared files.

One way to skip, so that nothing is skipped in silence: each function returns what was asked for or skips the test with
a reason that names the fix. With `CI=true` a missing thing is a failure, because there `scripts/test` has installed it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

import pytest

from tests.testbed.places import ROOT as ROOT
from tests.testbed.places import find as find

TUN = Path("/dev/net/tun")


def in_ci() -> bool:
    """True when nothing may be skipped."""
    return os.environ.get("CI", "").lower() in ("true", "1")


def missing(what: str, fix: str = "scripts/test installs it") -> NoReturn:
    """Skip the running test because `what` is not there; fail instead with CI=true."""
    reason = f"{what}; fix: {fix}"
    if in_ci():
        pytest.fail(f"with CI=true nothing may be skipped: {reason}", pytrace=False)
    pytest.skip(reason)


def tool(name: str) -> str:
    """The path of the program `name`, or skip."""
    return find(name) or missing(f"the program {name} is not installed")


def root() -> None:
    """Skip unless this process is root and has a TUN device."""
    if os.geteuid() != 0:
        missing("not root", "run as root, or in a user namespace: unshare -Urnm")
    if not os.access(TUN, os.R_OK | os.W_OK):
        missing(f"{TUN} cannot be opened", "modprobe tun; in a container: --device=/dev/net/tun --cap-add=NET_ADMIN")
    tool("ip")


def cached(relative: str) -> Path:
    """A file or folder that scripts/lib prepared below .cache, or skip."""
    path = ROOT / ".cache" / relative
    return path if path.exists() else missing(f".cache/{relative} is not there")
