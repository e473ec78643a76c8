"""The session's state machine on a manual clock: the order of `up`, every timer, every state."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vpn_client import session as s
from vpn_client.exit_codes import ExitCode, Failure
from vpn_client.output import Level
from vpn_client.session import DirectoryLink, Phase, Session, State


class Driven:
    """A session with its clock; what it asked for is collected, nothing is carried out."""

    def __init__(self, timeout: float = 30.0) -> None:
        self.now = 100.0
        self.session = Session(timeout)
        self.done: list[tuple[float, s.Action]] = []
        self.session.start(self.now)
        self.drain()

    def drain(self) -> list[s.Action]:
        """New actions, also kept with their time."""
        actions = self.session.actions()
        self.done += [(self.now, action) for action in actions]
        return actions

    def advance(self, seconds: float, *, each: Callable[[], None] = lambda: None) -> list[s.Action]:
        """Let time pass, stopping at every deadline."""
        end, actions = self.now + seconds, list[s.Action]()
        while (due := self.session.next_deadline()) is not None and due <= end:
            self.now = max(self.now, due)
            each()
            self.session.handle_deadline(self.now)
            actions += self.drain()
        self.now = end
        return actions

    def finish(self, phase: Phase) -> list[s.Action]:
        """The phase's work is done."""
        self.session.phase_done(phase, [(phase.value, Level.OK, "done")], self.now)
        return self.drain()

    def hear(self) -> None:
        """Something authenticated arrived just now."""
        self.session.heard(self.now, self.now)

    def prove(self) -> None:
        """A probe succeeds."""
        self.session.probed(True, "200", self.now)


def connected() -> Driven:
    """A session whose `up` is done, all well, at 100.0."""
    driven = Driven()
    driven.finish(Phase.CLEAN)
    driven.session.tunnel_opened(driven.now)
    driven.session.handshake_completed(driven.now)
    for phase in (Phase.TRANSPORT, Phase.ADDRESS, Phase.GATEWAY, Phase.DIRECTORY, Phase.HOST):
        driven.finish(phase)
    driven.session.directory_changed(DirectoryLink.LIVE, driven.now)
    driven.prove()
    driven.finish(Phase.PROBE)
    return driven


def times(driven: Driven, kind: type) -> list[float]:
    return [round(at - 100.0, 3) for at, action in driven.done if isinstance(action, kind)]


def test_up_goes_through_its_phases_in_order() -> None:
    driven = Driven()
    for phase in Phase:
        assert driven.session.phase is phase
        assert driven.session.state(driven.now) is State.CONNECTING
        driven.now += 0.5
        driven.finish(phase)
    assert [action.phase for _, action in driven.done if isinstance(action, s.Run)] == list(Phase)
    assert [action.seconds for _, action in driven.done if isinstance(action, s.Say)] == [0.5] * len(Phase)
    assert isinstance(driven.done[-1][1], s.Connected)


def test_only_the_first_line_of_a_phase_has_its_duration() -> None:
    driven = Driven()
    driven.now += 1
    driven.session.phase_done(Phase.CLEAN, [("a", Level.OK, "x"), ("b", Level.WARN, "y")], driven.now)
    assert driven.drain()[:2] == [s.Say("a", Level.OK, "x", 1.0), s.Say("b", Level.WARN, "y", None)]


def test_an_outcome_of_another_phase_is_ignored() -> None:
    driven = Driven()
    assert driven.finish(Phase.PROBE) == []
    driven.session.phase_failed(Phase.PROBE, Failure(ExitCode.FAILURE, "a", "b"), driven.now)
    assert driven.drain() == []


def test_a_failed_phase_is_said_and_rolled_back() -> None:
    driven = Driven()
    failure = Failure(ExitCode.DENIED, "gateway", "it refused")
    driven.session.phase_failed(Phase.CLEAN, failure, driven.now)
    said, take_down = driven.drain()
    assert said == s.Say("host clean", Level.FAIL, "gateway: it refused", 0.0)
    assert take_down == s.TakeDown()
    assert driven.session.state(driven.now) is State.DOWN
    driven.session.taken_down()
    assert driven.drain() == [s.Finished(failure)]


@pytest.mark.parametrize("phase", list(Phase))
def test_the_timeout_names_the_phase(phase: Phase) -> None:
    driven = Driven(timeout=2.0)
    for before in list(Phase)[:list(Phase).index(phase)]:
        driven.finish(before)
    driven.advance(1.9)
    assert driven.session.state(driven.now) is State.CONNECTING
    driven.advance(0.2)
    driven.session.taken_down()
    finished = driven.drain()[-1]
    assert isinstance(finished, s.Finished)
    assert finished.failure is not None
    if phase is Phase.TRANSPORT:
        assert finished.failure.code is ExitCode.UNREACHABLE
        assert "no answer from it in 2.0 s" in finished.failure.why
    else:
        assert finished.failure.code is ExitCode.TIMEOUT
        assert finished.failure.what == phase.value


