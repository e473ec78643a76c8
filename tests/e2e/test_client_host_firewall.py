"""The host is closed toward the tunnel: tried from the gateway's side and the LAN's, with and without our table."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

import pytest

from tests.testbed.netns import Namespace, Testbed, inside
from tests.testbed.tun_pair import TunPair
from vpn_client.host_plan import HostPlan
from vpn_client.linux_host import LinuxHost

pytestmark = [pytest.mark.root, pytest.mark.slow]
PATIENCE = 0.4
"""Seconds after which an attempt counts as dropped."""
PORT = 8080
OWN4, OWN6, GATEWAY4, GATEWAY6 = "198.18.0.2", "fd6b::2", "198.18.0.1", "fd6b::1"
LAN4, NEIGHBOUR4, LAN6, NEIGHBOUR6 = "192.168.7.2", "192.168.7.9", "fd77::2", "fd77::9"
PLAN = HostPlan("kvpn0", 1420, (OWN4, OWN6), routes=(ip_network("198.18.0.1/32"), ip_network("fd6b::1/128")))


@dataclass
class Net:
    """gateway ═TUN═ host ─LAN─ neighbour; the host forwards, as one with containers does."""

    host: Namespace
    gateway: Namespace
    neighbour: Namespace
    session: LinuxHost

    def close_host(self) -> None:
        """Apply the plan with its firewall; before, the same link is there without it."""
        self.session.apply(PLAN)


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Net]:
    with Testbed() as bed, contextlib.ExitStack() as stack:
        host, gateway, neighbour = (bed.add(name) for name in ("host", "gateway", "neighbour"))
        for namespace in (host, gateway, neighbour):
            for scope in ("all", "default"):
                namespace.sysctl(f"net.ipv6.conf.{scope}.accept_dad", "0")
        bed.join(host, [f"{LAN4}/24", f"{LAN6}/64"], neighbour, [f"{NEIGHBOUR4}/24", f"{NEIGHBOUR6}/64"])
        for key in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            host.sysctl(key, "1")
        stack.enter_context(TunPair(host, "kvpn0", gateway, "gw0"))
        for words in (f"addr add {GATEWAY4}/32 dev gw0", f"addr add {GATEWAY6}/128 dev gw0 nodad", "link set gw0 up",
                      "route add default dev gw0", "-6 route add default dev gw0"):
            gateway.ip(*words.split())
        for target, hop in ((OWN4, LAN4), (GATEWAY4, LAN4), (OWN6, LAN6), (GATEWAY6, LAN6)):
            neighbour.ip("route", "add", target, "via", hop)
        for namespace in (host, gateway, neighbour):
            stack.enter_context(served(namespace))
        stack.enter_context(inside(host.path))
        session = LinuxHost(tmp_path / "journal-default.json")
        session.apply(PLAN)
        host.run(["nft", "delete", "table", "inet", "kvpn_default"])
        session._plan = None
        yield Net(host, gateway, neighbour, session)
        session.undo()


@contextlib.contextmanager
def served(namespace: Namespace) -> Iterator[None]:
    """A TCP and UDP echo on every address of a namespace."""
    with inside(namespace.path):
        tcp = socket.create_server(("::", PORT), family=socket.AF_INET6, dualstack_ipv6=True)
        udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    with tcp, udp:
        udp.bind(("::", PORT))
        for target, sock in ((_serve_tcp, tcp), (_serve_udp, udp)):
            threading.Thread(target=target, args=(sock,), daemon=True).start()
        try:
            yield
        finally:
            for sock in (tcp, udp):
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)


def _serve_tcp(listener: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            peer, _ = listener.accept()
            threading.Thread(target=_echo, args=(peer,), daemon=True).start()


def _echo(peer: socket.socket) -> None:
    with peer, contextlib.suppress(OSError):
        while data := peer.recv(100):
            peer.sendall(data)


def _serve_udp(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            data, source = sock.recvfrom(100)
            if not data:
                return
            sock.sendto(data, source)


def tcp(namespace: Namespace, address: str) -> bool:
    """Whether a TCP connection from there carries an echo."""
    with inside(namespace.path):
        try:
            with socket.create_connection((address, PORT), PATIENCE) as peer:
                peer.sendall(b"hello")
                return peer.recv(100) == b"hello"
        except OSError:
            return False


def udp(namespace: Namespace, address: str) -> bool:
    """Whether a UDP echo comes back."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with inside(namespace.path), socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(PATIENCE)
        try:
            sock.sendto(b"hello", (address, PORT))
            return sock.recv(100) == b"hello"
        except OSError:
            return False


