"""I/O: where things are on this machine: the state directory, the log, the terminal's wishes. Reads the environment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, TextIO

from vpn_client.output import wants_colour

STATE_DIR: Final = Path("/run/kvpn")
LOG_FILE: Final = Path("/var/log/kvpn/kvpnd.log")
STATE_DIR_VARIABLE: Final = "KVPN_STATE_DIR"
LOCK_NAME: Final = "kvpnd.lock"


def default_state_dir() -> Path:
    """`--state-dir` when it is not given."""
    return Path(os.environ.get(STATE_DIR_VARIABLE) or STATE_DIR)


def log_file(state_dir: Path) -> Path:
    """Where a background kvpnd writes; beside its state when that is not in the usual place."""
    return LOG_FILE if state_dir == STATE_DIR else state_dir / "kvpnd.log"


def colour_wanted(stream: TextIO) -> bool:
    """Whether to colour what goes to `stream`."""
    return wants_colour(stream.isatty(), os.environ)
