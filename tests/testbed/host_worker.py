"""I/O: a stand-in for kvpnd's worker that changes the host it runs in and does nothing else.

`python -m tests.testbed.host_worker OPTIONS` opens a TUN, applies a plan, changes it again and again, until it
is told to end. It can kill itself at a journal entry, so that every moment between two changes can be tried.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import random
import signal
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path

from vpn_client.host_observe import Paths
from vpn_client.host_plan import HostPlan, ResolverPlan
from vpn_client.journal import Entry
from vpn_client.journal_file import journal_path
from vpn_client.linux_host import LinuxHost
from vpn_client.supervisor import end_with_supervisor

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000
INTERFACE = "kvpn0"
SEED = 3
RESOLVER = ResolverPlan("198.18.0.2", 53, ("cluster.local",), ("svc.cluster.local",), ("orders", "shop"))
PLAN = HostPlan(INTERFACE, 1420, ("198.18.0.2", "fd6b::2"),
                routes=(ip_network("10.96.0.0/12"), ip_network("10.244.0.0/16"), ip_network("fd96::/108")),
                hosts=tuple(map(ip_address, ("10.96.0.1", "10.244.7.7"))), endpoints=("10.100.0.9",),
                suffixes=("cluster.local",))


def open_tun(name: str) -> int:
    """A TUN that dies with its descriptor."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return fd


def main() -> int:
    """Run until SIGTERM; exit 0 after an orderly undo."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--resolv-conf", type=Path, default=Path("/etc/resolv.conf"))
    parser.add_argument("--die-at", type=int, default=0, metavar="N", help="SIGKILL ourselves at the Nth journal entry")
    parser.add_argument("--die-undoing", action="store_true", help="SIGKILL ourselves half-way through the undo")
    parser.add_argument("--no-resolver", action="store_true")
    args = parser.parse_args()
    end_with_supervisor()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    host = LinuxHost(journal_path(args.state_dir, "default"), paths=Paths(resolv_conf=args.resolv_conf),
                     recorded=_killer(args.die_at))
    try:
        _work(host, None if args.no_resolver else RESOLVER, args.state_dir / "ready")
    finally:
        if args.die_undoing:
            _die_half_way()
        host.undo()
    return 0


def _work(host: LinuxHost, resolver: ResolverPlan | None, ready: Path) -> None:
    """Apply, then go on changing everything that changes in a session's life."""
    host.will_open(INTERFACE)
    tun = open_tun(INTERFACE)
    host.apply(PLAN)
    host.update(replace(PLAN, resolver=resolver))
    ready.touch()
    choose = random.Random(SEED)
    while tun:
        changed = replace(PLAN, mtu=choose.choice((1280, 1328, 1420)), routes=tuple(choose.sample(PLAN.routes, 2)),
                          addresses=tuple(choose.choice((PLAN.addresses, PLAN.addresses[:1]))))
        search = choose.choice((("svc.cluster.local",), ("cluster.local", "svc.cluster.local")))
        host.update(replace(changed, resolver=resolver and replace(resolver, search=search)))
        host.refresh(time.monotonic())


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _killer(at: int) -> Callable[[Entry], None]:
    count = 0

    def recorded(_entry: Entry) -> None:
        nonlocal count
        count += 1
        if count == at:
            _die()

    return recorded


def _die_half_way() -> None:
    """Let the undo reach the routes, and die there."""
    from vpn_client import linux_routes

    linux_routes.flush_routes = lambda interface: _die()


if __name__ == "__main__":
    sys.exit(main())
