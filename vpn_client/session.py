"""The life of one session as a state machine: connecting, up, degraded or stale, down. Facts in, actions out.

Owns the order of `up`, every timer of the client, when to force an initiation (DESIGN §4), and what may be called
connected. Leaves to others: doing it (`worker`), the paper's own timers (`vpn_tunnel`), what the host needs
(`desired`).

Rules that must not break: the state shown is what the last probe proved, never what a socket says; an action of a kind
that can fail has one outcome reported before the next of its kind; after TakeDown nothing but its outcome is acted on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from vpn_client.exit_codes import ExitCode, Failure
from vpn_client.output import Level, duration

LIVENESS_INTERVAL: Final = 1.0
"""Seconds. The kernel's keepalive on the directory's connection draws an answer this often: it is the probe."""
SILENCE: Final = 1.0
"""Seconds that a liveness probe stays unanswered before initiations are forced (DESIGN §4)."""
FORCE_INTERVAL: Final = 0.25
"""Seconds between forced initiations (DESIGN §4)."""
PROBE_INTERVAL: Final = 5.0
"""Seconds between end-to-end probes while all is well."""
PROBE_RETRY: Final = 0.5
"""Seconds until the next probe after one that failed."""
PROBE_MAX_AGE: Final = 15.0
"""Seconds after which a probe's success proves nothing any more."""
STILL_TRYING: Final = 3.0
"""Seconds of a silent gateway after which `up` says that it still tries."""
HOST_UPDATE_DELAY: Final = 0.1
"""Seconds that changes of the directory are collected before routes and suffixes follow."""
CLOCK_JUMP: Final = 5.0
"""Seconds that a timer may be late; later than this the machine was suspended."""


class Phase(StrEnum):
    """What `up` does, in this order; the value is the name of its line."""

    CLEAN = "host clean"
    TRANSPORT = "transport"
    ADDRESS = "address"
    GATEWAY = "gateway"
    DIRECTORY = "directory"
    HOST = "host"
    """Routes, resolver and whatever else the directory decides."""
    PROBE = "probe"


class State(StrEnum):
    """What `status` shows."""

    CONNECTING = "connecting"
    UP = "up"
    STALE = "stale"
    """Traffic is proved, but the directory may be old: its stream is cut, or the gateway has lost its own source."""
    DEGRADED = "degraded"
    """The last probe failed or is too old, or the gateway is silent; repair is under way."""
    DOWN = "down"


class DirectoryLink(StrEnum):
    """How far the local directory can be trusted."""

    UNSYNCED = "unsynced"
    LIVE = "live"
    STALE = "stale"
    """Live, but the gateway says that its own source is gone."""
    LOST = "lost"
    """The stream is cut; names are served for a while."""
    EXPIRED = "expired"
    """The stream has been cut for too long: names answer SERVFAIL."""


@dataclass(frozen=True, slots=True)
class Run:
    """Carry out one phase of `up`; report `phase_done` or `phase_failed`."""

    phase: Phase


@dataclass(frozen=True, slots=True)
class Say:
    """One line for the person who waits."""

    name: str
    level: Level
    text: str
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class ForceInitiation:
    """Ask the tunnel for a handshake now."""


@dataclass(frozen=True, slots=True)
class SendProbe:
    """Name → tunnel → gateway → HTTP; report `probed`."""


@dataclass(frozen=True, slots=True)
class ReconnectDirectory:
    """Drop the directory's connection, which is dead or may be without knowing, and connect again at once."""


@dataclass(frozen=True, slots=True)
class RefreshGateway:
    """Ask the gateway again who it is and who we are."""


@dataclass(frozen=True, slots=True)
class UpdateHost:
    """Bring routes and suffixes in line with the directory; report `host_updated`."""


@dataclass(frozen=True, slots=True)
class TakeDown:
    """Undo everything; report `taken_down`."""


@dataclass(frozen=True, slots=True)
class Connected:
    """Every phase of `up` is done."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The session is over; `failure` says why unless it was asked for."""

    failure: Failure | None


