"""Daemon and caller over a real unix socket: rights, hang-ups, limits."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from vpn_client import control_socket
from vpn_client.control_client import SOCKET_NAME, call
from vpn_client.control_protocol import MAX_LINE, Method, Request
from vpn_client.control_socket import Caller, ControlSocket, authorise, in_group
from vpn_client.exit_codes import ExitCode, Failure


class Echo:
    """Answers with what it was asked and by whom; `up` waits until it is let go or cancelled."""

    def __init__(self) -> None:
        self.cancelled = asyncio.Event()
        self.started = asyncio.Event()

    def owner_of(self, request: Request) -> int | None:
        return None

    async def call(self, request: Request, caller: Caller,
                   tell: Callable[[Mapping[str, Any]], Any]) -> Mapping[str, Any]:
        if request.method is Method.UP:
            self.started.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.cancelled.set()
        if request.method is Method.DOWN:
            raise Failure(ExitCode.DENIED, "down", "no", "never")
        await tell({"name": "first"})
        return {"uid": caller.uid, "pid": caller.pid, "params": dict(request.params)}


@asynccontextmanager
async def listening(folder: Path) -> AsyncIterator[tuple[ControlSocket, Echo]]:
    service = Echo()
    door = ControlSocket(folder, service)
    await door.start()
    try:
        yield door, service
    finally:
        await door.stop()


def test_a_call_its_step_and_the_callers_identity(tmp_path: Path) -> None:
    steps: list[Mapping[str, Any]] = []

    async def run() -> None:
        async with listening(tmp_path):
            got = await asyncio.to_thread(call, tmp_path, Method.STATUS, {"a": 1}, on_step=steps.append)
        assert got == {"uid": os.getuid(), "pid": os.getpid(), "params": {"a": 1}}
        assert steps == [{"name": "first"}]
    asyncio.run(run())


def test_several_requests_on_one_connection(tmp_path: Path) -> None:
    async def run() -> None:
        async with listening(tmp_path):
            reader, writer = await asyncio.open_unix_connection(str(tmp_path / SOCKET_NAME))
            for _ in range(3):
                writer.write(b'{"version":1,"method":"status"}\n')
                assert b"step" in await asyncio.wait_for(reader.readline(), 10)
                assert b"result" in await asyncio.wait_for(reader.readline(), 10)
            writer.close()
            await writer.wait_closed()
    asyncio.run(run())


def test_the_socket_is_open_to_all_and_gone_afterwards(tmp_path: Path) -> None:
    async def run() -> None:
        (tmp_path / SOCKET_NAME).touch()
        async with listening(tmp_path):
            mode = (tmp_path / SOCKET_NAME).stat().st_mode
            assert stat.S_ISSOCK(mode)
            assert stat.S_IMODE(mode) == 0o666
        assert not (tmp_path / SOCKET_NAME).exists()
    asyncio.run(run())


def test_a_failure_crosses_with_its_code(tmp_path: Path) -> None:
    async def run() -> None:
        async with listening(tmp_path):
            with pytest.raises(Failure, match="down: no") as caught:
                await asyncio.to_thread(call, tmp_path, Method.DOWN, {})
            assert (caught.value.code, caught.value.fix) == (ExitCode.DENIED, "never")
    asyncio.run(run())


def test_a_caller_who_hangs_up_cancels_what_it_asked_for(tmp_path: Path) -> None:
    async def run() -> None:
        async with listening(tmp_path) as (_, service):
            _, writer = await asyncio.open_unix_connection(str(tmp_path / SOCKET_NAME))
            writer.write(b'{"version":1,"method":"up","params":{}}\n')
            await asyncio.wait_for(service.started.wait(), 10)
            writer.close()
            await writer.wait_closed()
            await asyncio.wait_for(service.cancelled.wait(), 10)
    asyncio.run(run())


@pytest.mark.parametrize(("line", "answer"), [
    (b"nonsense\n", b'"usage"'), (b"x" * (MAX_LINE + 10) + b"\n", b"")])
def test_bad_lines_are_answered_or_hung_up_on(tmp_path: Path, line: bytes, answer: bytes) -> None:
    async def run() -> None:
        async with listening(tmp_path):
            reader, writer = await asyncio.open_unix_connection(str(tmp_path / SOCKET_NAME))
            writer.write(line)
            writer.write_eof()
            got = await asyncio.wait_for(reader.read(), 10)
            assert answer in got
            writer.close()
            await writer.wait_closed()
    asyncio.run(run())


def test_callers_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_socket, "MAX_CONNECTIONS", 1)

    async def run() -> None:
        async with listening(tmp_path):
            first = await asyncio.open_unix_connection(str(tmp_path / SOCKET_NAME))
            first[1].write(b'{"version":1,"method":"status"}\n')
            await asyncio.wait_for(first[0].readline(), 10)
            with pytest.raises(Failure, match="too many callers"):
                await asyncio.to_thread(call, tmp_path, Method.STATUS)
            first[1].close()
            await first[1].wait_closed()
    asyncio.run(run())


ALICE, BOB = Caller(1, 1001, 1001), Caller(2, 1002, 1002)
ROOT = Caller(3, 0, 0)


@pytest.mark.parametrize(("method", "caller", "owner", "member", "allowed"), [
    (Method.STATUS, BOB, None, False, True), (Method.WATCH, BOB, None, False, True),
    (Method.DOCTOR, BOB, None, False, True), (Method.UP, ROOT, None, False, True), (Method.UP, BOB, None, False, False),
    (Method.UP, BOB, None, True, True), (Method.UP, ALICE, 1001, False, False), (Method.DOWN, ALICE, 1001, False, True),
    (Method.DOWN, BOB, 1001, False, False), (Method.DOWN, BOB, 1001, True, True),
    (Method.DOWN, ROOT, 1001, False, True),
    (Method.DOWN, BOB, None, False, False)])
def test_rights(method: Method, caller: Caller, owner: int | None, member: bool, allowed: bool) -> None:
    def check() -> None:
        authorise(Request(method, {}), caller, owner, lambda uid, gid: member)
    if allowed:
        check()
        return
    with pytest.raises(Failure, match="EPERM") as caught:
        check()
    assert caught.value.code is ExitCode.NO_PERMISSION
    assert "sudo" in caught.value.fix


def test_groups_are_looked_up_now(monkeypatch: pytest.MonkeyPatch) -> None:
    import grp
    import pwd
    entry = pwd.getpwuid(0)
    group = grp.getgrgid(entry.pw_gid)
    assert in_group(0, 99999, group.gr_name)
    assert in_group(54321, group.gr_gid, group.gr_name) is False
    assert in_group(0, 0, "no-such-group") is False
    monkeypatch.setattr(os, "getgrouplist", lambda name, gid: [4242])
    monkeypatch.setattr(grp, "getgrnam", lambda name: grp.struct_group(("kvpn", "x", 4242, [])))
    assert in_group(0, 0)
