"""Observations, each of a thing as it is and of the same thing broken."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from tests.unit.vpn_client.samples import PROFILE, SESSION
from vpn_client import doctor_facts
from vpn_client.doctor_facts import (
    backend_name,
    by_host_resolver,
    gather,
    has_table,
    is_up,
    owned,
    profile_facts,
    resolver_in_use,
    route_to,
    rp_filter,
    session_facts,
    tun_error,
)
from vpn_client.journal import Device
from vpn_client.journal_file import JournalFile, journal_path


def test_a_machine_without_daemon_can_be_looked_at(tmp_path: Path) -> None:
    (tmp_path / "journal-dead.json").touch()
    facts = gather(tmp_path, None)
    assert facts.leftovers == ("journal-dead.json",)
    assert facts.daemon is None
    assert facts.sessions == ()
    assert facts.unix_time > 0
    assert facts.dns_mode


def test_a_journal_whose_owner_lives_is_no_leftover(tmp_path: Path) -> None:
    path = journal_path(tmp_path, "default")
    journal = JournalFile(path, "default")
    journal.record(Device("kvpn0"))
    assert owned(path)
    journal.close()
    assert not owned(path)


def test_a_tun_that_cannot_be_opened() -> None:
    assert tun_error("/dev/null") == ""
    assert tun_error("/dev/none") == "No such file or directory"


def test_a_backend_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KVPN_BACKEND", "abacus")
    assert backend_name().startswith("error: KVPN_BACKEND=abacus")
    monkeypatch.delenv("KVPN_BACKEND")
    assert backend_name() == "python"


def test_the_larger_rp_filter_counts(tmp_path: Path) -> None:
    for name, value in (("all", "1\n"), ("kvpn0", "2\n"), ("eth0", "0\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "rp_filter").write_text(value)
    assert (rp_filter("kvpn0", tmp_path), rp_filter("eth0", tmp_path), rp_filter("none", tmp_path)) == (2, 1, 1)
    assert rp_filter("kvpn0", tmp_path / "absent") == 0


@pytest.mark.parametrize(("mode", "text", "expected"), [
    ("resolv.conf, all queries pass through us", "nameserver 198.18.0.2\n", True),
    ("resolv.conf, all queries pass through us", "nameserver 192.0.2.53\n", False),
    ("systemd-resolved, split", "nameserver 127.0.0.53\n", None)])
def test_whether_resolv_conf_leads_to_us(monkeypatch: pytest.MonkeyPatch, mode: str, text: str,
                                         expected: bool | None) -> None:
    monkeypatch.setattr(doctor_facts, "read_text", lambda path: text)
    assert resolver_in_use({**SESSION, "dns": {**SESSION["dns"], "mode": mode}}) is expected


def test_names_of_the_host() -> None:
    assert by_host_resolver("127.0.0.1", False) == "127.0.0.1"
    assert by_host_resolver("x.invalid", False).startswith("error: ")


def test_profiles_and_their_gateways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert profile_facts(None) == ("", "")
    path = tmp_path / "laptop.toml"
    path.write_text("nonsense")
    assert profile_facts(path)[0].startswith("error: not TOML")
    from vpn_client import handshake_probe
    from vpn_client.keygen import keygen
    path.write_text(PROFILE)
    keygen(tmp_path / "laptop.key")
    monkeypatch.setattr(handshake_probe, "handshake", lambda intent: f"asked {intent.endpoints[0]}")
    assert profile_facts(path) == (f"{path} is valid", "asked 192.0.2.1:51820")


def test_no_endpoint_no_route() -> None:
    assert route_to("")[0].startswith("error: ")


@pytest.mark.root
def test_routes_links_and_tables_of_a_real_host() -> None:
    device, mtu = route_to("127.0.0.1:51820")
    assert (device, is_up("lo"), is_up("none0")) == ("lo", True, False)
    assert mtu is not None
    assert mtu >= 1280
    assert has_table("no-such-session") is False


@pytest.mark.root
def test_a_session_whose_resolver_is_dead_is_seen_as_that(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    status: dict[str, Any] = {**SESSION, "dns": {**SESSION["dns"], "server": f"127.0.0.1:{port}"}, "gateway": None,
                              "host": {**SESSION["host"], "interface": "lo", "addresses": ["127.0.0.1"]}}
    facts = session_facts(status)
    assert facts.own_answer.startswith("error: ")
    assert facts.http.startswith("error: ")
    assert facts.clock_skew is None
    assert session_facts({**status, "dns": None}).own_answer == "error: not set up yet"