def test_the_first_initiation_goes_at_once_then_after_a_second_every_quarter() -> None:
    driven = Driven()
    driven.finish(Phase.CLEAN)
    driven.session.tunnel_opened(driven.now)
    driven.drain()
    driven.advance(1.8)
    assert times(driven, s.ForceInitiation) == [0.0, 1.0, 1.25, 1.5, 1.75]


def test_a_silent_gateway_is_mentioned_once() -> None:
    driven = Driven()
    driven.finish(Phase.CLEAN)
    driven.session.tunnel_opened(driven.now)
    said = [action for action in driven.advance(20) if isinstance(action, s.Say)]
    assert said == [s.Say("transport", Level.WARN, "no answer yet; still trying")]


def test_connected_means_proved() -> None:
    driven = connected()
    assert driven.session.state(driven.now) is State.UP
    assert driven.session.reasons(driven.now) == []
    assert driven.session.connected_at == driven.now


def test_probes_go_every_five_seconds_and_wait_for_their_outcome() -> None:
    driven = connected()
    driven.advance(12, each=driven.hear)
    assert times(driven, s.SendProbe) == [5.0]
    driven.prove()
    driven.advance(12, each=driven.hear)
    assert times(driven, s.SendProbe) == [5.0, 17.0]


def test_a_failed_probe_degrades_and_is_repeated_soon() -> None:
    driven = connected()
    driven.advance(5, each=driven.hear)
    driven.session.probed(False, "silent", driven.now)
    assert driven.session.state(driven.now) is State.DEGRADED
    assert driven.session.reasons(driven.now) == ["the last probe failed: silent"]
    driven.advance(0.6, each=driven.hear)
    assert times(driven, s.SendProbe) == [5.0, 5.5]
    driven.prove()
    assert driven.session.state(driven.now) is State.UP


def test_an_old_success_proves_nothing() -> None:
    driven = connected()
    driven.advance(s.PROBE_MAX_AGE + 0.1, each=driven.hear)
    assert driven.session.state(driven.now) is State.DEGRADED
    assert driven.session.reasons(driven.now) == ["the last probe is 15 s old"]


def test_silence_forces_initiations_every_quarter_second() -> None:
    driven = connected()
    driven.advance(2.9)
    assert times(driven, s.ForceInitiation)[1:] == [2.0, 2.25, 2.5, 2.75]
    assert driven.session.state(driven.now) is State.DEGRADED
    assert "silent for 2.9 s" in driven.session.reasons(driven.now)[0]


def test_a_stream_through_a_silent_tunnel_is_dead() -> None:
    driven = connected()
    assert s.ReconnectDirectory() not in driven.advance(1.9)
    assert driven.advance(2.0).count(s.ReconnectDirectory()) == 1


def test_answers_to_the_liveness_probe_keep_initiations_away() -> None:
    driven = connected()
    for _ in range(60):
        driven.advance(1.0)
        driven.hear()
    assert times(driven, s.ForceInitiation) == [0.0]


def test_after_silence_everything_is_asked_again() -> None:
    driven = connected()
    driven.advance(4)
    driven.session.handshake_completed(driven.now)
    assert driven.drain() == [s.ReconnectDirectory(), s.RefreshGateway()]
    assert driven.session.reasons(driven.now) == ["nothing has been proved since the path was lost"]
    assert driven.advance(0.0) == [s.SendProbe()]
    driven.prove()
    assert driven.session.state(driven.now) is State.UP
    assert driven.session.reconnects == 1


def test_old_news_is_no_recovery() -> None:
    driven = connected()
    driven.advance(4)
    driven.session.heard(100.0, driven.now)
    assert driven.drain() == []
    assert driven.session.state(driven.now) is State.DEGRADED


def test_a_suspended_machine_proves_everything_anew() -> None:
    driven = connected()
    driven.now += 3600
    driven.session.handle_deadline(driven.now)
    assert set(driven.drain()) == {s.ForceInitiation(), s.SendProbe()}
    assert driven.session.suspends == 1
    assert "nothing has been proved since the path was lost" in driven.session.reasons(driven.now)
    driven.session.handshake_completed(driven.now)
    assert s.ReconnectDirectory() in driven.drain()
    driven.prove()
    assert driven.session.state(driven.now) is State.UP


def test_a_timer_that_is_a_little_late_is_no_suspend() -> None:
    driven = connected()
    driven.now += 2.0 + s.CLOCK_JUMP - 0.1
    driven.session.handle_deadline(driven.now)
    assert driven.session.suspends == 0


def test_a_changed_link_is_proved_at_once() -> None:
    driven = connected()
    driven.now += 1
    driven.hear()
    driven.session.link_changed(driven.now)
    assert driven.drain() == [s.ForceInitiation()]
    assert driven.advance(0.0) == [s.SendProbe()]


def test_a_flapping_link_is_limited_to_four_initiations_a_second() -> None:
    driven = connected()
    for _ in range(100):
        driven.now += 0.01
        driven.session.link_changed(driven.now)
        driven.drain()
    forced = times(driven, s.ForceInitiation)
    assert forced == [0.0, 0.25, 0.5, 0.75, 1.0]


