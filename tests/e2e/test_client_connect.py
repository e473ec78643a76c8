"""`kvpn up` to `kvpn down` on real parts: a gateway, a plain resolv.conf, curl by name."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator

import pytest

from tests.e2e.client_world import NOBODY, SLACK, ClientWorld, client_world
from tests.testbed.netns import wait_until

pytestmark = [pytest.mark.root, pytest.mark.slow]


@pytest.fixture
def client() -> Iterator[ClientWorld]:
    with client_world() as made:
        yield made


def test_up_names_traffic_status_down(client: ClientWorld) -> None:
    done = client.world.kvpn("up", "--profile", str(client.profile))
    assert done.stdout == ""
    assert "✓ probe" in done.stderr
    assert "Connected in" in done.stderr
    assert client.fetch("http://web.shop.svc.cluster.local").startswith("hello from web-1")
    assert client.fetch("http://web.shop").startswith("hello from web-1")
    shown = client.world.kvpn("status")
    assert shown.stdout.startswith("default  UP")
    assert "policy    open" in shown.stdout
    assert client.world.kvpn("doctor").returncode == 0
    again = client.world.kvpn("up", "--profile", str(client.profile))
    assert "Already connected" in again.stderr
    assert client.world.kvpn("down").stderr.rstrip().endswith("Disconnected.")
    assert client.restored()
    assert client.world.kvpn("down").stderr.rstrip() == "Already down."
    assert client.world.kvpn("status", check=False).returncode == 3
    assert client.daemon_pids() == {}


def test_an_endpoint_that_moves_is_seen_by_the_next_look_up(client: ClientWorld) -> None:
    client.up()
    client.world.write_cluster(web=["web-2"])
    wait_until(lambda: client.fetch().startswith("hello from web-2"), what="the new pod answers")


def test_another_profile_needs_switch(client: ClientWorld) -> None:
    client.up()
    other = client.profile.with_name("other.toml")
    other.write_text(client.profile.read_text().replace("[interface]", "[interface]\nmtu = 1300"))
    refused = client.world.kvpn("up", "--profile", str(other), check=False)
    assert refused.returncode == 2
    assert "--switch" in refused.stderr
    assert client.status()["host"]["mtu"] == 1420
    client.world.kvpn("up", "--profile", str(other), "--switch")
    assert client.status()["host"]["mtu"] == 1300


def test_a_gateway_that_does_not_know_us_is_unreachable_and_leaves_nothing(client: ClientWorld) -> None:
    (client.world.objects / "laptop.yaml").unlink()
    wait_until(lambda: "laptop" not in client.world.gateway.run(
        ["kvpn-gateway", "peers", "--objects", str(client.world.objects)], env=client.world.environment).stdout)
    done = client.world.kvpn("up", "--profile", str(client.profile), "--timeout", "4s", check=False)
    assert done.returncode == 4
    assert "no answer yet; still trying" in done.stderr
    assert "hint: check gateway.endpoints" in done.stderr
    assert client.restored()
    wait_until(lambda: client.daemon_pids() == {}, what="kvpnd has gone")


def test_foreground_goes_down_in_order_on_sigterm(client: ClientWorld) -> None:
    process = client.laptop.start(["kvpn", "up", "--profile", str(client.profile), "--foreground"],
                                  log=client.world.folder / "foreground.log", env=client.world.environment)
    wait_until(lambda: client.state() == "up", timeout=20, what="up")
    assert "hello" in client.fetch()
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert client.restored()
    assert "Connected as" in (client.world.folder / "foreground.log").read_text()


def test_foreground_ends_with_the_reason(client: ClientWorld) -> None:
    client.gateway.kill()
    done = client.world.kvpn("up", "--profile", str(client.profile), "--foreground", "--timeout", "2s", check=False)
    assert done.returncode == 4
    assert client.restored()


def test_others_on_this_machine_may_look_and_not_touch(client: ClientWorld) -> None:
    nobody = [*NOBODY, "kvpn"]
    client.world.folder.chmod(0o755)
    client.profile.chmod(0o644)
    key = client.world.folder / "laptop.key"
    os.chown(key, 65534, 65534)
    up = [*nobody, "up", "--profile", str(client.profile)]
    alone = client.laptop.run(up, check=False, env=client.world.environment)
    assert alone.returncode == 77
    assert "no kvpnd is running" in alone.stderr
    assert "sudo kvpn up" in alone.stderr
    client.up()
    seen = client.laptop.run([*nobody, "status", "-o", "json"], env=client.world.environment)
    assert json.loads(seen.stdout)["sessions"][0]["state"] == "up"
    assert key.read_text().strip() not in seen.stdout
    for words in (up[len(nobody):], ["down"]):
        done = client.laptop.run([*nobody, *words], check=False, env=client.world.environment)
        assert done.returncode == 77, done.stderr
        assert "usermod -aG kvpn" in done.stderr
    assert client.state() == "up"


def test_under_sudo_the_session_belongs_to_the_user(client: ClientWorld) -> None:
    client.world.folder.chmod(0o755)
    client.profile.chmod(0o644)
    os.chown(client.world.folder / "laptop.key", 65534, 65534)
    sudo = {**client.world.environment, "SUDO_UID": "65534", "SUDO_GID": "65534"}
    client.laptop.run(["kvpn", "up", "--profile", str(client.profile)], env=sudo)
    assert client.status()["owner"] == 65534
    done = client.laptop.run([*NOBODY, "kvpn", "down"], env=client.world.environment)
    assert done.stderr.rstrip().endswith("Disconnected.")


def test_a_removed_peer_loses_its_traffic_and_says_so(client: ClientWorld) -> None:
    client.up()
    (client.world.objects / "laptop.yaml").unlink()
    wait_until(lambda: client.fetch(seconds=0.5) == "", timeout=1 + SLACK, what="traffic ends")
    wait_until(lambda: client.state() in ("degraded", "none"), what="the state says so")
