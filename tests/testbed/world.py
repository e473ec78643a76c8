"""I/O: the small world of the demo and of end-to-end tests: laptop, gateway and cluster, each a network namespace.

    laptop ──192.0.2.0/24── gateway ──10.10.0.0/24── cluster
    192.0.2.10              192.0.2.1 · 10.10.0.1     10.10.0.2, pods in 10.244.0.0/16 and fd00:10:244::/64

Owns addresses, pods, object files and the start of both programs. There is no kube-proxy: ClusterIPs (10.96.0.0/16,
fd00:10:96::/112) exist only in the objects. What is done in this world is the caller's.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from subprocess import CompletedProcess, Popen
from types import TracebackType
from typing import Self

import yaml

from tests.testbed import cluster_objects as objects
from tests.testbed.netns import Namespace, Testbed, wait_until
from tests.testbed.places import ROOT, SYSTEM_FOLDERS

SERVICE_CIDRS = ("10.96.0.0/16", "fd00:10:96::/112")
POD_CIDRS = ("10.244.0.0/16", "fd00:10:244::/64")
ENDPOINT = "192.0.2.1:51820"
OFFICE_RESOLVER = "192.0.2.53"
OFFICE_NAME = "intranet.example.org"
WEB = {"web-1": ("10.244.1.11", "fd00:10:244::1:11"), "web-2": ("10.244.2.12", "fd00:10:244::2:12")}
DB = {"db-0": "10.244.1.20", "db-1": "10.244.2.21"}
CLOCK = {"clock-0": "10.244.1.30"}
READY_SECONDS = 20
"""For a program to be up; a shared machine may be slow."""


class World:
    """Three namespaces, and a folder for keys, objects and logs; a context manager that removes it all."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="kvpn-world-"))
        self.objects = self.folder / "objects"
        self.objects.mkdir()
        self.state_dir = self.folder / "run"
        self.environment = {"PATH": f"{ROOT / '.venv/bin'}:{os.environ.get('PATH', '')}:{SYSTEM_FOLDERS}",
                            "KVPN_STATE_DIR": str(self.state_dir), "PYTHONPATH": f"{ROOT}:{ROOT / 'dns'}"}
        self._testbed = Testbed()
        self.laptop, self.gateway, self.cluster = (self._testbed.add(name) for name in ("laptop", "gateway", "cluster"))

    def __enter__(self) -> Self:
        try:
            self._wire()
            self._start_pods()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End what runs, remove namespaces and files."""
        self._testbed.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _wire(self) -> None:
        """Links, addresses and routes; the laptop has a plain resolv.conf, as in an office."""
        self._testbed.join(self.laptop, ["192.0.2.10/24"], self.gateway, ["192.0.2.1/24"], names=("eth0", "lan0"))
        self._testbed.join(self.gateway, ["10.10.0.1/24", "fd00:10:10::1/64"],
                           self.cluster, ["10.10.0.2/24", "fd00:10:10::2/64"], names=("eth0", "node0"))
        self.laptop.ip("route", "add", "default", "via", "192.0.2.1")
        self.laptop.ip("addr", "add", f"{OFFICE_RESOLVER}/32", "dev", "lo")
        for cidr, via in zip(POD_CIDRS, ("10.10.0.2", "fd00:10:10::2"), strict=True):
            self.gateway.ip("route", "add", cidr, "via", via)
        self.gateway.sysctl("net.ipv4.ip_forward", "1")
        self.gateway.sysctl("net.ipv6.conf.all.forwarding", "1")
        (self.laptop.etc / "resolv.conf").write_text(f"search office.example\nnameserver {OFFICE_RESOLVER}\n")
        everyone = (self.laptop, self.gateway, self.cluster)
        wait_until(lambda: not any("tentative" in each.ip("addr") for each in everyone), what="addresses are settled")

    def _start_pods(self) -> None:
        """Pods are addresses of the cluster's loopback with real listeners."""
        listeners: list[str] = []
        for name, addresses in WEB.items():
            listeners += [word for each in addresses for word in ("http", name, each, "8080")]
        for name, address in DB.items():
            listeners += ["tcp", name, address, "5432"]
        for name, address in CLOCK.items():
            listeners += ["udp", name, address, "7007"]
        for address in {word for word in listeners if word.startswith(("10.", "fd"))}:
            nodad = ["nodad"] if ":" in address else []
            self.cluster.ip("addr", "add", f"{address}/{128 if nodad else 32}", "dev", "lo", *nodad)
        self._start_services(self.cluster, listeners, "pods.log")
        self._start_services(self.laptop, ["dns", OFFICE_NAME, OFFICE_RESOLVER, "53"], "office.log")

    def _start_services(self, where: Namespace, words: Sequence[str], log: str) -> None:
        python = str(ROOT / ".venv/bin/python")
        where.start([python, "-m", "tests.testbed.services", *words], log=self.folder / log, env=self.environment)
        self._wait_for_line(log, "ready")

    def _wait_for_line(self, log: str, words: str) -> None:
        wait_until(lambda: words in (self.folder / log).read_text(), timeout=READY_SECONDS,
                   what=f"{words!r} in {self.folder / log}")

    def write_cluster(self, web: Sequence[str] = ("web-1",)) -> None:
        """The cluster's dump; `web` are the pods behind Service web. Replaced at once, as an editor does."""
        pods = [objects.pod(name, "shop", addresses) for name, addresses in WEB.items()]
        pods += [objects.pod(name, "shop", [address]) for name, address in (DB | CLOCK).items()]
        items = [objects.namespace("default"), objects.namespace("shop"),
                 objects.service("web", "shop", {"http": "80/TCP"}, ["10.96.0.10", "fd00:10:96::10"]),
                 *(objects.endpoint_slice("web", "shop", {"http": "8080/TCP"}, {name: WEB[name][at] for name in web},
                                          family=family) for at, family in enumerate(("IPv4", "IPv6"))),
                 objects.service("db", "shop", {"postgres": "5432/TCP"}, []),
                 objects.endpoint_slice("db", "shop", {"postgres": "5432/TCP"}, DB, hostnames=True),
                 objects.service("clock", "shop", {"echo": "7/UDP"}, ["10.96.0.30"]),
                 objects.endpoint_slice("clock", "shop", {"echo": "7007/UDP"}, CLOCK), *pods]
        self.write("cluster.yaml", objects.dump(items))

    def write(self, name: str, document: objects.Object) -> None:
        """Put one file into the objects' folder, whole."""
        new = self.folder / f"{name}.new"
        new.write_text(yaml.safe_dump(document, sort_keys=False))
        new.rename(self.objects / name)

    def kvpn(self, *words: str, check: bool = True) -> CompletedProcess[str]:
        """`kvpn WORDS` on the laptop."""
        return self.laptop.run(["kvpn", *words], check=check, env=self.environment)

    def start_gateway(self) -> Popen[bytes]:
        """`kvpn-gateway run`; returns when it says it is ready."""
        process = self.gateway.start(
            ["kvpn-gateway", "run", "--open", "--objects", str(self.objects),
             "--private-key-file", str(self.folder / "gateway.key"), "--listen-port", "51820",
             *(f"--service-cidr={each}" for each in SERVICE_CIDRS),
             *(f"--pod-cidr={each}" for each in POD_CIDRS)], log=self.folder / "gateway.log", env=self.environment)

        def ready() -> bool:
            log = (self.folder / "gateway.log").read_text()
            assert process.poll() is None, f"kvpn-gateway ended:\n{log[-3000:]}"
            return " ready: " in log

        wait_until(ready, timeout=READY_SECONDS, what=f"kvpn-gateway is ready, log {self.folder / 'gateway.log'}")
        return process

    def make_keys(self) -> str:
        """Keys for the gateway and the laptop; returns the laptop's public key."""
        self.kvpn("keygen", "--private-key-file", str(self.folder / "gateway.key"))
        return self.kvpn("keygen", "--private-key-file", str(self.folder / "laptop.key")).stdout.strip()

    def write_profile(self) -> Path:
        """`kvpn-gateway profile laptop` into a file."""
        done = self.gateway.run(
            ["kvpn-gateway", "profile", "laptop", "--objects", str(self.objects), "--endpoint", ENDPOINT,
             "--private-key-file", str(self.folder / "gateway.key")], env=self.environment)
        profile = self.folder / "laptop.toml"
        profile.write_text(done.stdout)
        return profile


def snapshot(namespace: Namespace) -> dict[str, str]:
    """All that a VPN could leave behind: links, addresses, routes, rules, packet filter, resolver file."""
    looks = {"links": ["ip", "-o", "link"], "addresses": ["ip", "-o", "addr"], "rules": ["ip", "rule"],
             "rules6": ["ip", "-6", "rule"], "routes": ["ip", "route", "show", "table", "all"],
             "routes6": ["ip", "-6", "route", "show", "table", "all"], "nft": ["nft", "list", "ruleset"]}
    found = {name: namespace.run(argv).stdout for name, argv in looks.items()}
    return found | {"resolv.conf": (namespace.etc / "resolv.conf").read_text()}
