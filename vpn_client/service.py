"""I/O: what the control socket's methods do: the table of sessions, and one call's way through it.

Owns which sessions exist and who owns them. Leaves to others: one session's life (`worker`), rights (`control_socket`),
the process (`daemon`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from vpn_client import session as s
from vpn_client.control_protocol import Method, Request
from vpn_client.control_socket import Caller, Tell
from vpn_client.exit_codes import ExitCode, Failure
from vpn_client.host_plan import Note
from vpn_client.intent import BadIntent, Intent, parse_intent_untrusted
from vpn_client.leftovers import journals
from vpn_client.output import Level
from vpn_client.parts import Parts
from vpn_client.status import document
from vpn_client.worker import SessionWorker
from vpn_directory.version import VERSION

MAX_SESSIONS: Final = 16
MAX_TIMEOUT: Final = 3600.0
"""Seconds."""
WATCH_INTERVAL: Final = 1.0
"""Seconds between two statuses of a watch."""

log = logging.getLogger(__name__)


class DaemonService:
    """Every session of one kvpnd. `idle` is set when the last one has ended."""

    def __init__(self, state_dir: Path, parts: Parts, clean: Sequence[Note] = ()) -> None:
        self.idle = asyncio.Event()
        self._state_dir = state_dir
        self._parts = parts
        self._clean = clean
        self.last_failure: Failure | None = None
        self._workers: dict[str, SessionWorker] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._examining = asyncio.Lock()

    def owner_of(self, request: Request) -> int | None:
        """Who brought up what the request would end; None when there is not one owner."""
        asked = request.params.get("session")
        owners = {worker.owner for name, worker in self._workers.items() if asked in (None, name)}
        return owners.pop() if len(owners) == 1 else None

    async def call(self, request: Request, caller: Caller, tell: Tell) -> Mapping[str, Any]:
        """One request's result; Failure otherwise. Cancelled when the caller hangs up."""
        if request.method is Method.UP:
            return await self._up(request.params, caller, tell)
        if request.method is Method.DOWN:
            return await self._down(request.params.get("session"), tell)
        if request.method is Method.WATCH:
            return await self._watch(tell)
        if request.method is Method.DOCTOR:
            return await self._doctor()
        return self.status()

    def status(self) -> dict[str, Any]:
        """The status document."""
        return document([worker.facts() for worker in self._workers.values()], self._daemon())

    def link_changed(self) -> None:
        """An interface or address of this machine changed."""
        for worker in self._workers.values():
            worker.link_changed()

    def is_ours(self, index: int) -> bool:
        """Whether an interface index is one of our TUN devices."""
        ours = {facts["host"]["interface"] for facts in self.status()["sessions"] if facts.get("host")}
        with contextlib.suppress(OSError):
            return socket.if_indextoname(index) in ours
        return False

    async def stop(self) -> None:
        """Take every session down."""
        for worker in self._workers.values():
            worker.stop()
        if self._running:
            await asyncio.wait(self._running)

    def _daemon(self) -> dict[str, Any]:
        return {"version": VERSION, "pid": os.getpid()}

    # --- up ---

    async def _up(self, params: Mapping[str, Any], caller: Caller, tell: Tell) -> Mapping[str, Any]:
        intent, timeout, owner = _read_up(params, caller)
        old = self._workers.get(intent.session)
        if old is not None and old.intent.same_session(intent):
            await until(old.connected, old.finished)
            if not old.finished.is_set():
                return self._result(old, already=True)
        elif old is not None:
            await self._switch(old, allowed=params.get("switch") is True)
        worker = self._start(intent, owner, timeout)
        try:
            await _relay(worker, tell)
        except BaseException:  # the caller hung up: nobody waits for this session
            worker.stop()
            raise
        if not worker.connected.is_set():
            raise worker.failure or Failure(ExitCode.INTERRUPTED, "up", "the session was taken down meanwhile", "")
        return self._result(worker, already=False)

    def _result(self, worker: SessionWorker, *, already: bool) -> dict[str, Any]:
        return {"already": already, "session": worker.facts(), "daemon": self._daemon()}

    async def _switch(self, old: SessionWorker, *, allowed: bool) -> None:
        if not allowed:
            raise Failure(ExitCode.USAGE, f"session {old.intent.session}",
                          f"it is up with profile {old.intent.profile} or an older form of the same",
                          "replace it with --switch, or name another with --session")
        old.stop()
        await old.finished.wait()

    def _start(self, intent: Intent, owner: int, timeout: float) -> SessionWorker:
        if len(self._workers) >= MAX_SESSIONS:
            raise Failure(ExitCode.FAILURE, "up", f"{MAX_SESSIONS} sessions are up", "take one down first")
        clean, self._clean = self._clean, ()
        worker = SessionWorker(intent, self._parts, owner=owner, timeout=timeout, clean=clean)
        self._workers[intent.session] = worker
        task = asyncio.get_running_loop().create_task(worker.run(), name=f"session {intent.session}")
        self._running.add(task)
        task.add_done_callback(lambda done: self._ended(worker, done))
        return worker

    def _ended(self, worker: SessionWorker, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if self._workers.get(worker.intent.session) is worker:
            del self._workers[worker.intent.session]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("session %s ended by a bug", worker.intent.session, exc_info=error)
            worker.failure = worker.failure or Failure(ExitCode.FAILURE, "session", repr(error),
                                                       "report it, with the log")
        self.last_failure = worker.failure
        if not self._workers:
            self.idle.set()

    # --- the other methods ---

    async def _down(self, name: object, tell: Tell) -> Mapping[str, Any]:
        workers = [worker for each, worker in self._workers.items() if name in (None, each)]
        interfaces = [worker.interface for worker in workers]
        for worker in workers:
            worker.stop()
        for worker in workers:
            await worker.finished.wait()
            for note in worker.undone:
                await tell({"name": note.step, "level": note.level.value, "text": note.text})
        while self._running and not self._workers.keys().isdisjoint({worker.intent.session for worker in workers}):
            await asyncio.sleep(0)
        names = [worker.intent.session for worker in workers]
        return {"sessions": names, "exiting": not self._workers, "left": self._left(names, interfaces)}

    def _left(self, names: Sequence[str], interfaces: Sequence[str]) -> list[str]:
        """What should be gone and is not: the last word on whether the host is as before."""
        there = {name for _, name in socket.if_nameindex()}
        left = [f"interface {each}" for each in interfaces if each in there]
        ours = {f"journal-{name}.json" for name in names}
        return left + [f"journal {path}" for path in journals(self._state_dir) if path.name in ours]

    async def _watch(self, tell: Tell) -> Mapping[str, Any]:
        while True:
            await tell(self.status())
            await asyncio.sleep(WATCH_INTERVAL)

    async def _doctor(self) -> Mapping[str, Any]:
        from vpn_client.doctor import examine

        status = self.status()
        async with self._examining:
            findings = await asyncio.to_thread(examine, self._state_dir, status)
        return {"checks": [finding.to_json() for finding in findings]}


def _read_up(params: Mapping[str, Any], caller: Caller) -> tuple[Intent, float, int]:
    """(intent, timeout, owner). Only root may bring a session up for somebody else: that is sudo."""
    raw, timeout, owner = params.get("intent"), params.get("timeout", 30.0), params.get("owner")
    try:
        intent = parse_intent_untrusted(raw if isinstance(raw, dict) else {})
    except BadIntent as error:
        raise Failure(ExitCode.USAGE, f"intent: {error.name}", error.why, error.fix) from None
    if not isinstance(timeout, (int, float)) or isinstance(timeout, bool) or not 0 < timeout <= MAX_TIMEOUT:
        raise Failure(ExitCode.USAGE, "timeout", "out of range", f"more than 0 s, at most {MAX_TIMEOUT:.0f} s")
    trusted = caller.uid == 0 and isinstance(owner, int) and not isinstance(owner, bool)
    return intent, float(timeout), int(owner) if trusted and owner is not None else caller.uid


async def until(*events: asyncio.Event) -> None:
    """Return when one of them is set."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


async def _relay(worker: SessionWorker, tell: Tell) -> None:
    """Pass the worker's lines on until it is connected or finished; the last line first, then the outcome."""
    said: asyncio.Queue[s.Say] = asyncio.Queue()
    before: Callable[[s.Say], None] = worker.on_say
    worker.on_say = said.put_nowait
    ended = asyncio.ensure_future(until(worker.connected, worker.finished))
    try:
        while not ended.done() or not said.empty():
            getting = asyncio.ensure_future(said.get())
            await asyncio.wait((getting, ended), return_when=asyncio.FIRST_COMPLETED)
            if getting.done():
                await tell(step_of(getting.result()))
            else:
                getting.cancel()
    finally:
        ended.cancel()
        worker.on_say = before
    if worker.finished.is_set():
        for note in worker.undone:
            await tell(step_of(s.Say(f"undo {note.step}", note.level, note.text)))


def step_of(said: s.Say) -> dict[str, Any]:
    """A line as it crosses the socket."""
    return {"name": said.name, "level": Level(said.level).value, "text": said.text, "seconds": said.seconds}