def arrives(sender: Namespace, receiver: Namespace, address: str) -> bool:
    """Whether a single datagram gets there; the way back does not matter."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with inside(receiver.path):
        there = socket.socket(family, socket.SOCK_DGRAM)
    with inside(sender.path):
        here = socket.socket(family, socket.SOCK_DGRAM)
    with there, here:
        there.bind((address, PORT + 1))
        there.settimeout(PATIENCE)
        try:
            here.sendto(b"hello", (address, PORT + 1))
            return there.recv(100) == b"hello"
        except OSError:
            return False


def ping(namespace: Namespace, address: str) -> bool:
    """Whether an echo reply comes back."""
    return namespace.run(["ping", "-n", "-c", "1", "-W", "0.5", address], check=False).returncode == 0


def add_table(namespace: Namespace, table: str, hook: str, rule: str) -> None:
    """A table of someone else with one rule."""
    namespace.run(["nft", "-f", "-"], stdin=f"table {table} {{\nchain one {{\n{hook};\n{rule}\n}}\n}}\n")


WAYS = (tcp, udp, ping)


def attempts(namespace: Namespace, *addresses: str) -> dict[str, bool]:
    """Every way to every address."""
    return {f"{way.__name__} {address}": way(namespace, address) for address in addresses for way in WAYS}


def test_from_the_gateway_nothing_reaches_the_host_but_answers(net: Net) -> None:
    targets = (OWN4, OWN6, LAN4, LAN6)
    assert all(attempts(net.gateway, *targets).values()), "open without our table, or this test proves nothing"
    net.close_host()
    assert not any(attempts(net.gateway, *targets).values())
    assert all(attempts(net.host, GATEWAY4, GATEWAY6).values()), "our own flows are answered"


def test_from_the_lan_the_tunnel_address_does_not_answer(net: Net) -> None:
    assert all(attempts(net.neighbour, OWN4, OWN6).values()), "open without our table"
    net.close_host()
    assert not any(attempts(net.neighbour, OWN4, OWN6).values())
    assert all(attempts(net.neighbour, LAN4, LAN6).values()), "the host's own addresses answer its LAN as before"
    assert all(attempts(net.host, OWN4, OWN6).values()), "and we reach ourselves over loopback"


def test_nothing_is_forwarded_in_or_out(net: Net) -> None:
    for namespace, words in ((net.neighbour, (GATEWAY4, GATEWAY6)), (net.gateway, (NEIGHBOUR4, NEIGHBOUR6))):
        assert all(attempts(namespace, *words).values()), "open without our table"
    net.close_host()
    assert not any(attempts(net.neighbour, GATEWAY4, GATEWAY6).values())
    assert not any(attempts(net.gateway, NEIGHBOUR4, NEIGHBOUR6).values())


def test_not_one_datagram_is_forwarded_either_way(net: Net) -> None:
    ways = ((net.neighbour, net.gateway, GATEWAY4), (net.neighbour, net.gateway, GATEWAY6),
            (net.gateway, net.neighbour, NEIGHBOUR4), (net.gateway, net.neighbour, NEIGHBOUR6))
    assert all(arrives(*way) for way in ways), "open without our table"
    net.close_host()
    assert not any(arrives(*way) for way in ways)


def test_a_published_port_is_not_published_to_the_tunnel(net: Net) -> None:
    """What Docker does with -p: translate whatever arrives for any local address."""
    add_table(net.host, "ip docker", "type nat hook prerouting priority dstnat",
              f"fib daddr type local tcp dport 80 dnat to {NEIGHBOUR4}:{PORT}")
    words = ["curl", "-s", "--max-time", "1", "--http0.9", f"http://{OWN4}/"]
    assert net.gateway.run(words, check=False).stdout.startswith("GET / HTTP")
    net.close_host()
    assert net.gateway.run(words, check=False).stdout == ""


def test_icmp_errors_about_our_flows_come_in(net: Net) -> None:
    net.close_host()
    for address, family in ((GATEWAY4, socket.AF_INET), (GATEWAY6, socket.AF_INET6)):
        with inside(net.host.path), socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.settimeout(5)
            sock.connect((address, 9))
            sock.send(b"x")
            with pytest.raises(ConnectionRefusedError):
                sock.recv(1)


def test_a_flow_that_the_gateway_began_before_does_not_go_on(net: Net) -> None:
    """Established is not enough: it must be our flow."""
    add_table(net.host, "inet other", "type filter hook input priority 0", "ct state new")
    with inside(net.gateway.path):
        peer = socket.create_connection((OWN4, PORT), 5)
    with peer:
        peer.settimeout(PATIENCE)
        peer.sendall(b"one")
        assert peer.recv(100) == b"one"
        net.close_host()
        peer.sendall(b"two")
        with pytest.raises(TimeoutError):
            peer.recv(100)


def test_the_table_of_another_stays_in_force(net: Net) -> None:
    """Our accept is no permission: what the user's own firewall drops stays dropped."""
    add_table(net.host, "inet user", "type filter hook input priority 10", "iifname kvpn0 udp sport 8080 drop")
    net.close_host()
    assert not udp(net.host, GATEWAY4)
    assert tcp(net.host, GATEWAY4)
