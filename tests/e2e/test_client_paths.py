"""`kvpn up` where the surroundings differ: systemd-resolved, a path that swallows large packets, overlapping routes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.client_world import ClientWorld, client_world
from tests.testbed import cluster_objects as objects
from tests.testbed.debian_host import DebianHost
from tests.testbed.netns import wait_until
from tests.testbed.world import OFFICE_NAME, OFFICE_RESOLVER

pytestmark = [pytest.mark.root, pytest.mark.slow]


@pytest.fixture
def client() -> Iterator[ClientWorld]:
    with client_world() as made:
        yield made


def test_through_systemd_resolved(client: ClientWorld) -> None:
    host = DebianHost(client.laptop, "resolved", client.world.folder / "host")
    host.start_resolved(OFFICE_RESOLVER)
    before = host.run(["resolvectl", "domain"])

    def kvpn(*words: str) -> str:
        return host.run(["kvpn", *words], env=client.world.environment)

    kvpn("up", "--profile", str(client.profile))
    for url in ("http://web.shop.svc.cluster.local", "http://web.shop"):
        assert host.run(["curl", "-sS", "-m", "5", url]).startswith("hello from web-1")
    assert "192.0.2.80" in host.run(["getent", "ahostsv4", OFFICE_NAME])
    shown = kvpn("status")
    assert "systemd-resolved, split" in shown
    assert "✓ host resolver" in kvpn("doctor")
    client.world.write_cluster(web=["web-2"])
    wait_until(lambda: host.run(["curl", "-sS", "-m", "5", "http://web.shop"]).startswith("hello from web-2"))
    kvpn("down")
    assert host.run(["resolvectl", "domain"]) == before


@pytest.mark.parametrize("limit", [1400, 1340])
def test_a_path_that_swallows_large_packets(client: ClientWorld, limit: int) -> None:
    """Outer packets above the limit vanish both ways, and no router says so."""
    for where, link in ((client.laptop, "eth0"), (client.world.gateway, "lan0")):
        where.ip("link", "set", "dev", link, "gso_max_segs", "1")  # else the filter sees segments before they are cut
        where.run(["nft", "-f", "-"], stdin="add table ip small\n"
                  "add chain ip small in { type filter hook prerouting priority -450; }\n"
                  f"add rule ip small in iifname {link} meta length > {limit} drop\n")
    mtu = client.up()["host"]["mtu"]
    assert limit - 60 - 16 <= mtu <= limit - 60
    pod = "db-0.db.shop.svc.cluster.local"
    script = (f"import socket; s = socket.create_connection(('{pod}', 5432)); s.settimeout(20); n = 1_000_000; "
              "import threading; threading.Thread(target=s.sendall, args=(bytes(n),)).start(); got = 0\n"
              "while got < n: got += len(s.recv(65536))\nprint(got)")
    assert client.laptop.run(["python3", "-c", script], timeout=60).stdout.strip() == "1000000"


def test_a_route_of_the_host_is_kept_and_said(client: ClientWorld) -> None:
    client.laptop.ip("route", "add", "10.244.2.0/24", "dev", "eth0")
    done = client.world.kvpn("up", "--profile", str(client.profile))
    assert "! routes" in done.stderr
    assert "10.244.2.0/24" in done.stderr
    assert "hello from web-1" in client.fetch()
    assert "dev eth0" in client.laptop.ip("route", "get", "10.244.2.21")
    assert "dev kvpn0" in client.laptop.ip("route", "get", "10.244.1.20")


def test_the_gateway_cannot_widen_what_the_bounds_allow(client: ClientWorld) -> None:
    """A Service outside the private ranges is in the directory and is not routed; `status` says so."""
    client.up()
    client.world.write("public.yaml", objects.dump([objects.service("evil", "shop", {"http": "80/TCP"}, ["1.1.1.1"])]))
    wait_until(lambda: any("1.1.1.1" in note["text"] for note in client.status()["notes"]), what="the refusal is noted")
    assert "kvpn0" not in client.laptop.run(["ip", "route", "get", "1.1.1.1"], check=False).stdout
    assert client.state() == "up"