def test_a_probe_asked_for_while_one_is_out_follows_it_at_once() -> None:
    driven = connected()
    driven.advance(5, each=driven.hear)
    driven.session.link_changed(driven.now)
    driven.drain()
    driven.prove()
    assert s.SendProbe() in driven.advance(0.0, each=driven.hear)


@pytest.mark.parametrize(("link", "words"), [
    (DirectoryLink.STALE, "has lost its own source"), (DirectoryLink.LOST, "stream is cut: names may be old"),
    (DirectoryLink.EXPIRED, "too long: names answer SERVFAIL"), (DirectoryLink.UNSYNCED, "no directory has arrived")])
def test_an_old_directory_is_stale_not_up(link: DirectoryLink, words: str) -> None:
    driven = connected()
    driven.session.directory_changed(link, driven.now)
    assert driven.session.state(driven.now) is State.STALE
    assert words in driven.session.reasons(driven.now)[0]
    driven.session.directory_changed(DirectoryLink.LIVE, driven.now)
    assert driven.session.state(driven.now) is State.UP


def test_a_directory_that_is_live_again_is_worth_a_probe() -> None:
    driven = connected()
    driven.session.directory_changed(DirectoryLink.LOST, driven.now)
    driven.session.directory_changed(DirectoryLink.LIVE, driven.now)
    assert driven.advance(0.0) == [s.SendProbe()]


def test_changes_of_the_directory_reach_the_host_together_and_one_at_a_time() -> None:
    driven = connected()
    for _ in range(5):
        driven.session.items_changed(driven.now)
        driven.now += 0.01
    assert driven.advance(0.2) == [s.UpdateHost()]
    driven.session.items_changed(driven.now)
    assert s.UpdateHost() not in driven.advance(1)
    driven.session.host_updated()
    assert s.UpdateHost() in driven.advance(0.0)


def test_the_host_is_left_alone_until_up_is_done() -> None:
    driven = Driven()
    driven.session.items_changed(driven.now)
    assert driven.advance(1) == []


def test_stop_takes_down_once() -> None:
    driven = connected()
    driven.session.stop()
    driven.session.stop()
    assert driven.drain() == [s.TakeDown()]
    assert driven.session.next_deadline() is None
    driven.session.taken_down()
    assert driven.drain() == [s.Finished(None)]
    assert driven.session.state(driven.now) is State.DOWN


def test_a_gateway_that_refuses_us_later_ends_the_session() -> None:
    driven = connected()
    failure = Failure(ExitCode.DENIED, "gateway", "this peer is gone", "ask for a new one")
    driven.session.gave_up(failure, driven.now)
    assert s.TakeDown() in driven.drain()
    driven.session.taken_down()
    assert driven.drain() == [s.Finished(failure)]


_facts = st.sampled_from(["hear", "handshake", "link", "probe ok", "probe bad", "live", "lost", "items", "updated",
                          "sleep", "stop", "done", "failed", "taken"])


@settings(max_examples=300)
@given(st.lists(st.tuples(_facts, st.floats(0, 4))), st.booleans())
def test_whatever_happens_the_rules_hold(facts: list[tuple[str, float]], started: bool) -> None:
    """Forced at most every 250 ms; one probe and one host update at a time; nothing after the end; never busy."""
    driven = connected() if started else Driven()
    session, probing, updating, down = driven.session, False, False, 0
    if not started:
        session.tunnel_opened(driven.now)
    for fact, wait in facts:
        _tell(driven, fact)
        probing &= not fact.startswith("probe")
        updating &= fact != "updated"
        actions = driven.drain() + driven.advance(wait)
        probes, updates = actions.count(s.SendProbe()), actions.count(s.UpdateHost())
        assert probes + probing <= 1
        assert updates + updating <= 1
        probing, updating = probing or probes > 0, updating or updates > 0
        assert not (down and {s.SendProbe(), s.UpdateHost(), s.TakeDown()} & set(actions))
        down += actions.count(s.TakeDown())
        assert session.state(driven.now) is State.DOWN or not down
        assert session.state(driven.now) is not State.UP or (session.probe and session.probe.ok)
    forced = times(driven, s.ForceInitiation)
    assert all(b - a >= s.FORCE_INTERVAL - 0.001 for a, b in pairwise(forced))


def _tell(driven: Driven, fact: str) -> None:
    session, now = driven.session, driven.now
    acts: dict[str, Callable[[], object]] = {
        "hear": driven.hear, "handshake": lambda: session.handshake_completed(now),
        "link": lambda: session.link_changed(now), "probe ok": driven.prove,
        "probe bad": lambda: session.probed(False, "x", now),
        "live": lambda: session.directory_changed(DirectoryLink.LIVE, now),
        "lost": lambda: session.directory_changed(DirectoryLink.LOST, now), "items": lambda: session.items_changed(now),
        "updated": session.host_updated, "sleep": lambda: setattr(driven, "now", now + 60), "stop": session.stop,
        "done": lambda: session.phase_done(session.phase or Phase.PROBE, [], now),
        "failed": lambda: session.phase_failed(session.phase or Phase.PROBE, Failure(ExitCode.FAILURE, "a", "b"), now),
        "taken": lambda: session.taken_down() if session.state(now) is State.DOWN else None}
    acts[fact]()
