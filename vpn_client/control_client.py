"""I/O: a caller of kvpnd's control socket: connect, one request, its replies.

Owns the blocking socket and what a missing daemon means. Leaves to others: the lines (`control_protocol`). Imports
nothing that starts slowly: every `kvpn status` comes through here.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

from vpn_client.control_protocol import (
    MAX_LINE,
    BadMessage,
    Method,
    Reply,
    Request,
    Step,
    decode_reply_untrusted,
    encode_request,
)
from vpn_client.exit_codes import ExitCode, Failure

SOCKET_NAME: Final = "kvpn.sock"
REPLY_TIMEOUT: Final = 60.0
"""Seconds between two lines of a reply; `up` and `down` say something more often."""


class NotRunning(Failure):
    """No kvpnd listens there."""

    def __init__(self, path: Path) -> None:
        super().__init__(ExitCode.NOT_CONNECTED, "kvpnd", f"nothing listens on {path}",
                         "connect: sudo kvpn up --profile FILE")


def call(state_dir: Path, method: Method, params: Mapping[str, Any] | None = None, *,
         on_step: Callable[[Mapping[str, Any]], None] = lambda step: None,
         timeout: float = REPLY_TIMEOUT) -> Mapping[str, Any]:
    """The result of one call. Failure is what the daemon said, or that it went away; NotRunning without a daemon."""
    for reply in replies(state_dir, method, params, timeout=timeout):
        if isinstance(reply, Failure):
            raise reply
        if not isinstance(reply, Step):
            return reply.body
        on_step(reply.body)
    raise went_away("it closed the connection before it answered")


def replies(state_dir: Path, method: Method, params: Mapping[str, Any] | None = None, *,
            timeout: float = REPLY_TIMEOUT) -> Iterator[Reply]:
    """Every reply to one call, until the daemon hangs up."""
    with connect(state_dir / SOCKET_NAME, timeout) as connection, connection.makefile("rb") as lines:
        try:
            connection.sendall(encode_request(Request(method, params or {})))
            yield from _decoded(lines)
        except TimeoutError:
            raise Failure(ExitCode.TIMEOUT, "kvpnd", f"no word for {timeout:.0f} s",
                          "see its log; kvpn down --force restores the host") from None
        except OSError as error:
            raise went_away(error.strerror or str(error)) from None


def went_away(why: str) -> Failure:
    """The daemon died or hung up in the middle of a call."""
    return Failure(ExitCode.FAILURE, "kvpnd", why, "see its log; kvpn down --force restores the host")


def _decoded(lines: BinaryIO) -> Iterator[Reply]:
    while line := lines.readline(MAX_LINE + 1):
        try:
            yield decode_reply_untrusted(line)
        except BadMessage as error:
            raise Failure(ExitCode.FAILURE, "kvpnd", f"its reply is {error}",
                          "client and daemon differ: kvpn version shows both") from None


def connect(path: Path, timeout: float) -> socket.socket:
    """A connection to the daemon; NotRunning when there is none."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    connection.settimeout(timeout)
    try:
        connection.connect(str(path))
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
        connection.close()
        raise NotRunning(path) from None
    except OSError as error:
        connection.close()
        raise Failure(ExitCode.NO_PERMISSION if isinstance(error, PermissionError) else ExitCode.FAILURE, "kvpnd",
                      f"{path}: {error.strerror or error}", "check the permissions of the state directory") from None
    return connection
