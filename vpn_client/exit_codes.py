"""Every exit code of `kvpn` and `kvpnd`, and the one exception that carries one to the user.

Owns their meaning. Leaves to others: printing (`output`), carrying a failure over the control socket
(`control_protocol`).
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What a script can branch on. Values follow sysexits and shells where those have a meaning already."""

    OK = 0
    FAILURE = 1
    """Anything without a code of its own; `doctor` found a failed check."""
    USAGE = 2
    """Bad arguments or a bad profile."""
    NOT_CONNECTED = 3
    """`status`: no session, or one whose last probe failed."""
    UNREACHABLE = 4
    """The gateway does not answer."""
    DENIED = 5
    """The gateway answers and refuses this peer."""
    TIMEOUT = 6
    """`--timeout` passed."""
    NO_PERMISSION = 77
    """EX_NOPERM: the caller may not do this; the remedy is printed."""
    INTERRUPTED = 130
    """SIGINT."""


class Failure(Exception):
    """What failed, why, and the one fix; each is a phrase without a full stop."""

    def __init__(self, code: ExitCode, what: str, why: str, fix: str = "") -> None:
        super().__init__(f"{what}: {why}")
        self.code = code
        self.what = what
        self.why = why
        self.fix = fix
