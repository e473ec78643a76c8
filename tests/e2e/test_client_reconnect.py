"""Traffic comes back without a user's hand: gateway restarted or moved, link down, machine asleep, daemon killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from tests.e2e.client_world import SLACK, ClientWorld, client_world
from tests.testbed.netns import wait_until

pytestmark = [pytest.mark.root, pytest.mark.slow]


@pytest.fixture
def client() -> Iterator[ClientWorld]:
    with client_world() as made:
        yield made


def test_the_gateway_is_restarted(client: ClientWorld) -> None:
    address = client.up()["host"]["addresses"]
    client.gateway.kill()
    client.gateway.wait()
    wait_until(lambda: client.state() == "degraded", what="the loss is seen")
    wait_until(lambda: client.status()["directory"]["state"] == "lost", what="the directory is called old")
    assert "silent for" in client.status()["reasons"][0]
    client.gateway = client.world.start_gateway()
    assert client.seconds_until_traffic(20) <= 2.0 + SLACK
    wait_until(lambda: client.state() == "up", what="up again")
    now = client.status()
    assert now["reconnects"] >= 1
    assert now["host"]["addresses"] == address


def test_names_go_on_while_the_gateway_is_away(client: ClientWorld) -> None:
    client.up()
    client.gateway.kill()
    wait_until(lambda: client.state() == "degraded", what="the loss is seen")
    found = client.laptop.run(["getent", "ahostsv4", "web.shop.svc.cluster.local"]).stdout
    assert "10.96.0.10" in found
    assert "office" in client.laptop.run(["cat", "/etc/resolv.conf"]).stdout
    assert "192.0.2.80" in client.laptop.run(["getent", "ahostsv4", "intranet.example.org"]).stdout


def test_the_endpoint_changes_to_another_candidate(client: ClientWorld) -> None:
    text = client.profile.read_text()
    client.profile.write_text(text.replace('"192.0.2.1:51820"', '"192.0.2.1:51820", "192.0.2.2:51820"'))
    assert client.up()["tunnel"]["endpoint"] == "192.0.2.1:51820"
    client.world.gateway.ip("addr", "del", "192.0.2.1/24", "dev", "lan0")
    client.world.gateway.ip("addr", "add", "192.0.2.2/24", "dev", "lan0")
    assert client.seconds_until_traffic(20) <= 5.0 + SLACK
    assert client.status()["tunnel"]["endpoint"] == "192.0.2.2:51820"


def test_the_link_goes_down_and_comes_back(client: ClientWorld) -> None:
    client.up()
    client.laptop.ip("link", "set", "eth0", "down")
    wait_until(lambda: client.state() == "degraded", what="the loss is seen")
    client.laptop.ip("link", "set", "eth0", "up")
    client.laptop.ip("route", "replace", "default", "via", "192.0.2.1")
    assert client.seconds_until_traffic(20) <= 2.0 + SLACK


def test_the_laptop_gets_another_address(client: ClientWorld) -> None:
    client.up()
    client.laptop.ip("addr", "del", "192.0.2.10/24", "dev", "eth0")
    client.laptop.ip("addr", "add", "192.0.2.77/24", "dev", "eth0")
    client.laptop.ip("route", "replace", "default", "via", "192.0.2.1")
    assert client.seconds_until_traffic(20) <= 2.0 + SLACK


def test_the_machine_sleeps(client: ClientWorld) -> None:
    """A stopped worker is what a suspended machine is to its clock; the gateway forgets nothing meanwhile."""
    client.up()
    worker = client.daemon_pids()["worker"]
    os.kill(worker, signal.SIGSTOP)
    client.laptop.run(["sleep", "8"])
    os.kill(worker, signal.SIGCONT)
    assert client.seconds_until_traffic(20) <= 2.0 + SLACK
    wait_until(lambda: client.status().get("suspends", 0) >= 1, what="the jump is counted")
    wait_until(lambda: client.state() == "up", what="up again")


def test_a_killed_worker_leaves_nothing(client: ClientWorld) -> None:
    client.up()
    client.kill("worker")
    wait_until(client.restored, timeout=2 + SLACK, what="the host is as before")
    wait_until(lambda: client.daemon_pids() == {}, what="the supervisor has gone")
    assert client.up()["state"] == "up"


def test_both_killed_then_the_next_up_restores(client: ClientWorld) -> None:
    client.up()
    client.kill("supervisor", "worker")
    assert not client.restored()
    assert client.finding("leftovers")["level"] == "fail"
    done = client.world.kvpn("up", "--profile", str(client.profile))
    assert "restored from an earlier run" in done.stderr
    assert "hello" in client.fetch()
    client.world.kvpn("down")
    assert client.restored()


def test_both_killed_then_down_force_restores_with_no_daemon(client: ClientWorld) -> None:
    client.up()
    client.kill("supervisor", "worker")
    done = client.world.kvpn("down", "--force")
    assert done.stderr.rstrip().endswith("Restored.")
    assert client.restored()
    assert client.daemon_pids() == {}
