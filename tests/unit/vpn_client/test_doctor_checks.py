"""For every check: the healthy machine is green, and what it watches over turns it red."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tests.unit.vpn_client.samples import SESSION
from vpn_client.doctor_checks import CHECKS, RELEASE_TIME, Facts, Finding, SessionFacts, examine_facts
from vpn_client.output import Level

STATUS = {**SESSION, "notes": []}
HEALTHY_SESSION = SessionFacts(STATUS, own_answer="198.18.0.1", host_answer="198.18.0.1", http="200 in 3 ms",
                               clock_skew=0.1, rp_filter=2, endpoint_device="eth0", path_mtu=1500)
HEALTHY = Facts(root=True, tun_error="", missing_programs=(), daemon={"version": "0.1.0", "pid": 7},
                client_version="0.1.0", leftovers=(), dns_mode="systemd-resolved", dns_why="programs ask it",
                dns_splits=True, nsswitch_hosts="files mdns4_minimal [NOTFOUND=return] dns", unix_time=RELEASE_TIME + 1,
                backend="python", interfaces=("kvpn0",), profile="laptop.toml is valid", handshake="answers in 3 ms",
                sessions=(HEALTHY_SESSION,))


def finding(facts: Facts, name: str) -> list[Finding]:
    return [each for each in examine_facts(facts) if each.name == name]


def note(step: str, text: str) -> dict[str, Any]:
    return {"notes": [{"name": step, "level": "warn", "text": text}]}


BROKEN: list[tuple[str, Level, dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    # check, level, changes of the machine, of the session, of its status
    ("tun device", Level.FAIL, {"tun_error": "No such file or directory"}, {}, {}),
    ("rights", Level.WARN, {"root": False}, {}, {}),
    ("programs", Level.FAIL, {"missing_programs": ("nft",)}, {}, {}),
    ("backend", Level.FAIL, {"backend": "error: KVPN_BACKEND=rust: not installed"}, {}, {}),
    ("leftovers", Level.FAIL, {"leftovers": ("journal-default.json",)}, {}, {}),
    ("daemon", Level.WARN, {"daemon": {"version": "0.0.9", "pid": 7}}, {}, {}),
    ("clock", Level.FAIL, {"unix_time": 0.0}, {}, {}),
    ("clock skew", Level.WARN, {}, {"clock_skew": -31.0}, {}),
    ("host resolver", Level.WARN, {"dns_splits": False, "dns_mode": "resolv.conf"}, {}, {}),
    ("mdns", Level.WARN, {"nsswitch_hosts": "files mdns4 dns"}, {}, {}),
    ("profile", Level.FAIL, {"profile": "error: not TOML"}, {}, {}),
    ("handshake", Level.FAIL, {"handshake": "error: no answer"}, {}, {}),
    ("handshake", Level.FAIL, {}, {}, {"tunnel": {**SESSION["tunnel"], "last_handshake_age": 181.0}}),
    ("handshake", Level.FAIL, {}, {}, {"tunnel": {**SESSION["tunnel"], "last_handshake_age": None}}),
    ("endpoint route", Level.FAIL, {}, {"endpoint_device": "kvpn0"}, {}),
    ("endpoint route", Level.FAIL, {}, {"endpoint_device": "error: unreachable"}, {}),
    ("mtu", Level.WARN, {}, {"path_mtu": 1400}, {}),
    ("mtu", Level.WARN, {}, {}, {"host": {**SESSION["host"], "mtu": 1200}}),
    ("interface", Level.FAIL, {}, {"interface_up": False}, {}),
    ("firewall", Level.FAIL, {}, {"firewall": False}, {}),
    ("rp_filter", Level.WARN, {}, {"rp_filter": 1}, {}),
    ("routes", Level.WARN, {}, {}, note("routes", "10.1.0.0/16 is taken")),
    ("short names", Level.WARN, {}, {}, note("dns", "not asked of us as <service>.<namespace>: dev (a TLD)")),
    ("resolv.conf", Level.FAIL, {}, {"resolver_in_use": False}, {}),
    ("own resolver", Level.FAIL, {}, {"own_answer": "error: SERVFAIL"}, {}),
    ("names", Level.FAIL, {}, {"host_answer": "203.0.113.66"}, {}),
    ("names", Level.FAIL, {}, {"host_answer": "error: not known"}, {}),
    ("end to end", Level.FAIL, {}, {"http": "error: silent for 2.0 s"}, {}),
    ("directory", Level.WARN, {}, {}, {"directory": {**SESSION["directory"], "state": "stale"}}),
    ("directory", Level.WARN, {}, {}, {"directory": {**SESSION["directory"], "state": "lost"}}),
    ("directory", Level.FAIL, {}, {}, {"directory": {**SESSION["directory"], "state": "expired"}}),
    ("directory", Level.FAIL, {}, {}, {"directory": None}),
    ("gateway version", Level.WARN, {}, {}, {"gateway": {"version": "0.0.9", "policy": "open"}}),
]


def broken(machine: dict[str, Any], session: dict[str, Any], status: dict[str, Any]) -> Facts:
    seen = dataclasses.replace(HEALTHY_SESSION, status={**STATUS, **status}, **session)
    return dataclasses.replace(HEALTHY, sessions=(seen,), **machine)


def test_a_healthy_machine_is_green_throughout() -> None:
    assert [each for each in examine_facts(HEALTHY) if each.level is not Level.OK] == []


def test_there_are_at_least_twelve_checks_and_each_is_broken_below() -> None:
    assert len(CHECKS) >= 12
    assert {each.name for each in examine_facts(HEALTHY)} == {name for name, *_ in BROKEN}


@pytest.mark.parametrize(("name", "level", "machine", "session", "status"), BROKEN)
def test_what_is_broken_turns_its_check(name: str, level: Level, machine: dict[str, Any], session: dict[str, Any],
                                        status: dict[str, Any]) -> None:
    worst = [each for each in finding(broken(machine, session, status), name) if each.level is not Level.OK]
    assert [each.level for each in worst] == [level]
    assert worst[0].fix
    assert worst[0].evidence


def test_green_findings_have_evidence_and_no_fix() -> None:
    for each in examine_facts(HEALTHY):
        assert each.evidence
        assert not each.fix


def test_without_daemon_and_session_nothing_is_invented() -> None:
    bare = dataclasses.replace(HEALTHY, daemon=None, sessions=(), profile="", handshake="")
    names = [each.name for each in examine_facts(bare)]
    assert names == ["tun device", "rights", "programs", "backend", "leftovers", "daemon", "clock", "host resolver",
                     "mdns"]


def test_a_full_mdns_module_is_fine_after_the_resolver_or_for_another_suffix() -> None:
    later = dataclasses.replace(HEALTHY, nsswitch_hosts="files dns mdns4")
    assert finding(later, "mdns")[0].level is Level.OK
    other = broken({"nsswitch_hosts": "mdns4 dns"}, {}, {"suffixes": ["cluster.internal"]})
    assert finding(other, "mdns")[0].level is Level.OK


def test_what_cannot_be_seen_is_not_judged() -> None:
    blind = broken({}, {"firewall": None, "resolver_in_use": None, "clock_skew": None}, {})
    assert not [each for each in examine_facts(blind) if each.name in ("firewall", "resolv.conf", "clock skew")]


def test_findings_cross_the_socket() -> None:
    assert Finding("a", Level.WARN, "b", "c").to_json() == {"name": "a", "level": "warn", "evidence": "b", "fix": "c"}
