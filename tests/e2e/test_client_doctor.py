"""Each real thing is broken, and `kvpn doctor` or `kvpn status` turns red for it, and green again."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.e2e.client_world import NOBODY, ClientWorld, client_world
from tests.testbed.netns import wait_until

pytestmark = [pytest.mark.root, pytest.mark.slow]


@pytest.fixture(scope="module")
def client() -> Iterator[ClientWorld]:
    with client_world() as made:
        made.up()
        yield made


@pytest.fixture(autouse=True)
def healthy(client: ClientWorld) -> None:
    """Each test starts from a session that is up."""
    if client.state() != "up":
        client.world.kvpn("down", check=False)
        client.up()


def turns(client: ClientWorld, name: str, level: str) -> None:
    wait_until(lambda: (client.finding(name) or {"level": "none"})["level"] == level, what=f"{name} turns {level}")


Act = Callable[[ClientWorld], object]


def _write(client: ClientWorld, text: str) -> None:
    (client.laptop.etc / "resolv.conf").write_text(text)


BREAK: dict[str, tuple[str, Act]] = {
    "firewall": ("fail", lambda c: c.laptop.run(["nft", "flush", "ruleset"])),
    "interface": ("fail", lambda c: c.laptop.ip("link", "set", "kvpn0", "down")),
    "endpoint route": ("fail", lambda c: c.laptop.ip("route", "add", "192.0.2.1/32", "dev", "kvpn0")),
    "rp_filter": ("warn", lambda c: c.laptop.sysctl("net.ipv4.conf.kvpn0.rp_filter", "1")),
    "mtu": ("warn", lambda c: c.laptop.ip("route", "add", "192.0.2.1/32", "dev", "eth0", "mtu", "1400")),
    "routes": ("warn", lambda c: c.laptop.ip("route", "add", "10.96.0.0/24", "dev", "eth0")),
}


@pytest.mark.parametrize("name", BREAK)
def test_a_broken_host_is_seen(client: ClientWorld, name: str) -> None:
    level, act = BREAK[name]
    assert client.finding(name)["level"] == "ok"
    act(client)
    turns(client, name, level)
    assert client.finding(name)["fix"]
    client.world.kvpn("down")
    for prefix in ("192.0.2.1/32", "10.96.0.0/24"):
        client.laptop.run(["ip", "route", "del", prefix], check=False)
    client.up()
    assert client.finding(name)["level"] == "ok"


def test_a_dead_gateway_turns_everything_red_that_needs_it(client: ClientWorld) -> None:
    client.gateway.kill()
    client.gateway.wait()
    turns(client, "end to end", "fail")
    turns(client, "directory", "warn")
    assert client.finding("own resolver")["level"] == "ok"
    assert client.world.kvpn("doctor", check=False).returncode == 1
    assert client.world.kvpn("status", check=False).returncode == 3
    client.gateway = client.world.start_gateway()
    wait_until(lambda: client.state() == "up", timeout=20, what="up again")
    assert client.finding("end to end")["level"] == "ok"


def test_names_that_go_elsewhere_are_seen(client: ClientWorld) -> None:
    """A mount of the test's own: the daemon must not be able to mend it."""
    client.laptop.run(["nft", "-f", "-"], stdin="add table inet t\n"
                      "add chain inet t out { type filter hook output priority 0; }\n"
                      "add rule inet t out udp dport 53 drop\nadd rule inet t out tcp dport 53 drop\n")
    turns(client, "own resolver", "fail")
    client.laptop.run(["nft", "delete", "table", "inet", "t"])
    turns(client, "own resolver", "ok")


def test_without_a_daemon_the_gateway_of_a_profile_is_tried(client: ClientWorld) -> None:
    client.world.kvpn("down")
    done = client.world.kvpn("doctor", "--profile", str(client.profile), check=False)
    assert "✓ handshake" in done.stdout
    assert "answers in" in done.stdout
    client.gateway.kill()
    client.gateway.wait()
    done = client.world.kvpn("doctor", "--profile", str(client.profile), check=False)
    assert "✗ handshake" in done.stdout
    assert done.returncode == 1
    client.gateway = client.world.start_gateway()


def test_a_missing_tun_device_and_missing_programs_are_seen(client: ClientWorld) -> None:
    client.world.kvpn("down")
    script = "mount -t tmpfs none /dev/net && kvpn doctor; umount /dev/net"
    done = client.laptop.run(["unshare", "-m", "sh", "-c", script], env=client.world.environment, check=False)
    assert "✗ tun device" in done.stdout
    done = client.laptop.run(["sh", "-c", "KVPN_BACKEND=rust kvpn doctor"], env=client.world.environment, check=False)
    assert "✗ backend" in done.stdout


def test_nobody_without_a_daemon_is_warned_of_rights(client: ClientWorld) -> None:
    client.world.kvpn("down")
    done = client.laptop.run([*NOBODY, "kvpn", "doctor"], env=client.world.environment, check=False)
    assert "! rights" in done.stdout
