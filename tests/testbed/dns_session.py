"""I/O: a session of the client's host side only: a TUN, the plan with its resolver, and a DNS server on it.

`python -m tests.testbed.dns_session STATE_DIR JSON` (`{"namespaces": […], "names": {…}}`) prints a JSON object for each
note, then `{"ready": true, "upstreams": […], "mode": "…"}`; refreshes every 100 ms until SIGTERM, then undoes.
"""

from __future__ import annotations

import json
import signal
import socket
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, replace
from ipaddress import ip_network
from pathlib import Path

from tests.testbed.name_server import NameServer
from tests.testbed.tun_pair import open_tun
from vpn_client.host_plan import HostPlan, Note, ResolverPlan
from vpn_client.journal_file import journal_path
from vpn_client.linux_host import LinuxHost
from vpn_client.supervisor import end_with_supervisor

ADDRESS = "198.18.0.2"


def say(**what: object) -> None:
    """One line for the test."""
    print(json.dumps(what), flush=True)


def say_notes(notes: Iterable[Note]) -> None:
    """Notes as lines."""
    for note in notes:
        say(**asdict(note))


def main() -> int:
    """Run until SIGTERM."""
    state_dir, config = Path(sys.argv[1]), json.loads(sys.argv[2])
    end_with_supervisor()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    host = LinuxHost(journal_path(state_dir, "default"))
    resolver = ResolverPlan(ADDRESS, 53, ("cluster.local",), ("svc.cluster.local",), tuple(config["namespaces"]),
                            tuple(config.get("approved", ())))
    plan = HostPlan("kvpn0", 1420, (ADDRESS,), routes=(ip_network("10.96.0.0/12"),), suffixes=("cluster.local",))
    try:
        host.will_open("kvpn0")
        tun = open_tun("kvpn0")
        say_notes(host.apply(plan))
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((ADDRESS, 53))
        NameServer(config["names"]).start(sock)
        say_notes(host.update(replace(plan, resolver=resolver)))
        say(ready=True, upstreams=host.upstreams, mode=host.resolver_mode, all=host.takes_all_queries)
        while tun:
            time.sleep(0.1)
            say_notes(host.refresh(time.monotonic()))
    finally:
        say_notes(host.undo())
    return 0


if __name__ == "__main__":
    sys.exit(main())
