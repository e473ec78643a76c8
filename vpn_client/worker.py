"""I/O: one session carried out: TUN, tunnel, directory, resolver, host and probes, driven by its state machine.

Owns the life of the parts and the order of taking them down. Leaves to others: every decision (`session`), the parts
themselves (`parts`), callers and processes (`service`, `daemon`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Final, TypeVar

from vpn_client import session as s
from vpn_client.desired import first_plan, whole_plan
from vpn_client.exit_codes import ExitCode, Failure
from vpn_client.gateway_session import GatewaySession, check_identity, unapproved
from vpn_client.host_plan import HostPlan, Note
from vpn_client.intent import Intent
from vpn_client.linux_host import HostError
from vpn_client.mtu_probe import Verdict
from vpn_client.output import Level
from vpn_client.parts import Directory, DirectoryEvents, Host, Names, Parts, Tunnel
from vpn_client.probe import ProbeFailed
from vpn_client.session import DirectoryLink, Phase, Session
from vpn_client.worker_facts import Lines, directory_line, facts_of, transport_line
from vpn_directory.model import Change

REFRESH_INTERVAL: Final = 1.0
"""Seconds between looks at whether somebody else changed the host's resolver or routes."""
PROBE_PATIENCE: Final = 5.0
"""Seconds that the first probe is repeated for before `up` gives up on it."""
PROBE_PAUSE: Final = 0.2
"""Seconds between these tries."""
MAX_NOTES: Final = 20
"""Lines that `status` keeps of what the host refused or left out."""

log = logging.getLogger(__name__)
Returned = TypeVar("Returned")


