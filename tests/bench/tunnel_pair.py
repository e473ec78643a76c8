"""I/O: two ends of one WireGuard implementation in two namespaces, and what is measured between them.

Owns set-up, the measurements and the CPU accounting; which implementations run in which order, and what is printed, is
`tests.bench.tunnel`'s.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import statistics
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.testbed.netns import Namespace, Testbed, run, stop, wait_until
from tests.testbed.places import ROOT, find

MTU = 1420
CONGESTION_CONTROL = "cubic"
"""The same for all: with bbr the ratios shrink."""
UDP_RATE_KPPS = 15
"""A rate that everyone carries with next to no loss, for CPU per packet."""
UNDERLAYS = {
    "default": (),
    "nic": ("tx-udp-segmentation", "off"),
    "off": ("tso", "off", "gso", "off", "gro", "off"),
}
"""ethtool settings of the veth pair: as it comes; software segmentation as on a real NIC; no offload at all."""


@dataclass(frozen=True, slots=True)
class Implementation:
    """A program that makes the TUN device `interface` and obeys `wg`."""

    name: str
    program: str
    options: tuple[str, ...] = ("-f",)
    flood_options: tuple[str, ...] = ()
    """Added for the handshake flood, where all peers come from one source port."""

    def path(self) -> str | None:
        """Where the program is; None when it is not installed."""
        own = ROOT / ".venv" / "bin" / self.program
        return str(own) if own.exists() else find(self.program)


IMPLEMENTATIONS = (
    Implementation("wireguard-go", "wireguard-go"),
    Implementation("tailscale", "tailscale-wireguard-go"),
    Implementation("boringtun", "boringtun-cli", ("-f", "--disable-drop-privileges"), ("--disable-connected-udp",)),
    Implementation("gotatun", "gotatun-cli", ("-f", "--disable-drop-privileges")),
    Implementation("kvpn", "kvpn-wg"),
)


def cpu_seconds(pid: int) -> float:
    """User and system time of a process with all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_mib(pid: int) -> float:
    """The most memory that the process held."""
    match = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(match[1]) / 1024 if match else 0.0


def wg_key(word: str, stdin: str | None = None) -> str:
    """`wg genkey` or `wg pubkey`."""
    return run(["wg", word], stdin=stdin).stdout.strip()


class End:
    """One running implementation with its device."""

    def __init__(self, namespace: Namespace, implementation: Implementation, interface: str, log: Path,
                 options: Sequence[str] = ()) -> None:
        self.namespace, self.interface, self.log = namespace, interface, log
        program = implementation.path()
        assert program, f"{implementation.name} is not installed"
        self.process = namespace.start([program, *implementation.options, *options, interface], log=log,
                                       env={"LOG_LEVEL": "error", "WG_LOG_LEVEL": "error"})
        wait_until(self._answers, timeout=20, what=f"{implementation.name}'s UAPI socket, log {log}")

    def _answers(self) -> bool:
        assert self.process.poll() is None, f"ended: {self.log.read_text()[-2000:]}"
        return run(["wg", "show", self.interface], check=False).returncode == 0

    def configure(self, text: str, addresses: Sequence[str]) -> None:
        """`wg setconf`, addresses, up."""
        run(["wg", "setconf", self.interface, "/dev/stdin"], stdin=text)
        for address in addresses:
            self.namespace.ip("addr", "add", address, "dev", self.interface)
        self.namespace.ip("link", "set", self.interface, "mtu", str(MTU), "up")

    def stop(self) -> None:
        """End the process; its device goes with it."""
        stop(self.process)


