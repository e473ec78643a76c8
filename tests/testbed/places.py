"""I/O: where this repository is and where programs are; what is missing is `tests.testbed.needs`' to say."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BIN = ROOT / ".cache" / "bin"
"""Programs that scripts/lib/bootstrap.sh built for tests and benches."""
SYSTEM_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin"
"""Searched after PATH: a user's PATH often lacks them."""


def find(name: str) -> str | None:
    """The path of the program `name`: .cache/bin, then PATH, then the system folders; None without one."""
    return shutil.which(name, path=os.pathsep.join((str(BIN), os.environ.get("PATH", ""), SYSTEM_FOLDERS)))
