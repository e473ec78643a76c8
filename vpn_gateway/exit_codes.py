"""Every exit code of `kvpn-gateway`, with its meaning."""

from enum import IntEnum


class ExitCode(IntEnum):
    """The same numbers as the client's where they mean the same."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    """Arguments or configuration: the message names the flag and the fix."""
    NO_PERMISSION = 77
    """Root, or CAP_NET_ADMIN and /dev/net/tun, are missing."""
