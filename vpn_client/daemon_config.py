"""I/O: kvpnd's own configuration, which only root can write: what root allows beyond the built-in bounds.

Owns the file's fields and who may have written it. Leaves to others: the bounds (`bounds`).
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Final

from vpn_client.exit_codes import ExitCode, Failure
from vpn_client.host_plan import Network

CONFIG_FILE: Final = Path("/etc/kvpn/kvpnd.toml")
FIELDS: Final = frozenset({"allow_routes"})


@dataclass(frozen=True, slots=True)
class DaemonConfig:
    """`allow_routes`: prefixes outside the private ranges that sessions may route."""

    allow_routes: tuple[Network, ...] = ()


def load(path: Path = CONFIG_FILE, *, owner: int = 0) -> DaemonConfig:
    """The configuration, or the defaults when there is no file; Failure when somebody but `owner` could write it."""
    try:
        with open(path, "rb") as file:
            _check_writer(path, os.fstat(file.fileno()), owner)
            raw = tomllib.load(file)
    except FileNotFoundError:
        return DaemonConfig()
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _bad(path, str(error), "correct the file") from None
    unknown = sorted(set(raw) - FIELDS)
    if unknown:
        raise _bad(path, f"unknown field {unknown[0]}", f"use {', '.join(sorted(FIELDS))}")
    try:
        return DaemonConfig(tuple(ip_network(str(each)) for each in raw.get("allow_routes", [])))
    except ValueError as error:
        raise _bad(path, f"allow_routes: {error}", "write prefixes like 203.0.113.0/24") from None


def _check_writer(path: Path, found: os.stat_result, owner: int) -> None:
    if found.st_uid != owner or found.st_mode & 0o022:
        raise _bad(path, "others than root can write it", f"chown root {path}; chmod 644 {path}")


def _bad(path: Path, why: str, fix: str) -> Failure:
    return Failure(ExitCode.USAGE, f"configuration {path}", why, fix)
