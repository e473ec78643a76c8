"""Sysctls over a folder that stands for /proc/sys."""

from __future__ import annotations

from pathlib import Path

from vpn_gateway.linux_forwarding import enable_forwarding, host_addresses


def test_what_is_off_is_turned_on(tmp_path: Path) -> None:
    path = tmp_path / "net/ipv4/ip_forward"
    path.parent.mkdir(parents=True)
    path.write_text("0\n")
    assert enable_forwarding("kvpn-gw", tmp_path) == []
    assert path.read_text() == "1"


def test_what_cannot_be_set_is_said_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "net/ipv4/ip_forward").mkdir(parents=True)
    (problem,) = enable_forwarding("kvpn-gw", tmp_path)
    assert "net.ipv4.ip_forward=1" in problem
    assert "securityContext" in problem


def test_own_addresses_leave_out_the_tunnel_and_link_local() -> None:
    links = [{"ifname": "eth0", "addr_info": [{"local": "192.0.2.1", "scope": "global"}, {"local": "fe80::1", "scope": "link"}]},
             {"ifname": "kvpn-gw", "addr_info": [{"local": "198.18.0.1", "scope": "global"}]}]
    assert host_addresses(links, "kvpn-gw") == ["192.0.2.1"]
