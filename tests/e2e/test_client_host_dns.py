"""Host DNS on real resolvers in a namespace: systemd-resolved, openresolv, Debian's resolvconf, a plain file.

What is asked of the "public" server is recorded: of a host that can split, no cluster name may be among it.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.testbed.debian_host import DebianHost
from tests.testbed.name_server import NameServer
from tests.testbed.needs import ROOT
from tests.testbed.netns import Namespace, Testbed, inside, stop, wait_until

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.interop]
PUBLIC, OURS = "203.0.113.53", "198.18.0.2"
CLUSTER = {"web.shop.svc.cluster.local": "10.96.0.7", "web.orders": "10.96.0.8",
           "web.orders.svc.cluster.local": "10.96.0.8", "api.dev": "10.96.0.66"}
INTERNET = {"www.example.com": "203.0.113.80", "api.dev": "203.0.113.66", "printer.lan": "192.168.7.30"}
FILE = f"nameserver {PUBLIC}\nsearch lan\n"


@dataclass
class Laptop:
    """A host, the server it had before us, and at most one session of ours."""

    namespace: Namespace
    host: DebianHost
    public: NameServer
    folder: Path
    session: subprocess.Popen[bytes] | None = None

    def up(self, *namespaces: str, approved: tuple[str, ...] = ()) -> dict[str, Any]:
        """Start the session; returns its last word: upstreams, mode."""
        config = json.dumps({"namespaces": namespaces, "names": CLUSTER, "approved": approved})
        words = [sys.executable, "-m", "tests.testbed.dns_session", "/run/kvpn", config]
        self.session = self.host.start(words, log=self.log, env={"PYTHONPATH": str(ROOT)})
        wait_until(lambda: any("ready" in line for line in self.said()), what=f"the session; see {self.log}")
        self.public.asked.clear()
        return next(line for line in self.said() if "ready" in line)

    @property
    def log(self) -> Path:
        return self.folder / "session.log"

    def said(self) -> list[dict[str, Any]]:
        """What the session has said so far."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [json.loads(line) for line in lines if line.startswith("{")]

    def address(self, name: str) -> str:
        """What programs get from getaddrinfo, or empty."""
        found = self.host.run(["getent", "ahostsv4", name], check=False).split()
        return found[0] if found else ""

    def state(self) -> dict[str, str]:
        """What of the host's resolver must be as before."""
        show = "stat -c '%F %a %u %g' {0}; readlink {0}; cat {0}"
        look = {path: self.host.run(["sh", "-c", show.format(path)], check=False) for path in (
            "/etc/resolv.conf", "/run/systemd/resolve/resolv.conf")}
        return look | {"links": self.host.run(["sh", "-c", "resolvectl status 2>&1; ls /run/systemd/resolve/netif; "
                                                           "resolvconf -l 2>&1; nft list ruleset"], check=False)}

    def leaked(self) -> list[str]:
        """Cluster names that the public server has seen."""
        return [name for name in self.public.asked if "cluster" in name or "web" in name or "orders" in name]


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Testbed]:
    with Testbed() as made:
        yield made


def laptop_with(bed: Testbed, packages: str, folder: Path) -> Laptop:
    """A laptop whose default route leads to the public server."""
    namespace, outside = bed.add("laptop"), bed.add("outside")
    bed.join(namespace, ["203.0.113.2/24"], outside, [f"{PUBLIC}/24"])
    namespace.ip("route", "add", "default", "via", PUBLIC)
    public = NameServer(INTERNET)
    with inside(outside.path):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((PUBLIC, 53))
    public.start(sock)
    return Laptop(namespace, DebianHost(namespace, packages, folder / "host"), public, folder)


@pytest.fixture
def resolved(bed: Testbed, tmp_path: Path) -> Iterator[Laptop]:
    laptop = laptop_with(bed, "resolved", tmp_path)
    laptop.host.start_resolved(PUBLIC)
    laptop.host.run(["resolvectl", "domain", "eth1a", "lan"])
    yield laptop
    laptop.public.stop()


NSS = {"nss-dns through the stub": "files dns", "nss-resolve": "files resolve [!UNAVAIL=return] dns"}


