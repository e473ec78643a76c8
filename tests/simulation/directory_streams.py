"""The directory on top of the fleet: one publisher at the gateway, a replica in each client, streams that break.

A stream delivers lines in order, late, and only while its client's tunnel works; it breaks with the gateway, with the
tunnel, and at moments that the seed chooses. After a break the client resumes from its revision, or lists.
"""

from __future__ import annotations

from collections import deque

from tests.simulation.fleet import Client, Fleet
from vpn_directory.codec import decode_untrusted, encode
from vpn_directory.messages import Message
from vpn_directory.model import (
    Change,
    Delete,
    Endpoint,
    EndpointGroup,
    Item,
    Key,
    Namespace,
    Port,
    Put,
    Service,
    ServiceKind,
)
from vpn_directory.publisher import Publisher, Subscription
from vpn_directory.replica import Replica, ResyncNeeded

SERVICES = 40
POLL = 0.25
"""Seconds between looks of a client at its stream."""
BREAK = 0.01
"""Chance of a break at each look."""
SILENCE = 8.0
"""Seconds without an answer through the tunnel after which a stream over it is dead."""
SETTLE = 15.0
"""Seconds after which streams that could reconnect have done so and have caught up."""


class Source:
    """What exists in the cluster, and its publisher at the gateway."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.truth: dict[Key, Item] = {}
        self.boots = 0
        self.changes = 0
        self.boot()
        self._say([Put(Namespace("shop"))])
        for number in range(SERVICES):
            self._say([Put(self._service(number))])
        fleet.at(fleet.now, self._poll)

    def boot(self) -> None:
        """A new gateway process: a new epoch, the same cluster."""
        self.boots += 1
        self.publisher = Publisher(f"boot-{self.boots}", now=self.fleet.now)
        self.publisher.apply([Put(item) for item in self.truth.values()], self.fleet.now)
        self.publisher.flush(self.fleet.now)

    def churn(self) -> None:
        """One endpoint change, one service gone, or one that came."""
        number = self.fleet.rng.randrange(SERVICES)
        service = self._service(number)
        gone = service.key in self.truth and self.fleet.rng.random() < 0.2
        self._say([Delete(service.key) if gone else Put(service)])
        self.changes += 1

    def _service(self, number: int) -> Service:
        address = f"10.244.{number}.{self.fleet.rng.randrange(1, 255)}"
        http = Port("http", "TCP", 80)
        group = EndpointGroup("", "", 0, (Port("http", "TCP", 8080),), (Endpoint(address),))
        return Service("cluster.local", "shop", f"web-{number}", ServiceKind.CLUSTER_IP, (f"10.96.0.{number + 1}",),
                       (f"10.96.0.{number + 1}",), "", (http,), (group,))

    def _say(self, changes: list[Change]) -> None:
        for change in changes:
            if isinstance(change, Put):
                self.truth[change.item.key] = change.item
            else:
                self.truth.pop(change.key, None)
        self.publisher.apply(changes, self.fleet.now)

    def _poll(self) -> None:
        self.publisher.poll(self.fleet.now)
        self.fleet.at(self.fleet.now + 0.05, self._poll)


class Stream:
    """One client's replica and the connection that feeds it."""

    def __init__(self, client: Client, source: Source) -> None:
        self.client, self.source, self.fleet = client, source, client.fleet
        self.replica = Replica()
        self.lists = self.resumes = 0
        self._subscription: Subscription | None = None
        self._publisher = source.publisher
        self._backlog: deque[Message] = deque()
        self._only_listing_helps = True
        self.fleet.at(self.fleet.now + self.fleet.rng.uniform(0, POLL), self.look)

    def look(self) -> None:
        """Notice breaks, connect, take what has come; once every POLL."""
        fleet = self.fleet
        dead = fleet.now - self.client.last_answer > SILENCE or not self.client.live
        if self._subscription and (dead or self._publisher is not self.source.publisher or fleet.rng.random() < BREAK):
            self.hang_up()
        if self._subscription is None and not dead and self.client.answered:
            self._connect()
        if self._subscription is not None:
            self._take()
        fleet.at(fleet.now + POLL, self.look)

    def hang_up(self) -> None:
        """The connection is gone, with all that was under way."""
        if self._subscription is not None:
            self._publisher.unsubscribe(self._subscription)
        self._subscription = None
        self._backlog.clear()
        self.replica.lost(self.fleet.now)

    def _connect(self) -> None:
        self._publisher = self.source.publisher
        resumed = None if self._only_listing_helps else self._publisher.resume(self.replica.epoch, self.replica.rev)
        if resumed is not None:
            self._subscription = resumed
            self.resumes += 1
            return
        self._backlog.extend(self._publisher.listing())
        self._subscription = self._publisher.subscribe()
        self._only_listing_helps = False
        self.lists += 1

    def _take(self) -> None:
        """A random number of lines, in order."""
        for _ in range(self.fleet.rng.randrange(60)):
            assert self._subscription is not None
            message = self._backlog.popleft() if self._backlog else self._subscription.take()
            if message is None:
                return
            try:
                self.replica.receive(decode_untrusted(encode(message)), self.fleet.now)
            except ResyncNeeded:
                self._only_listing_helps = True
                self.hang_up()
                return
            self._check()

    def _check(self) -> None:
        """At the same revision of the same epoch both hold the same, at every step."""
        publisher = self._publisher
        if (self.replica.epoch, self.replica.rev) == (publisher.epoch, publisher.rev):
            same = dict(self.replica.items) == publisher.items
            assert same, f"{self.client.name} drifted at revision {publisher.rev}"

    def check_quiet(self) -> None:
        """When nothing moves, the replica equals the source."""
        same = dict(self.replica.items) == self.source.truth
        assert same, f"{self.client.name}: {self.replica.state(self.fleet.now)}"


def plan_changes(source: Source, start: float, seconds: float, count: int) -> None:
    """Endpoints that churn."""
    for _ in range(count):
        source.fleet.at(start + source.fleet.rng.uniform(0, seconds), source.churn)


def streams_of(fleet: Fleet) -> tuple[Source, list[Stream]]:
    """The source and a stream for every client."""
    source = Source(fleet)
    return source, [Stream(client, source) for client in fleet.clients]