Action = (Run | Say | ForceInitiation | SendProbe | ReconnectDirectory | RefreshGateway | UpdateHost | TakeDown
          | Connected | Finished)


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What one probe saw."""

    ok: bool
    evidence: str
    at: float


class Session:
    """One session. Call `actions()` after every fact and wake at `next_deadline()`."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._phases = iter(Phase)
        self._phase: Phase | None = None
        self._phase_began = 0.0
        self._began: float | None = None
        self._connected_at: float | None = None
        self._opened: float | None = None
        self._heard: float | None = None
        self._forced: float | None = None
        self._lost = False
        self._said_trying = False
        self._probing = False
        self._probe_due: float | None = None
        self._probe: ProbeResult | None = None
        self._directory = DirectoryLink.UNSYNCED
        self._host_due: float | None = None
        self._host_busy = False
        self._ending = False
        self._failure: Failure | None = None
        self._over = False
        self._jumps = 0
        self._reconnects = 0
        self._actions: list[Action] = []

    @property
    def reconnects(self) -> int:
        """How often the gateway was silent and came back."""
        return self._reconnects

    @property
    def suspends(self) -> int:
        """How often the clock jumped."""
        return self._jumps

    @property
    def connected_at(self) -> float | None:
        """When `up` was done."""
        return self._connected_at

    @property
    def phase(self) -> Phase | None:
        """The phase of `up` under way."""
        return self._phase

    @property
    def probe(self) -> ProbeResult | None:
        """The last probe."""
        return self._probe

    @property
    def directory(self) -> DirectoryLink:
        """The directory's link as last reported."""
        return self._directory

    # --- the order of `up` ---

    def start(self, now: float) -> None:
        """Begin with the first phase."""
        self._began = now
        self._next_phase(now)

    def phase_done(self, phase: Phase, lines: Iterable[tuple[str, Level, str]], now: float) -> None:
        """A phase is done; `lines` are its evidence, the duration goes to the first."""
        if self._ending or phase is not self._phase:
            return
        took: float | None = now - self._phase_began
        for name, level, text in lines:
            self._actions.append(Say(name, level, text, took))
            took = None
        self._next_phase(now)

    def phase_failed(self, phase: Phase, failure: Failure, now: float) -> None:
        """A phase failed: say so, roll back, end."""
        if not self._ending and phase is self._phase:
            self._fail(failure, now)

    def _next_phase(self, now: float) -> None:
        self._phase = next(self._phases, None)
        self._phase_began = now
        if self._phase is not None:
            self._actions.append(Run(self._phase))
            return
        self._connected_at = now
        self._probe_due = now + PROBE_INTERVAL
        self._actions.append(Connected())

    def _fail(self, failure: Failure, now: float) -> None:
        name = self._phase.value if self._phase else "session"
        self._actions.append(Say(name, Level.FAIL, f"{failure.what}: {failure.why}", now - self._phase_began))
        self._failure = failure
        self._take_down()

    # --- the end ---

    def stop(self) -> None:
        """The user asked for the end."""
        if not self._ending:
            self._take_down()

    def gave_up(self, failure: Failure, now: float) -> None:
        """Something ended that no reconnect brings back: the gateway refuses us, or the interface was deleted."""
        if not self._ending:
            self._fail(failure, now)

    def taken_down(self) -> None:
        """Everything is undone."""
        self._over = True
        self._actions.append(Finished(self._failure))

    def _take_down(self) -> None:
        self._ending = True
        self._actions.append(TakeDown())

    # --- facts from the tunnel and the machine ---

    def tunnel_opened(self, now: float) -> None:
        """Datagrams can be sent: the first initiation goes now."""
        self._opened = now
        self._force(now)

    def heard(self, last_received: float | None, now: float) -> None:
        """When the tunnel last received something authenticated."""
        if last_received is not None and (self._heard is None or last_received > self._heard):
            self._heard = last_received
        silent = self._silence_due()
        if self._lost and silent is not None and now < silent:
            self._recovered(now)

    def handshake_completed(self, now: float) -> None:
        """A response or a confirmation is something received."""
        self.heard(now, now)

    def link_changed(self, now: float) -> None:
        """An interface or an address of this machine changed: the path may have too, so prove it again."""
        if self._connected_at is not None and not self._ending:
            self._force(now)
            self._probe_soon(now)

    def _recovered(self, now: float) -> None:
        self._lost = False
        self._probe = None
        self._reconnects += 1
        self._actions += [ReconnectDirectory(), RefreshGateway()]
        self._probe_soon(now)

    def _silent_for(self, now: float) -> float:
        since = self._opened if self._heard is None else self._heard
        return 0.0 if since is None else now - since

    def _silence_due(self) -> float | None:
        """When silence stops being normal: before the first handshake nothing but the initiation is under way."""
        if self._heard is not None:
            return self._heard + LIVENESS_INTERVAL + SILENCE
        return None if self._opened is None else self._opened + SILENCE

    def _force(self, now: float) -> None:
        if self._opened is not None and (self._forced is None or now >= self._forced + FORCE_INTERVAL):
            self._forced = now
            self._actions.append(ForceInitiation())

    # --- facts from the directory and the host ---

    def directory_changed(self, link: DirectoryLink, now: float) -> None:
        """The directory's link changed. A list that arrives is worth a probe: it may be another gateway."""
        if link is not self._directory and link is DirectoryLink.LIVE and self._connected_at is not None:
            self._probe_soon(now)
        self._directory = link

    def items_changed(self, now: float) -> None:
        """Services or namespaces changed: routes and suffixes may have to follow."""
        if self._host_due is None:
            self._host_due = now + HOST_UPDATE_DELAY

    def host_updated(self) -> None:
        """UpdateHost is done, well or not; what it noted is in the status."""
        self._host_busy = False

    def probed(self, ok: bool, evidence: str, now: float) -> None:
        """The probe's outcome. A next probe that was asked for meanwhile keeps its time."""
        self._probing = False
        self._probe = ProbeResult(ok, evidence, now)
        if self._connected_at is not None and self._probe_due is None:
            self._probe_due = now + (PROBE_INTERVAL if ok else PROBE_RETRY)

    def _probe_soon(self, now: float) -> None:
        self._probe_due = now

    # --- time ---

    def next_deadline(self) -> float | None:
        """When `handle_deadline` has something to do; None after the end."""
        if self._began is None or self._over or self._ending:
            return None
        due = [self._host_due if self._phase is None and not self._host_busy else None,
               self._probe_due if not self._probing else None,
               self._force_due(),
               self._began + self._timeout if self._connected_at is None else None,
               self._trying_due()]
        return min((at for at in due if at is not None), default=None)

    def handle_deadline(self, now: float) -> None:
        """Act on every timer that is due."""
        due = self.next_deadline()
        if due is None:
            return
        if now - due > CLOCK_JUMP:
            self._woke(now)
        if self._connected_at is None and self._began is not None and now >= self._began + self._timeout:
            self._fail(self._timed_out(now), now)
            return
        self._watch_silence(now)
        self._send_what_is_due(now)

    def _force_due(self) -> float | None:
        silent = self._silence_due()
        if silent is None or self._forced is None:
            return None
        return max(silent, self._forced + FORCE_INTERVAL)

    def _trying_due(self) -> float | None:
        waiting = self._phase is Phase.TRANSPORT and not self._said_trying
        return self._phase_began + STILL_TRYING if waiting else None

    def _watch_silence(self, now: float) -> None:
        silent = self._silence_due()
        if silent is not None and now >= silent:
            if self._connected_at is not None and not self._lost:
                self._lost = True
                self._actions.append(ReconnectDirectory())
            self._force(now)
        trying = self._trying_due()
        if trying is not None and now >= trying:
            self._said_trying = True
            self._actions.append(Say(Phase.TRANSPORT.value, Level.WARN, "no answer yet; still trying"))

    def _send_what_is_due(self, now: float) -> None:
        if self._probe_due is not None and now >= self._probe_due and not self._probing:
            self._probing, self._probe_due = True, None
            self._actions.append(SendProbe())
        if self._host_due is not None and now >= self._host_due and self._phase is None and not self._host_busy:
            self._host_busy, self._host_due = True, None
            self._actions.append(UpdateHost())

    def _woke(self, now: float) -> None:
        self._jumps += 1
        self._probe = None
        if self._connected_at is not None:
            self._lost = True
            self._force(now)
            self._probe_soon(now)

    def _timed_out(self, now: float) -> Failure:
        waited = duration(self._timeout)
        if self._phase is Phase.TRANSPORT:
            return Failure(ExitCode.UNREACHABLE, "gateway", f"no answer from it in {waited}",
                           "check gateway.endpoints and that UDP gets through; the gateway must know this key")
        name = self._phase.value if self._phase else "session"
        return Failure(ExitCode.TIMEOUT, name, f"not done {waited} after the start",
                       "try again with a longer --timeout")

    # --- what is shown ---

    def actions(self) -> list[Action]:
        """What to do now, in order; each is given once."""
        actions, self._actions = self._actions, []
        return actions

    def state(self, now: float) -> State:
        """What has been proved."""
        if self._over or self._ending:
            return State.DOWN
        if self._connected_at is None:
            return State.CONNECTING
        if self._trouble(now):
            return State.DEGRADED
        return State.UP if self._directory is DirectoryLink.LIVE else State.STALE

    def reasons(self, now: float) -> list[str]:
        """Why the state is not `up`, in words."""
        if self._connected_at is None or self._over or self._ending:
            return []
        words = self._trouble(now)
        if self._directory is not DirectoryLink.LIVE:
            words.append(_DIRECTORY_WORDS[self._directory])
        return words

    def _trouble(self, now: float) -> list[str]:
        words = []
        if self._lost:
            words.append(f"the gateway has been silent for {duration(self._silent_for(now))}")
        if self._probe is None:
            words.append("nothing has been proved since the path was lost")
        elif not self._probe.ok:
            words.append(f"the last probe failed: {self._probe.evidence}")
        elif now - self._probe.at > PROBE_MAX_AGE:
            words.append(f"the last probe is {duration(now - self._probe.at)} old")
        return words


_DIRECTORY_WORDS: Final = {
    DirectoryLink.UNSYNCED: "no directory has arrived yet: names answer SERVFAIL",
    DirectoryLink.STALE: "the gateway has lost its own source: names may be old",
    DirectoryLink.LOST: "the directory's stream is cut: names may be old",
    DirectoryLink.EXPIRED: "the directory's stream has been cut for too long: names answer SERVFAIL",
}