@pytest.fixture(params=NSS)
def nss(request: pytest.FixtureRequest, resolved: Laptop) -> Laptop:
    resolved.host.write("/etc/nsswitch.conf", f"passwd: files\nhosts: {NSS[request.param]}\n")
    return resolved


def test_names_are_split(nss: Laptop) -> None:
    last = nss.up("orders")
    assert last == {"ready": True, "mode": "systemd-resolved", "upstreams": [PUBLIC], "all": False}
    assert nss.address("web.shop.svc.cluster.local") == "10.96.0.7"
    assert nss.address("web.orders") == "10.96.0.8"
    assert nss.leaked() == []
    assert nss.address("missing.shop.svc.cluster.local") == ""
    assert nss.address("missing.orders") == ""
    assert all(name.endswith(".lan") for name in nss.leaked()), "only the host's own search list is tried further"
    assert nss.address("www.example.com") == "203.0.113.80"
    assert nss.public.asked, "the public server is asked for public names"


def test_resolvectl_says_which_link(resolved: Laptop) -> None:
    resolved.up("orders")
    said = resolved.host.run(["resolvectl", "query", "web.shop.svc.cluster.local", "web.orders"])
    assert said.count("-- link: kvpn0") == 2


def test_a_namespace_named_like_a_top_level_domain_stays_the_internets(nss: Laptop) -> None:
    nss.up("dev")
    assert nss.address("api.dev") == "203.0.113.66"
    assert any("dev (a top-level domain of the internet)" in line.get("text", "") for line in nss.said())


def test_unless_the_user_insists(nss: Laptop) -> None:
    nss.up("dev", approved=("dev",))
    assert nss.address("api.dev") == "10.96.0.66"


def test_a_namespace_named_like_a_domain_of_another_link_stays_its(resolved: Laptop) -> None:
    resolved.host.run(["resolvectl", "domain", "eth1a", "lan", "~eng.orders"])
    resolved.up("orders", "lan")
    left_out = " ".join(line.get("text", "") for line in resolved.said())
    assert "orders (eng.orders is routed or searched already)" in left_out
    assert "~orders" not in resolved.host.run(["resolvectl", "domain", "kvpn0"])


def test_down_leaves_the_resolver_as_it_was(resolved: Laptop) -> None:
    before = resolved.state()
    resolved.up("orders")
    assert resolved.state() != before
    assert resolved.session is not None
    assert stop(resolved.session) == 0
    assert resolved.state() == before


def test_killed_public_names_work_and_cluster_names_fail_fast(nss: Laptop) -> None:
    nss.up("orders")
    assert nss.session is not None
    nss.session.kill()
    nss.session.wait()
    assert nss.address("www.example.com") == "203.0.113.80"
    assert nss.address("web.shop.svc.cluster.local") == ""


def test_what_someone_else_reverts_is_set_again(resolved: Laptop) -> None:
    resolved.up("orders")
    resolved.host.run(["resolvectl", "revert", "kvpn0"])
    wait_until(lambda: "~orders" in resolved.host.run(["resolvectl", "domain", "kvpn0"]), what="set again")
    wait_until(lambda: any("set again" in line.get("text", "") for line in resolved.said()))
    wait_until(lambda: resolved.address("web.orders") == "10.96.0.8")


def test_a_restart_of_systemd_resolved_does_no_harm(resolved: Laptop) -> None:
    resolved.up("orders")
    resolved.host.stop_resolved()
    resolved.host.start_resolved(PUBLIC)
    wait_until(lambda: resolved.address("web.orders") == "10.96.0.8", what="our link's settings")