class Bed:
    """Two namespaces joined by a veth pair."""

    def __init__(self, underlay: str, folder: Path) -> None:
        self.folder = folder
        self._testbed = Testbed()
        self.one, self.two = self._testbed.add("one"), self._testbed.add("two")
        links = self._testbed.join(self.one, ["192.0.2.1/24"], self.two, ["192.0.2.2/24"])
        if UNDERLAYS[underlay]:
            for namespace, link in zip((self.one, self.two), links, strict=True):
                namespace.run(["ethtool", "-K", link, *UNDERLAYS[underlay]])

    def close(self) -> None:
        """Remove the namespaces."""
        self._testbed.close()

    @contextlib.contextmanager
    def pair(self, implementation: Implementation) -> Iterator[Pair]:
        """Two configured ends with a session between them."""
        ends = [End(namespace, implementation, f"kb{os.getpid() % 100000}{side}",
                    self.folder / f"{implementation.name}-{side}.log")
                for side, namespace in (("a", self.one), ("b", self.two))]
        try:
            keys = [wg_key("genkey") for _ in ends]
            for mine, end in enumerate(ends):
                other = 1 - mine
                end.configure(f"[Interface]\nPrivateKey={keys[mine]}\nListenPort=51820\n"
                              f"[Peer]\nPublicKey={wg_key('pubkey', keys[other])}\nAllowedIPs=10.77.0.{other + 1}/32\n"
                              f"Endpoint=192.0.2.{other + 1}:51820\n", [f"10.77.0.{mine + 1}/24"])
            server = self.two.start(["iperf3", "-s"])
            pair = Pair(ends[0], ends[1])
            wait_until(lambda: self.one.run(["ping", "-c1", "-W1", "10.77.0.2"], check=False).returncode == 0,
                       timeout=15, what=f"{implementation.name} carries a ping")
            yield pair
            stop(server)
        finally:
            for end in ends:
                end.stop()


class Pair:
    """What can be measured between two ends. Each measurement is a flat mapping name → number."""

    def __init__(self, one: End, two: End) -> None:
        self.one, self.two = one, two

    def _cpu(self) -> float:
        return cpu_seconds(self.one.process.pid) + cpu_seconds(self.two.process.pid)

    def _iperf(self, *options: str, seconds: float) -> tuple[dict[str, Any], float]:
        before = self._cpu()
        command = ["iperf3", "-c", "10.77.0.2", "-J", "-t", str(seconds), *options]
        done: list[subprocess.CompletedProcess[str]] = []

        def connected() -> bool:  # the server refuses while it winds up the run before this one
            done[:] = [self.one.namespace.run(command, check=False, timeout=seconds + 30)]
            return done[0].returncode == 0

        wait_until(connected, timeout=20, what=f"iperf3 {' '.join(options)}")
        result: dict[str, Any] = json.loads(done[0].stdout)["end"]
        return result, self._cpu() - before

    def tcp(self, seconds: float, *, reverse: bool = False) -> dict[str, float]:
        """One TCP flow: Gb/s, CPU-seconds of both ends per GB, retransmits."""
        end, cpu = self._iperf("-C", CONGESTION_CONTROL, *(["-R"] if reverse else []), seconds=seconds)
        received, suffix = end["sum_received"], "_reverse" if reverse else ""
        return {f"tcp{suffix}": received["bits_per_second"] / 1e9,
                f"tcp_cpu{suffix}": cpu / (received["bytes"] / 1e9),
                f"tcp_retransmits{suffix}": end["sum_sent"]["retransmits"]}

    def udp_flood(self, seconds: float) -> dict[str, float]:
        """64-byte datagrams as fast as the sender can: thousands a second that arrive."""
        end, _ = self._iperf("-u", "-b", "0", "-l", "64", seconds=seconds)
        return {"udp_kpps": (end["sum"]["packets"] - end["sum"]["lost_packets"]) / end["sum"]["seconds"] / 1e3}

    def udp_paced(self, seconds: float) -> dict[str, float]:
        """64-byte datagrams at a fixed rate: CPU microseconds of both ends per packet, loss in percent."""
        rate = UDP_RATE_KPPS * 1000 * 64 * 8
        end, cpu = self._iperf("-u", "-b", str(rate), "-l", "64", seconds=seconds)
        return {"udp_cpu": cpu * 1e6 / end["sum"]["packets"], "udp_loss": end["sum"]["lost_percent"]}

    def ping(self, count: int) -> dict[str, float]:
        """Round trips on an idle tunnel: the median in microseconds."""
        text = self.one.namespace.run(["ping", "-i", "0.005", "-c", str(count), "10.77.0.2"], check=False).stdout
        times = [float(match) for match in re.findall(r"time=([\d.]+) ms", text)]
        return {"ping": statistics.median(times) * 1e3 if times else float("nan"), "ping_lost": count - len(times)}

    def memory(self) -> dict[str, float]:
        """The larger end's peak."""
        return {"mib": max(peak_mib(end.process.pid) for end in (self.one, self.two))}


def measurements(seconds: float) -> Sequence[Callable[[Pair], dict[str, float]]]:
    """Everything, in the order in which it is run."""
    return (lambda pair: pair.ping(200), lambda pair: pair.tcp(seconds), lambda pair: pair.tcp(seconds, reverse=True),
            lambda pair: pair.udp_flood(seconds), lambda pair: pair.udp_paced(seconds), Pair.memory)
