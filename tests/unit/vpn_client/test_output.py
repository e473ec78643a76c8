"""Lines for people: marks, colours, units."""

import io

import pytest

from vpn_client.exit_codes import ExitCode, Failure
from vpn_client.output import Level, Talk, duration, parse_duration, size, wants_colour


@pytest.mark.parametrize(("is_tty", "environment", "wanted"), [
    (True, {}, True), (False, {}, False), (True, {"NO_COLOR": "1"}, False), (True, {"NO_COLOR": ""}, True),
    (True, {"TERM": "dumb"}, False), (True, {"CI": "true"}, False)])
def test_colour_only_where_it_is_wanted(is_tty: bool, environment: dict[str, str], wanted: bool) -> None:
    assert wants_colour(is_tty, environment) is wanted


def test_a_step_has_mark_name_evidence_and_duration() -> None:
    out = io.StringIO()
    Talk(out).step("transport", Level.OK, "udp 192.0.2.1:51820", 0.061)
    Talk(out).step("routes", Level.WARN, "10.0.0.0/16 is taken")
    assert out.getvalue().splitlines() == [" ✓ transport    udp 192.0.2.1:51820  0.06s",
                                           " ! routes       10.0.0.0/16 is taken"]


def test_colour_wraps_the_mark_alone() -> None:
    out = io.StringIO()
    Talk(out, colour=True).step("dns", Level.FAIL, "x")
    assert out.getvalue().startswith(" \x1b[31m✗\x1b[0m dns ")


def test_quiet_says_failures_only() -> None:
    out = io.StringIO()
    talk = Talk(out, quiet=True)
    talk.line("hello")
    talk.step("a", Level.OK, "fine")
    talk.step("b", Level.FAIL, "broken")
    assert out.getvalue() == " ✗ b            broken\n"


def test_a_failure_and_its_hint() -> None:
    out = io.StringIO()
    Talk(out).failure(Failure(ExitCode.DENIED, "gateway", "it refused this key", "ask for a Peer"))
    assert out.getvalue() == "kvpn: gateway: it refused this key\nhint: ask for a Peer\n"


@pytest.mark.parametrize(("seconds", "words"), [
    (0.04, "0.0 s"), (9.94, "9.9 s"), (42, "42 s"), (185, "3 min 5 s"), (7980, "2 h 13 min"), (273600, "3 d 4 h")])
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(("count", "words"), [(0, "0 B"), (999, "999 B"), (1200, "1.2 kB"), (1.2e9, "1.2 GB"),
                                              (5e15, "5000.0 TB")])
def test_sizes(count: float, words: str) -> None:
    assert size(count) == words


@pytest.mark.parametrize(("text", "seconds"), [("30", 30), ("30s", 30), ("500ms", 0.5), ("2m", 120), ("1h", 3600),
                                               ("0.5s", 0.5)])
def test_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "0", "-1s", "1d", "1.2.3s", "inf", "ms"])
def test_other_words_are_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="for example 30s"):
        parse_duration(text)
