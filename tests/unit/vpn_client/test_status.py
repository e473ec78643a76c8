"""Every state on the screen and in the exit code."""

import copy
from typing import Any

import pytest

from tests.unit.vpn_client.samples import SESSION
from vpn_client.exit_codes import ExitCode
from vpn_client.status import document, exit_code, rates, text

DAEMON = {"version": "0.1.0", "pid": 7}


def changed(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(SESSION), **changes}


def test_one_screen() -> None:
    assert text(document([SESSION], DAEMON)).splitlines() == [
        "default  UP for 2 h 13 min  laptop.toml",
        "  tunnel    udp 192.0.2.1:51820 · last handshake 42 s ago · rx 1.2 GB (1.2 kB/s), tx 88.0 MB (0 B/s) · "
        "python data path · reconnects 1",
        "  address   198.18.0.2 on kvpn0, mtu 1420",
        "  routes    10.96.0.0/12",
        "  dns       systemd-resolved: cluster.local at 198.18.0.2:53 · 7 queries",
        "  directory live, revision 8812, 412 services · heard 0.4 s ago",
        "  policy    open: every service of the directory can be reached",
        "  probe     ok 6.0 s ago: GET /healthz → 200 in 41 ms",
        "  drops     replayed 2",
        "  note      routes: 10.1.0.0/16 is taken"]


@pytest.mark.parametrize(("state", "code"), [
    ("up", ExitCode.OK), ("stale", ExitCode.OK), ("connecting", ExitCode.NOT_CONNECTED),
    ("degraded", ExitCode.NOT_CONNECTED), ("down", ExitCode.NOT_CONNECTED)])
def test_each_state_has_its_word_and_its_code(state: str, code: ExitCode) -> None:
    shown = document([changed(state=state)], DAEMON)
    assert exit_code(shown) is code
    assert f"default  {state.upper()}" in text(shown)


def test_reasons_come_first() -> None:
    lines = text(document([changed(state="degraded", reasons=["the gateway has been silent for 3 s"])], DAEMON))
    assert lines.splitlines()[1] == "  why       the gateway has been silent for 3 s"


def test_without_sessions_nothing_is_connected() -> None:
    assert exit_code(document([], DAEMON)) is ExitCode.NOT_CONNECTED
    assert text(document([], DAEMON)) == "not connected: no session"
    assert text(document([], None)) == "not connected: kvpnd is not running"


def test_one_bad_session_is_enough_unless_another_was_asked_for() -> None:
    shown = document([SESSION, changed(session="ci", state="degraded")], DAEMON)
    assert exit_code(shown) is ExitCode.NOT_CONNECTED
    assert exit_code(shown, "default") is ExitCode.OK
    assert exit_code(shown, "absent") is ExitCode.NOT_CONNECTED


def test_a_session_that_has_nothing_yet() -> None:
    bare = {"session": "default", "profile": "x.toml", "state": "connecting", "reasons": []}
    assert text(document([bare], DAEMON)).splitlines() == ["default  CONNECTING  x.toml", "  probe     none yet"]


def test_no_handshake_and_no_path() -> None:
    tunnel = {**SESSION["tunnel"], "endpoint": "", "last_handshake_age": None}
    assert "udp no path yet · no handshake yet" in text(document([changed(tunnel=tunnel)], DAEMON))


def test_a_failed_probe_says_so() -> None:
    probe = {"ok": False, "age": 2.0, "evidence": "silent for 2.0 s"}
    assert "  probe     failed 2.0 s ago: silent for 2.0 s" in text(document([changed(probe=probe)], DAEMON))


def test_many_routes_are_counted() -> None:
    host = {**SESSION["host"], "routes": [f"10.{i}.0.0/16" for i in range(9)]}
    assert "10.5.0.0/16 and 3 more" in text(document([changed(host=host)], DAEMON))


def test_rates_between_two_moments() -> None:
    before = {"at": 1.0, "rx_bytes": 100, "tx_bytes": 0}
    after = {"at": 3.0, "rx_bytes": 300, "tx_bytes": 50}
    assert rates(before, after) == {"rx_per_second": 100.0, "tx_per_second": 25.0}
    nothing = {"rx_per_second": 0.0, "tx_per_second": 0.0}
    assert rates(None, after) == rates(after, before) == rates(after, after) == nothing
