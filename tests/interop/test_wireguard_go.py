"""kvpn-wg with the real wireguard-go, in both roles, configured by the real `wg`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.testbed import needs
from tests.testbed.netns import Namespace, Testbed, run, wait_until
from tests.testbed.wireguard import KVPN_WG, Couple

pytestmark = [pytest.mark.root, pytest.mark.interop]


@pytest.fixture(params=["kvpn first", "wireguard-go first", "kvpn twice"])
def couple(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Couple]:
    needs.root()
    needs.tool("wg")
    other = needs.tool("wireguard-go")
    ends = {"kvpn first": (KVPN_WG, other), "wireguard-go first": (other, KVPN_WG), "kvpn twice": (KVPN_WG, KVPN_WG)}
    with Testbed() as testbed:
        yield Couple(testbed, *ends[request.param], tmp_path)


def test_ping_bytes_and_both_families_inside_and_out(couple: Couple) -> None:
    one, two = couple.one, couple.two
    assert one.ping("10.99.0.2", "-c", "10")
    assert one.show("transfer").split()[1:] in (["1372", "1428"], ["1372", "1460"])
    assert one.ping("fd99::2", "-6")
    assert one.ping("10.99.0.2", "-s", "1392", "-M", "do"), "a full packet of the tunnel's MTU"
    couple.introduce(("fd00:2::1", "fd00:2::2"))
    wait_until(lambda: two.ping("10.99.0.1"), what="wireguard-go drops what it sends before it forgets its old source")
    assert one.show("endpoints").split()[1].startswith("[fd00:2::2]")


def test_preshared_key_key_change_and_removal(couple: Couple, tmp_path: Path) -> None:
    one, two = couple.one, couple.two
    psk = tmp_path / "psk"
    psk.write_text(run(["wg", "genpsk"]).stdout)
    for site, other in ((one, two), (two, one)):
        site.set("peer", other.public, "preshared-key", str(psk))
    assert one.ping("10.99.0.2")
    one.private = run(["wg", "genkey"]).stdout.strip()
    old, one.public = one.public, run(["wg", "pubkey"], stdin=one.private).stdout.strip()
    one.set("private-key", "/dev/stdin", stdin=one.private)
    two.set("peer", old, "remove")
    assert not one.ping("10.99.0.2", "-c", "2", "-W", "1")
    two.set("peer", one.public, "preshared-key", str(psk), "allowed-ips", "10.99.0.1/32", "endpoint", "192.0.2.1:51821")
    assert two.ping("10.99.0.1")


def test_roaming_and_a_new_listen_port(couple: Couple) -> None:
    one, two = couple.one, couple.two
    assert one.ping("10.99.0.2")
    one.set("listen-port", "40001")
    assert one.ping("10.99.0.2")
    wait_until(lambda: two.show("endpoints").split()[1] == "192.0.2.1:40001", what="the other end follows")
    one.where.ip("addr", "del", "192.0.2.1/24", "dev", "under")
    one.where.ip("addr", "add", "192.0.2.77/24", "dev", "under")
    assert one.ping("10.99.0.2")
    assert two.show("endpoints").split()[1] == "192.0.2.77:40001"


def test_setconf_and_syncconf(couple: Couple, tmp_path: Path) -> None:
    one, two = couple.one, couple.two
    assert one.ping("10.99.0.2")
    conf = tmp_path / "wg.conf"
    conf.write_text(one.where.run(["wg", "showconf", one.interface]).stdout)
    handshake = one.show("latest-handshakes")
    one.where.run(["wg", "syncconf", one.interface, str(conf)])
    assert one.show("latest-handshakes") == handshake
    one.where.run(["wg", "setconf", one.interface, str(conf)])
    assert one.ping("10.99.0.2")
    peers = "".join(f"[Peer]\nPublicKey = {run(['wg', 'pubkey'], stdin=run(['wg', 'genkey']).stdout).stdout}"
                    f"AllowedIPs = {', '.join(f'10.{n}.{m}.0/24' for m in range(52))}\n" for n in range(100, 140))
    conf.write_text(f"[Interface]\nPrivateKey = {one.private}\n{peers}")
    one.where.run(["wg", "setconf", one.interface, str(conf)])
    assert len(one.show("allowed-ips").split()) == 40 * 53
    assert two.ping("10.99.0.1", "-c", "1", "-W", "1") is False


def test_through_a_nat_that_forgets(tmp_path: Path) -> None:
    """The outer source changes under way; persistent keepalive keeps the way back open."""
    needs.root()
    go = needs.tool("wireguard-go")
    with Testbed() as testbed:
        couple = Couple(testbed, KVPN_WG, go, tmp_path)
        one, two = couple.one, couple.two
        one.where.run(["nft", "-f", "-"], stdin="table ip nat { chain post { type nat hook postrouting priority srcnat\n "
                                                "oifname under udp sport 51821 masquerade to :30000-30010\n }\n }\n")
        one.set("peer", two.public, "persistent-keepalive", "1")
        wait_until(lambda: ":300" in two.show("endpoints"), what="a handshake through the NAT")
        assert two.ping("10.99.0.1")


class _Gone:
    """True once a link, or without a namespace a file, is there no more."""

    def __init__(self, where: Namespace | None, name: str) -> None:
        self.where, self.name = where, name

    def __call__(self) -> bool:
        return not Path(self.name).exists() if self.where is None else self.name not in self.where.ip("link")


def test_the_process_ends_with_its_interface_or_its_socket(tmp_path: Path) -> None:
    needs.root()
    with Testbed() as testbed:
        where = testbed.add("solo")
        for number, end in enumerate(("link", "socket")):
            name = f"ks{os.getpid() % 100000}{number}"
            socket = Path(f"/var/run/wireguard/{name}.sock")
            where.run([KVPN_WG, name])
            assert socket.stat().st_mode & 0o777 == 0o600
            assert name in where.ip("link")
            where.ip("link", "del", name) if end == "link" else socket.unlink()
            wait_until(_Gone(where, name), what="the interface goes")
            wait_until(_Gone(None, str(socket)), what="the socket goes")
