"""The daemon's unit gives it the network and nothing else."""

from __future__ import annotations

import configparser
from pathlib import Path

import pytest

from tests.testbed.places import ROOT
from tests.testbed.unit_file import capabilities, read_unit

SERVICE = read_unit()["Service"]


def test_capabilities_are_the_two_it_needs() -> None:
    assert capabilities() == {"net_admin", "net_bind_service"}
    assert SERVICE["AmbientCapabilities"] == SERVICE["CapabilityBoundingSet"]


def test_the_host_is_restored_after_a_crash() -> None:
    assert SERVICE["ExecStopPost"] == ["/usr/bin/kvpnd --cleanup"]
    assert SERVICE["Restart"] == ["on-failure"]
    assert int(SERVICE["WatchdogSec"][0]) >= 10


def test_the_worker_below_the_supervisor_may_say_that_it_is_ready() -> None:
    assert (SERVICE["Type"], SERVICE["NotifyAccess"], SERVICE["KillMode"]) == (["notify"], ["all"], ["mixed"])


def test_only_the_tun_device_is_open() -> None:
    assert SERVICE["DevicePolicy"] == ["closed"]
    assert SERVICE["DeviceAllow"] == ["/dev/net/tun rw"]


def test_only_the_resolver_files_and_wgs_folder_are_writable() -> None:
    assert SERVICE["ProtectSystem"] == ["strict"]
    assert SERVICE["ReadWritePaths"] == ["-/etc/resolv.conf -/run/resolvconf -/run/wireguard"]
    assert SERVICE["RuntimeDirectory"] == ["kvpn"]


@pytest.mark.parametrize("key", [
    "NoNewPrivileges", "ProtectHome", "PrivateTmp", "MemoryDenyWriteExecute", "RestrictNamespaces",
    "ProtectKernelModules", "RestrictSUIDSGID", "LockPersonality"])
def test_hardening_is_on(key: str) -> None:
    assert SERVICE[key] == ["yes"]


def test_packet_sockets_are_out_of_reach() -> None:
    assert set(SERVICE["RestrictAddressFamilies"][0].split()) == {"AF_INET", "AF_INET6", "AF_NETLINK", "AF_UNIX"}


def test_it_starts_programs_that_setup_cfg_installs() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    scripts = config["options.entry_points"]["console_scripts"]
    for key in ("ExecStart", "ExecStopPost"):
        name = SERVICE[key][0].split()[0].rpartition("/")[2]
        assert f"\n{name} = " in scripts


def test_a_line_that_is_no_setting_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.service").write_text("[Service]\nnonsense\n")
    with pytest.raises(ValueError, match=r"x\.service:2: 'nonsense'"):
        read_unit(tmp_path / "x.service")
