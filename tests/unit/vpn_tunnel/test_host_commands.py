"""Errors of `ip` and `nft` name the line and the fix."""

from __future__ import annotations

import pytest

from tests.testbed import needs
from vpn_tunnel import host_commands
from vpn_tunnel.host_commands import CommandError, ip_json, run_ip


def test_a_missing_tool_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(CommandError, match="not found") as caught:
        run_ip("link show")
    assert "iproute2" in caught.value.fix


def test_nothing_to_do_runs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    run_ip()


def test_the_line_that_failed_is_named() -> None:
    needs.tool("ip")
    with pytest.raises(CommandError) as caught:
        run_ip("link show dev lo", "link show dev no-such-link", "link show dev lo")
    assert caught.value.what == "ip link show dev no-such-link"


def test_json_is_decoded() -> None:
    needs.tool("ip")
    assert ip_json("link", "show", "dev", "lo")[0]["ifname"] == "lo"


def test_permission_has_its_own_fix() -> None:
    assert "CAP_NET_ADMIN" in host_commands._fix("RTNETLINK answers: Operation not permitted")
