"""I/O: two namespaces with a WireGuard implementation in each, configured by `wg` alone."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.testbed.netns import Namespace, Testbed, run, wait_until

KVPN_WG = str(Path(sys.executable).with_name("kvpn-wg"))


class Site:
    """One end: a namespace, its interface and its keys."""

    def __init__(self, where: Namespace, interface: str, implementation: str, number: int, log: Path) -> None:
        self.where, self.interface, self.number = where, interface, number
        self.private = run(["wg", "genkey"]).stdout.strip()
        self.public = run(["wg", "pubkey"], stdin=self.private).stdout.strip()
        self.process = where.start([implementation, "-f", interface], log=log)
        wait_until(lambda: Path(f"/var/run/wireguard/{interface}.sock").exists(), what=f"{implementation} {interface}")
        self.set("private-key", "/dev/stdin", "listen-port", str(51820 + number), stdin=self.private)
        where.ip("addr", "add", f"10.99.0.{number}/24", "dev", interface)
        where.ip("addr", "add", f"fd99::{number}/64", "dev", interface, "nodad")
        where.ip("link", "set", interface, "mtu", "1420", "up")

    def set(self, *words: str, stdin: str | None = None) -> None:
        """`wg set`."""
        self.where.run(["wg", "set", self.interface, *words], stdin=stdin)

    def show(self, what: str) -> str:
        """`wg show INTERFACE WHAT`."""
        return self.where.run(["wg", "show", self.interface, what]).stdout.strip()

    def ping(self, address: str, *options: str) -> bool:
        """Whether five pings are all answered."""
        done = self.where.run(["ping", "-c", "5", "-i", "0.02", "-W", "3", *options, address], check=False)
        return " 0% packet loss" in done.stdout


class Couple:
    """Two sites joined by a link; each is the other's peer."""

    def __init__(self, testbed: Testbed, one: str, other: str, folder: Path) -> None:
        first, second = testbed.add("one"), testbed.add("two")
        testbed.join(first, ["192.0.2.1/24", "fd00:2::1/64"], second, ["192.0.2.2/24", "fd00:2::2/64"], names=("under", "under"))
        wait_until(lambda: first.run(["ping", "-c", "1", "-W", "1", "fd00:2::2"], check=False).returncode == 0,
                   what="IPv6 on the underlay")
        tag = first.name.rpartition("x")[0].removeprefix("kv")
        self.one = Site(first, f"k{tag}a"[:15], one, 1, folder / "one.log")
        self.two = Site(second, f"k{tag}b"[:15], other, 2, folder / "two.log")
        self.introduce(("192.0.2.1", "192.0.2.2"))

    def introduce(self, outer: tuple[str, str], *more: str) -> None:
        """Make each the other's peer at these outer addresses."""
        for site, other, address in ((self.one, self.two, outer[1]), (self.two, self.one, outer[0])):
            host = f"[{address}]" if ":" in address else address
            site.set("peer", other.public, "allowed-ips", f"10.99.0.{other.number}/32,fd99::{other.number}/128",
                     "endpoint", f"{host}:{51820 + other.number}", *more)