@pytest.fixture(params=["openresolv", "resolvconf"])
def resolvconf(request: pytest.FixtureRequest, bed: Testbed, tmp_path: Path) -> Iterator[Laptop]:
    """A host whose resolv.conf is written by resolvconf, from the record of its LAN."""
    laptop = laptop_with(bed, request.param, tmp_path)
    # Packages on this machine may have left hooks that call daemons which are not there.
    laptop.host.run(["sh", "-c", "rm -f /etc/resolv.conf /etc/resolvconf/update.d/[!l]*"])
    if request.param == "resolvconf":
        laptop.host.run(["sh", "-c", "mkdir -p /run/resolvconf/interface; touch /run/resolvconf/enable-updates; "
                                     "ln -s ../run/resolvconf/resolv.conf /etc/resolv.conf"])
    laptop.host.run(["resolvconf", "-a", "eth1a.dhcp"], stdin=FILE)
    yield laptop
    laptop.public.stop()


def test_resolvconf(resolvconf: Laptop) -> None:
    before = resolvconf.state()
    last = resolvconf.up("orders")
    assert last["mode"] in ("openresolv", "resolvconf")
    assert (last["upstreams"], last["all"]) == ([PUBLIC], True)
    assert resolvconf.address("web.shop.svc.cluster.local") == "10.96.0.7"
    assert resolvconf.address("web.orders") == "10.96.0.8"
    assert any("all queries pass through" in line.get("text", "") for line in resolvconf.said())
    assert resolvconf.session is not None
    assert stop(resolvconf.session) == 0
    assert resolvconf.state() == before


def test_resolvconf_killed_and_restored_by_the_next_start(resolvconf: Laptop) -> None:
    before = resolvconf.state()
    resolvconf.up()
    assert resolvconf.session is not None
    resolvconf.session.kill()
    resolvconf.session.wait()
    assert resolvconf.state() != before
    resolvconf.host.run([sys.executable, "-c", "from pathlib import Path; from vpn_client.linux_host import LinuxHost; "
                         "LinuxHost.undo_leftovers(Path('/run/kvpn'))"], env={"PYTHONPATH": str(ROOT)})
    assert resolvconf.state() == before


@pytest.fixture
def plain(bed: Testbed, tmp_path: Path) -> Iterator[Laptop]:
    laptop = laptop_with(bed, "resolvconf", tmp_path)
    laptop.host.write("/etc/resolv.conf", FILE)
    yield laptop
    laptop.public.stop()


def test_a_plain_file_sends_everything_through_us(plain: Laptop) -> None:
    before = plain.state()
    last = plain.up("orders")
    assert last == {"ready": True, "mode": "resolv.conf", "upstreams": [PUBLIC], "all": True}
    assert plain.address("web.shop.svc.cluster.local") == "10.96.0.7"
    assert plain.address("web.orders") == "10.96.0.8"
    assert plain.session is not None
    assert stop(plain.session) == 0
    assert plain.state() == before


def test_what_a_dhcp_client_writes_is_taken_over_and_comes_back(plain: Laptop) -> None:
    plain.up()
    new = "nameserver 203.0.113.54\nsearch office\n"
    plain.host.write("/etc/resolv.conf", new)
    wait_until(lambda: f"nameserver {OURS}" in plain.host.run(["cat", "/etc/resolv.conf"]), what="set again")
    assert "office" in plain.host.run(["cat", "/etc/resolv.conf"])
    assert plain.session is not None
    stop(plain.session)
    assert plain.host.run(["cat", "/etc/resolv.conf"]) == new


def test_we_stop_fighting_over_a_plain_file(plain: Laptop) -> None:
    plain.up()
    fight = "while true; do printf 'nameserver 203.0.113.54\\n' > /etc/resolv.conf.x; " \
            "mv /etc/resolv.conf.x /etc/resolv.conf; sleep 0.05; done"
    other = plain.host.start(["sh", "-c", fight])
    wait_until(lambda: any("we let it" in line.get("text", "") for line in plain.said()), what="the end of the fight")
    stop(other)
    again = sum("set again" in line.get("text", "") for line in plain.said())
    assert again == 10


def test_a_short_name_whose_namespace_is_a_top_level_domain(resolved: Laptop) -> None:
    """`shop` is the internet's, so `web.shop` is asked there first; the search list then finds the service."""
    resolved.host.write("/etc/nsswitch.conf", "hosts: files dns\n")
    resolved.up("shop")
    assert resolved.address("web.shop") == "10.96.0.7"
    assert resolved.public.asked[0] == "web.shop"