class SessionWorker:
    """One session from `up` to `down`. `run` returns when everything is undone; `failure` then says why it ended."""

    def __init__(self, intent: Intent, parts: Parts, *, owner: int, timeout: float, clean: Sequence[Note] = ()) -> None:
        self.intent = intent
        self.owner = owner
        self.on_say: Callable[[s.Say], None] = _log_say
        self.connected = asyncio.Event()
        self.finished = asyncio.Event()
        self.failure: Failure | None = None
        self.undone: list[Note] = []
        self.session = Session(timeout)
        self._parts = parts
        self._clean = clean
        self._host: Host = parts.host(intent.session)
        self._host_lock = asyncio.Lock()
        self._tunnel: Tunnel | None = None
        self._names: Names | None = None
        self._directory: Directory | None = None
        self._gateway: GatewaySession | None = None
        self._resolver: tuple[str, int] = ("", 0)
        self._plan: HostPlan | None = None
        self._mtu = intent.mtu
        self._notes: dict[str, list[Note]] = {}
        self._dns_mode = ""
        self._shown: s.State | None = None
        self._handshake = asyncio.Event()
        self._listed = asyncio.Event()
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._before: Mapping[str, Any] | None = None

    # --- the loop ---

    async def run(self) -> None:
        """Drive the session to its end. Whatever ends it, the host is restored before this returns."""
        self.session.start(self._parts.now())
        try:
            async with asyncio.TaskGroup() as group:
                await self._drive(group)
        finally:
            if not self.finished.is_set():
                await asyncio.shield(self._take_down())
                self.finished.set()

    async def _drive(self, group: asyncio.TaskGroup) -> None:
        while not self.finished.is_set():
            for action in self.session.actions():
                await self._perform(action, group)
            await self._sleep()
            now = self._parts.now()
            if self._tunnel is not None:
                self.session.heard(self._tunnel.status().last_received, now)
            self.session.handle_deadline(now)
            self._log_state(now)

    def _log_state(self, now: float) -> None:
        state = self.session.state(now)
        if state is not self._shown:
            self._shown = state
            why = "; ".join(self.session.reasons(now))
            log.info("session %s is %s%s", self.intent.session, state, f": {why}" if why else "")

    async def _sleep(self) -> None:
        due = self.session.next_deadline()
        if self.finished.is_set():
            return
        try:
            async with asyncio.timeout(None if due is None else max(0.0, due - self._parts.now())):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    async def _perform(self, action: s.Action, group: asyncio.TaskGroup) -> None:
        match action:
            case s.Run(phase):
                self._spawn(group, self._run_phase(phase, group))
            case s.Say():
                self.on_say(action)
            case s.ForceInitiation():
                if self._tunnel is not None:
                    self._tunnel.force_initiation()
            case s.SendProbe():
                self._spawn(group, self._probe_again())
            case s.ReconnectDirectory():
                if self._directory is not None:
                    self._directory.reconnect()
            case s.RefreshGateway():
                self._spawn(group, self._refresh_gateway())
            case s.UpdateHost():
                self._spawn(group, self._update_host())
            case s.TakeDown():
                await self._take_down()
                self.session.taken_down()
            case s.Connected():
                self._spawn(group, self._refresh_host())
                self.connected.set()
            case s.Finished(failure):
                self.failure = failure
                self.finished.set()
        self._wake.set()

    def _spawn(self, group: asyncio.TaskGroup, work: Coroutine[Any, Any, None]) -> None:
        task = group.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _woken(self) -> None:
        self._wake.set()

    # --- facts from outside ---

    def stop(self) -> None:
        """Go down; `finished` tells when."""
        self.session.stop()
        self._woken()

    def link_changed(self) -> None:
        """An interface or address of this machine changed."""
        self.session.link_changed(self._parts.now())
        self._woken()

    def _handshake_completed(self) -> None:
        self._handshake.set()
        self.session.handshake_completed(self._parts.now())
        self._woken()

    def _interface_gone(self) -> None:
        failure = Failure(ExitCode.FAILURE, "interface", "somebody deleted it", "sudo kvpn up")
        self.session.gave_up(failure, self._parts.now())
        self._woken()

    def _directory_changed(self, changes: Sequence[Change]) -> None:
        assert self._names is not None
        self._names.apply(changes)
        self.session.items_changed(self._parts.now())
        self._woken()

    def _directory_link(self, link: DirectoryLink) -> None:
        assert self._names is not None
        self._names.set_link(link)
        self.session.directory_changed(link, self._parts.now())
        if link in (DirectoryLink.LIVE, DirectoryLink.STALE):
            self._listed.set()
        self._woken()

    # --- the phases of `up` ---

    async def _run_phase(self, phase: Phase, group: asyncio.TaskGroup) -> None:
        work: dict[Phase, Callable[[], Awaitable[Lines]]] = {
            Phase.CLEAN: self._say_clean, Phase.TRANSPORT: self._open_transport, Phase.ADDRESS: self._set_address,
            Phase.GATEWAY: self._ask_gateway, Phase.DIRECTORY: lambda: self._fetch_directory(group),
            Phase.HOST: self._set_host, Phase.PROBE: self._first_probe}
        try:
            lines = await work[phase]()
        except Failure as failure:
            self.session.phase_failed(phase, failure, self._parts.now())
        except HostError as error:
            self.session.phase_failed(phase, Failure(ExitCode.FAILURE, error.what, error.why, error.fix),
                                      self._parts.now())
        else:
            self.session.phase_done(phase, lines, self._parts.now())
        self._woken()

    async def _say_clean(self) -> Lines:
        if not self._clean:
            return [(Phase.CLEAN.value, Level.OK, "no leftovers from an earlier run")]
        return [(Phase.CLEAN.value, note.level, f"restored from an earlier run: {note.text}") for note in self._clean]

    async def _open_transport(self) -> Lines:
        interface = self._parts.free_interface()
        await self._on_host(lambda: self._host.will_open(interface))
        self._tunnel = self._parts.open_tunnel(interface, self.intent)
        self._tunnel.start(self._handshake_completed, self._interface_gone)
        began = self._parts.now()
        self.session.tunnel_opened(began)
        self._woken()
        await self._handshake.wait()
        return [transport_line(self._tunnel, self._parts.now() - began)]

    async def _set_address(self) -> Lines:
        plan = first_plan(self.intent, self._interface)
        notes = await self._on_host(lambda: self._host.apply(plan))
        self._plan = plan
        self._allow()
        self._names = self._parts.names(self.intent)
        self._resolver = await self._names.start(self.intent.addresses[0])
        self._keep(notes)
        wanted = [note for note in notes if note.step == Phase.ADDRESS.value or note.level is not Level.OK]
        return self._lines(wanted, Phase.ADDRESS.value, f"{', '.join(self.intent.addresses)} on {self._interface}")

    async def _ask_gateway(self) -> Lines:
        answer = await self._parts.gateway_session(self.intent, self._interface)
        check_identity(answer, self.intent)
        self._gateway = answer
        verdict = await self._measure_mtu(self.intent.mtu)
        lines = [(Phase.GATEWAY.value, Level.OK, f"kvpn {answer.version}, knows this peer as {answer.peer}"),
                 ("mtu", Level.OK if verdict.proved else Level.WARN, verdict.text),
                 ("policy", *_policy(answer.policy))]
        return [*lines, *(("dns", Level.WARN, f"the gateway serves {domain}, which the profile does not approve")
                          for domain in unapproved(answer, self.intent))]

    async def _measure_mtu(self, upper: int) -> Verdict:
        assert self._tunnel is not None
        verdict = await self._parts.path_mtu(self.intent, self._tunnel, upper)
        self._mtu = min(verdict.mtu, upper)
        return verdict

    async def _fetch_directory(self, group: asyncio.TaskGroup) -> Lines:
        events = DirectoryEvents(self._directory_changed, self._directory_link)
        self._directory = self._parts.directory(self.intent, self._interface, events)
        self._spawn(group, self._directory.run())
        await self._listed.wait()
        return [directory_line(self._directory)]

    async def _set_host(self) -> Lines:
        notes = await self._bring_host_in_line()
        assert self._plan is not None
        return self._lines(notes, "routes", f"{len(self._plan.routes)} prefixes on {self._interface}")

    async def _first_probe(self) -> Lines:
        """A probe right after the resolver was set up may meet a lost packet: a few tries before it counts."""
        deadline = self._parts.now() + PROBE_PATIENCE
        while not await self._probe_once():
            assert self.session.probe is not None
            if self._parts.now() > deadline:
                raise Failure(ExitCode.UNREACHABLE, "probe", self.session.probe.evidence, "kvpn doctor")
            await asyncio.sleep(PROBE_PAUSE)
        assert self.session.probe is not None
        return [(Phase.PROBE.value, Level.OK, self.session.probe.evidence)]

    # --- what goes on while connected ---

    async def _probe_again(self) -> None:
        await self._probe_once()
        self._woken()

    async def _probe_once(self) -> bool:
        try:
            evidence, ok = await self._parts.probe(self.intent, self._interface, self._resolver), True
        except ProbeFailed as error:
            evidence, ok = str(error), False
        self.session.probed(ok, evidence, self._parts.now())
        return ok

    async def _refresh_gateway(self) -> None:
        """The gateway may be another one now, or know us no more; that it does not answer is the probe's to say."""
        try:
            answer = await self._parts.gateway_session(self.intent, self._interface)
            check_identity(answer, self.intent)
            self._gateway = answer
            await self._measure_mtu(self._mtu)  # another path may carry less; it is not asked for more
            self.session.items_changed(self._parts.now())
        except Failure as failure:
            if failure.code is ExitCode.DENIED:
                self.session.gave_up(failure, self._parts.now())
        self._woken()

    async def _update_host(self) -> None:
        try:
            await self._bring_host_in_line()
        except HostError as error:
            self._keep([Note("update", f"{error.what}: {error.why}", Level.WARN)])
        self.session.host_updated()
        self._woken()

    async def _bring_host_in_line(self) -> list[Note]:
        assert self._directory is not None
        plan = whole_plan(self.intent, self._interface, self._mtu, self._directory.items, self._resolver)
        if plan == self._plan:
            return []
        notes = await self._on_host(lambda: self._host.update(plan))
        self._plan = plan
        self._allow()
        if self._tunnel is not None:
            self._tunnel.set_mtu(plan.mtu)
        everything = self._host.takes_all_queries
        self._dns_mode = self._host.resolver_mode + (", all queries pass through us" if everything else ", split")
        if self._names is not None:
            self._names.forward_to(self._host.upstreams if everything else ())
        self._keep(notes)
        return notes

    async def _refresh_host(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_INTERVAL)
            try:
                self._keep(await self._on_host(lambda: self._host.refresh(self._parts.now())), add=True)
            except HostError as error:
                self._keep([Note("refresh", f"{error.what}: {error.why}", Level.WARN)])

    def _allow(self) -> None:
        """Only what is routed into the tunnel may come out of it: a gateway cannot speak for the LAN."""
        if self._tunnel is not None and self._plan is not None:
            gateway = first_plan(self.intent, self._interface).routes
            self._tunnel.allow(tuple(dict.fromkeys((*gateway, *self._host.installed()))))

    # --- the end ---

    async def _take_down(self) -> None:
        """Stop what is under way, restore the host, then close what it no longer points to."""
        for task in list(self._tasks):
            task.cancel()
        self.undone = await self._on_host(self._host.undo)
        if self._names is not None:
            await self._names.stop()
        if self._tunnel is not None:
            self._tunnel.close()
            self._tunnel = None

    # --- small things ---

    @property
    def interface(self) -> str:
        """Our TUN device's name; empty before there is one."""
        return self._tunnel.interface if self._tunnel is not None else ""

    @property
    def _interface(self) -> str:
        assert self._tunnel is not None
        return self._tunnel.interface

    async def _on_host(self, work: Callable[[], Returned]) -> Returned:
        """Off the loop, for it blocks; one at a time, for the host is one. Not left half done when cancelled."""
        async with self._host_lock:
            running = asyncio.ensure_future(asyncio.to_thread(work))
            try:
                return await asyncio.shield(running)
            except asyncio.CancelledError:
                await asyncio.wait([running])
                raise

    def _lines(self, notes: Sequence[Note], name: str, text: str) -> Lines:
        """The notes as lines, with a line of our own in front when they have none of that name."""
        own = [] if any(note.step == name for note in notes) else [(name, Level.OK, text)]
        return [*own, *((note.step, note.level, note.text) for note in notes)]

    def _keep(self, notes: Sequence[Note], *, add: bool = False) -> None:
        """Keep for `status` what is not plainly fine; a step's new notes replace its old ones."""
        steps: dict[str, list[Note]] = {}
        for note in notes:
            steps.setdefault(note.step, []).append(note)
        for step, said in steps.items():
            wanted = [note for note in said if note.level is not Level.OK]
            self._notes[step] = [*(self._notes.get(step, []) if add else []), *wanted][-MAX_NOTES:]
        for note in notes:
            log.log(logging.INFO if note.level is Level.OK else logging.WARNING, "%s: %s", note.step, note.text)

    def facts(self) -> dict[str, Any]:
        """This session's part of the status."""
        now = self._parts.now()
        notes = [note for said in self._notes.values() for note in said]
        facts = facts_of(self.intent, self.session, now, tunnel=self._tunnel, names=self._names, plan=self._plan,
                         directory=self._directory, gateway=self._gateway, notes=notes,
                         resolver=(*self._resolver, self._dns_mode), before=self._before,
                         unix_ns=self._parts.unix_time_ns())
        self._before = facts.get("tunnel") or None
        return {**facts, "owner": self.owner}


def _policy(policy: str) -> tuple[Level, str]:
    return (Level.WARN, "open: no policy is enforced") if policy == "open" else (Level.OK, policy)


def _log_say(said: s.Say) -> None:
    log.log(logging.INFO if said.level is Level.OK else logging.WARNING, "%s: %s", said.name, said.text)
