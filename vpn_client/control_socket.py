"""I/O: the daemon's side of the control socket: who is there, what they may do, their requests one by one.

Owns the socket file (0666 in a 0755 folder), SO_PEERCRED and the rights of each method: anyone on this machine may
read; root, members of group `kvpn` and whoever brought a session up may write. Leaves to others: the lines
(`control_protocol`), what a method does (`daemon`).
"""

from __future__ import annotations

import asyncio
import contextlib
import grp
import logging
import os
import pwd
import socket
import struct
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from vpn_client.control_client import SOCKET_NAME
from vpn_client.control_protocol import (
    MAX_LINE,
    BadMessage,
    Method,
    Reply,
    Request,
    Result,
    Step,
    decode_request_untrusted,
    encode_reply,
)
from vpn_client.exit_codes import ExitCode, Failure

GROUP: Final = "kvpn"
"""Members may bring sessions up and down; looked up at each request, so that no new login is needed."""
MAX_CONNECTIONS: Final = 32
"""Callers at once; anyone on the machine may connect."""
IDLE_TIMEOUT: Final = 60.0
"""Seconds that a connection may stay without a request."""
CLOSE_PATIENCE: Final = 0.5
"""Seconds that callers get to read the last answer and hang up."""
SEND_TIMEOUT: Final = 10.0
"""Seconds that a caller may leave its replies unread."""
_PEERCRED: Final = struct.Struct("3i")

Tell = Callable[[Mapping[str, Any]], Coroutine[Any, Any, None]]
"""Send one step to the caller."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Caller:
    """The process at the other end, as the kernel says (SO_PEERCRED)."""

    pid: int
    uid: int
    gid: int


class Service(Protocol):
    """What answers requests; `owner_of` is the uid that brought up what a request would change, None if nobody."""

    def owner_of(self, request: Request) -> int | None: ...

    def call(self, request: Request, caller: Caller, tell: Tell) -> Coroutine[Any, Any, Mapping[str, Any]]: ...


def caller_of(connection: socket.socket) -> Caller:
    """Who connected."""
    return Caller(*_PEERCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEERCRED.size)))


def in_group(uid: int, gid: int, group: str = GROUP) -> bool:
    """Whether `uid` is a member of `group` now; SO_PEERCRED knows the primary group only, and as of the login."""
    try:
        wanted = grp.getgrnam(group).gr_gid
        entry = pwd.getpwuid(uid)
    except KeyError:
        return False
    return wanted == gid or wanted in os.getgrouplist(entry.pw_name, entry.pw_gid)


def authorise(request: Request, caller: Caller, owner: int | None,
              member: Callable[[int, int], bool] = in_group) -> None:
    """Failure with the remedy unless the caller may do this."""
    if request.method not in (Method.UP, Method.DOWN):
        return
    owns = request.method is Method.DOWN and owner is not None and caller.uid == owner
    if caller.uid == 0 or owns or member(caller.uid, caller.gid):
        return
    raise Failure(ExitCode.NO_PERMISSION, request.method.value, f"uid {caller.uid} may not (EPERM)",
                  f"sudo kvpn {request.method.value}, or once: sudo usermod -aG {GROUP} $USER")


class ControlSocket:
    """The listening socket of one state directory."""

    def __init__(self, state_dir: Path, service: Service) -> None:
        self._path = state_dir / SOCKET_NAME
        self._service = service
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        """Listen. The caller holds the state directory's lock, so a socket file found here is a leftover."""
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._connected, str(self._path), limit=MAX_LINE)
        self._path.chmod(0o666)

    async def stop(self) -> None:
        """Close the door, let answers under way be read, end every connection."""
        self._path.unlink(missing_ok=True)
        if self._server is not None:
            self._server.close()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_PATIENCE)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._serve(reader, writer)
        except (ConnectionError, TimeoutError, asyncio.LimitOverrunError, ValueError):
            log.debug("a caller hung up, fell silent or sent an endless line")
        except asyncio.CancelledError:
            log.debug("closing a caller's connection: shutting down")
        finally:
            self._tasks.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._tasks) > MAX_CONNECTIONS:
            await _send(writer, Failure(ExitCode.FAILURE, "kvpnd", "too many callers", "try again"))
            return
        caller = caller_of(writer.get_extra_info("socket"))
        while line := await asyncio.wait_for(reader.readline(), IDLE_TIMEOUT):
            await self._answer(line, caller, reader, writer)

    async def _answer(self, line: bytes, caller: Caller, reader: asyncio.StreamReader,
                      writer: asyncio.StreamWriter) -> None:
        async def tell(step: Mapping[str, Any]) -> None:
            await _send(writer, Step(step))

        try:
            request = decode_request_untrusted(line)
            authorise(request, caller, self._service.owner_of(request))
            reply: Reply = Result(await _unless_gone(self._service.call(request, caller, tell), reader))
        except BadMessage as error:
            reply = Failure(ExitCode.USAGE, "request", str(error), "client and daemon differ: kvpn version shows both")
        except Failure as failure:
            reply = failure
        await _send(writer, reply)


async def _unless_gone(work: Coroutine[Any, Any, Mapping[str, Any]],
                       reader: asyncio.StreamReader) -> Mapping[str, Any]:
    """The outcome of `work`; a caller who hangs up before it (Ctrl-C), or talks out of turn, cancels it."""
    working, gone = asyncio.ensure_future(work), asyncio.ensure_future(reader.read(1))
    try:
        await asyncio.wait((working, gone), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ConnectionResetError("the caller hung up")
        return working.result()
    finally:
        for task in (working, gone):
            task.cancel()
        await asyncio.gather(working, gone, return_exceptions=True)


async def _send(writer: asyncio.StreamWriter, reply: Reply) -> None:
    writer.write(encode_reply(reply))
    await asyncio.wait_for(writer.drain(), SEND_TIMEOUT)
