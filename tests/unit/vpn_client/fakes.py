"""Parts of a session that exist in memory only: what was asked of them is recorded, and each can be made to fail."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_network

from vpn_client.exit_codes import Failure
from vpn_client.gateway_session import GatewaySession
from vpn_client.host_plan import HostPlan, Network, Note
from vpn_client.intent import Intent
from vpn_client.mtu_probe import Verdict
from vpn_client.output import Level
from vpn_client.parts import DirectoryEvents, TunnelStatus
from vpn_client.probe import ProbeFailed
from vpn_client.session import DirectoryLink
from vpn_directory.model import Change, Delete, Item, Namespace, Put, Service, ServiceKind, Zone, ZoneKind

ITEMS: tuple[Item, ...] = (
    Zone("cluster.local", ZoneKind.CLUSTER, ("10.96.0.0/16",)), Namespace("shop"),
    Service("cluster.local", "shop", "web", ServiceKind.CLUSTER_IP, ("10.96.0.7",), ("10.96.0.7",)))
ANSWER = GatewaySession("0.1.0", "e1", "laptop", ("198.18.0.2", "fd6b:7670:6e::2"), "open", "cluster.local", "", 1420)


@dataclass
class World:
    """What happens around a session, and what it did."""

    log: list[str] = field(default_factory=list)
    answers: bool = True
    """The gateway answers handshakes."""
    lists: bool = True
    path_mtu: int = 9000
    session: GatewaySession | Failure = ANSWER
    probe_error: str = ""
    fail_on: dict[str, Exception] = field(default_factory=dict)
    undo_notes: list[Note] = field(default_factory=lambda: [Note("restore", "routes"), Note("restore", "dns")])
    notes: list[Note] = field(default_factory=list)
    plans: list[HostPlan] = field(default_factory=list)
    tunnel: FakeTunnel | None = None
    names: FakeNames | None = None
    directory: FakeDirectory | None = None

    def do(self, what: str) -> None:
        """Record, and fail if that is wanted."""
        self.log.append(what)
        if what in self.fail_on:
            raise self.fail_on[what]


class FakeTunnel:
    """Completes a handshake at each initiation while the gateway answers."""

    backend = "python"

    def __init__(self, world: World, interface: str) -> None:
        self.world, self.interface = world, interface
        self.allowed: tuple[Network, ...] = ()
        self.heard: float | None = None
        self.forced = 0

    def start(self, handshake: Callable[[], None], gone: Callable[[], None]) -> None:
        self.handshake, self.gone = handshake, gone

    def allow(self, networks: Sequence[Network]) -> None:
        self.allowed = tuple(networks)

    def set_mtu(self, mtu: int) -> None:
        self.world.do(f"tunnel mtu {mtu}")

    def set_dont_fragment(self, on: bool) -> None:
        self.world.do(f"dont fragment {on}")

    def force_initiation(self) -> None:
        self.forced += 1
        if self.world.answers:
            self.heard = time.monotonic()
            asyncio.get_running_loop().call_soon(self.handshake)

    def status(self) -> TunnelStatus:
        if self.world.answers and self.heard is not None:
            self.heard = time.monotonic()
        return TunnelStatus("192.0.2.1:51820", time.time_ns() if self.heard else 0, 100, 200, self.heard)

    def drops(self) -> Mapping[str, int]:
        return {"replayed": 1}

    def close(self) -> None:
        self.world.do("tunnel closed")


class FakeHost:
    """A host that takes every plan."""

    upstreams: tuple[str, ...] = ("192.0.2.53",)
    takes_all_queries = True
    resolver_mode = "resolv.conf"

    def __init__(self, world: World) -> None:
        self.world = world

    def installed(self) -> tuple[Network, ...]:
        return self.world.plans[-1].routes if self.world.plans else ()

    def will_open(self, interface: str) -> None:
        self.world.do(f"will open {interface}")

    def apply(self, plan: HostPlan) -> list[Note]:
        self.world.do("apply")
        self.world.plans.append(plan)
        return []

    def update(self, plan: HostPlan) -> list[Note]:
        self.world.do("update")
        self.world.plans.append(plan)
        return list(self.world.notes)

    def refresh(self, now: float) -> list[Note]:
        return []

    def undo(self) -> list[Note]:
        self.world.do("undo")
        return list(self.world.undo_notes)


class FakeNames:
    """A resolver that answers nobody."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.changes: list[Change] = []
        self.link = DirectoryLink.UNSYNCED
        self.upstreams: tuple[str, ...] = ()

    async def start(self, address: str) -> tuple[str, int]:
        self.world.do("names start")
        return address, 53

    def apply(self, changes: Iterable[Change]) -> None:
        self.changes += changes

    def set_link(self, link: DirectoryLink) -> None:
        self.link = link

    def forward_to(self, upstreams: Sequence[str]) -> None:
        self.upstreams = tuple(upstreams)

    def counters(self) -> Mapping[str, int]:
        return {"queries": 7}

    async def stop(self) -> None:
        self.world.do("names stopped")


class FakeDirectory:
    """Lists ITEMS at once; `push` changes them."""

    epoch, revision = "e1", 12
    heard_at: float | None = None

    def __init__(self, world: World, events: DirectoryEvents) -> None:
        self.world, self.events = world, events
        self.items: tuple[Item, ...] = ()
        self.reconnects = 0

    async def run(self) -> None:
        if self.world.lists:
            self.push(*ITEMS)
        await asyncio.Event().wait()

    def push(self, *items: Item) -> None:
        self.heard_at = time.monotonic()
        known = {item.key for item in items}
        gone = [Delete(item.key) for item in self.items if item.key not in known]
        self.items = items
        self.events.changed([*gone, *map(Put, items)])
        self.events.link(DirectoryLink.LIVE)

    def reconnect(self) -> None:
        self.reconnects += 1


class FakeParts:
    """Makes the fakes of one world."""

    def __init__(self, world: World) -> None:
        self.world = world

    def host(self, session: str) -> FakeHost:
        return FakeHost(self.world)

    def free_interface(self) -> str:
        return "kvpn9"

    def open_tunnel(self, interface: str, intent: Intent) -> FakeTunnel:
        self.world.do("open tunnel")
        self.world.tunnel = FakeTunnel(self.world, interface)
        return self.world.tunnel

    def names(self, intent: Intent) -> FakeNames:
        self.world.names = FakeNames(self.world)
        return self.world.names

    def directory(self, intent: Intent, interface: str, events: DirectoryEvents) -> FakeDirectory:
        self.world.directory = FakeDirectory(self.world, events)
        return self.world.directory

    async def gateway_session(self, intent: Intent, interface: str) -> GatewaySession:
        self.world.do("ask gateway")
        if isinstance(self.world.session, Failure):
            raise self.world.session
        return self.world.session

    async def probe(self, intent: Intent, interface: str, resolver: tuple[str, int]) -> str:
        if self.world.probe_error:
            raise ProbeFailed(self.world.probe_error)
        return "GET /healthz → 200"

    async def path_mtu(self, intent: Intent, tunnel: object, upper: int) -> Verdict:
        return Verdict(min(self.world.path_mtu, upper), True, "measured")

    def now(self) -> float:
        return time.monotonic()

    def unix_time_ns(self) -> int:
        return time.time_ns()


GATEWAY_ROUTE = ip_network("198.18.0.1/32")
WARNING = Note("routes", "10.1.0.0/16 is taken", Level.WARN)
