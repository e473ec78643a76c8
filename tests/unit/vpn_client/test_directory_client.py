"""Following a directory over real HTTP: list, resume, gaps, silence, hurry, expiry."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.unit.vpn_client.fakes import ITEMS
from tests.unit.vpn_client.http_gateway import gateway, head
from tests.unit.vpn_client.test_worker import until
from vpn_client import directory_client
from vpn_client.directory_client import DirectoryClient, lines_of, link_of
from vpn_client.http_client import get
from vpn_client.parts import DirectoryEvents
from vpn_client.session import DirectoryLink
from vpn_directory.codec import encode
from vpn_directory.messages import BadMessage
from vpn_directory.model import Change, Item, Namespace, Put
from vpn_directory.publisher import Publisher
from vpn_directory.replica import SERVE_AFTER_LOSS, Replica


class Rig:
    """A gateway's directory, how it misbehaves, and the client that follows it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.source = self.boot("e1")
        self.paths: list[str] = []
        self.changes: list[Change] = []
        self.links: list[DirectoryLink] = []
        self.refuse = 0
        self.compress = False
        self.cut = asyncio.Event()
        self.garbage = b""

    def boot(self, epoch: str, items: tuple[Item, ...] = ITEMS) -> Publisher:
        """A gateway that has just started."""
        source = Publisher(epoch, now=self.now)
        self.change(source, *items)
        return source

    def change(self, source: Publisher, *items: Item) -> None:
        """Items change, and are published."""
        source.apply([Put(item) for item in items], self.now)
        self.now += 1.0
        source.poll(self.now)

    async def respond(self, path: str, writer: asyncio.StreamWriter) -> None:
        """The control API's part."""
        self.paths.append(path)
        if self.refuse:
            writer.write(head(self.refuse))
            return
        query = dict(pair.split("=") for pair in path.partition("?")[2].split("&"))
        subscription = self.source.resume(query["epoch"], int(query["rev"])) if "rev" in query else None
        if subscription is None and "rev" in query:
            writer.write(head(410))
            return
        listing = b"" if subscription else b"".join(map(encode, self.source.listing()))
        subscription = subscription or self.source.subscribe()
        writer.write(head(200, *(["Content-Encoding: gzip"] if self.compress else [])))
        writer.write((gzip.compress(listing) if self.compress else listing) + self.garbage)
        while not self.cut.is_set():
            while (message := subscription.take()) is not None:
                writer.write(encode(message))
            await asyncio.sleep(0.005)


def follow(then: Callable[[Rig, DirectoryClient], Awaitable[None]], **options: Any) -> Rig:
    """Run a client against a rig until `then` is done."""
    async def go() -> Rig:
        rig = Rig()
        for name, value in options.items():
            setattr(rig, name, value)
        async with gateway(rig.respond) as (target, _):
            events = DirectoryEvents(rig.changes.extend, rig.links.append)
            client = DirectoryClient(lambda path: get(target, path, timeout=2.0), events, lambda: rig.now, lambda: 0.0)
            running = asyncio.ensure_future(client.run())
            try:
                await then(rig, client)
            finally:
                rig.cut.set()
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
        return rig
    return asyncio.run(go())


async def live(rig: Rig, client: DirectoryClient) -> None:
    await until(lambda: rig.links[-1:] == [DirectoryLink.LIVE])


@pytest.mark.parametrize("compress", [False, True])
def test_a_listing_arrives_as_changes(compress: bool) -> None:
    rig = follow(live, compress=compress)
    assert rig.changes == [Put(item) for item in ITEMS]
    assert rig.paths == ["/v1/directory?watch=1"]


def test_changes_follow_on_the_same_stream() -> None:
    async def then(rig: Rig, client: DirectoryClient) -> None:
        await live(rig, client)
        rig.change(rig.source, Namespace("late"))
        await until(lambda: rig.changes[-1] == Put(Namespace("late")))
        assert client.revision == rig.source.rev
        assert client.heard_at == rig.now
        assert len(client.items) == len(ITEMS) + 1
    assert len(follow(then).paths) == 1


def test_a_cut_stream_is_resumed_from_where_it_was() -> None:
    async def then(rig: Rig, client: DirectoryClient) -> None:
        await live(rig, client)
        rig.cut.set()
        await until(lambda: rig.links[-1] is DirectoryLink.LOST)
        rig.change(rig.source, Namespace("meanwhile"))
        rig.cut.clear()
        await until(lambda: rig.links[-1] is DirectoryLink.LIVE)
    rig = follow(then)
    assert rig.paths[1].startswith("/v1/directory?watch=1&epoch=e1&rev=")
    assert rig.changes[-1] == Put(Namespace("meanwhile"))
    assert len(rig.changes) == len(ITEMS) + 1


def test_another_gateway_means_a_new_list_and_no_gap_in_service() -> None:
    async def then(rig: Rig, client: DirectoryClient) -> None:
        await live(rig, client)
        rig.source = rig.boot("e2", (*ITEMS, Namespace("new")))
        client.reconnect()
        await until(lambda: client.epoch == "e2")
    rig = follow(then)
    assert rig.paths[-1] == "/v1/directory?watch=1"
    assert rig.changes[len(ITEMS):] == [Put(Namespace("new"))]
    assert DirectoryLink.EXPIRED not in rig.links


def test_hurry_does_not_wait_for_a_dead_connection() -> None:
    async def then(rig: Rig, client: DirectoryClient) -> None:
        await live(rig, client)
        client.reconnect()
        await until(lambda: len(rig.paths) == 2)
        await until(lambda: rig.links[-1] is DirectoryLink.LIVE)
    follow(then)


DRIFT = b'{"type":"MARK","rev":99,"count":0,"hash":"0000000000000000","stale":false}\n'


@pytest.mark.parametrize(("garbage", "lists"), [(b"nonsense\n", False), (DRIFT, True)])
def test_what_does_not_fit_starts_over(garbage: bytes, lists: bool) -> None:
    """Drift needs a new list; a line that is no message only another connection."""
    async def then(rig: Rig, client: DirectoryClient) -> None:
        await until(lambda: len(rig.paths) > 1)
        rig.garbage = b""
        await until(lambda: rig.links[-1:] == [DirectoryLink.LIVE])
    rig = follow(then, garbage=garbage)
    assert rig.paths[1].endswith("?watch=1") is lists


def test_a_gateway_that_refuses_is_asked_less_and_less(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    async def pause(self: DirectoryClient, seconds: float) -> None:
        pauses.append(seconds)
        await asyncio.sleep(0)
    monkeypatch.setattr(DirectoryClient, "_pause", pause)

    async def then(rig: Rig, client: DirectoryClient) -> None:
        await until(lambda: len(pauses) > 6)
    rig = follow(then, refuse=503)
    assert pauses[:6] == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    assert rig.links == []


def test_silence_ends_a_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory_client, "SILENCE", 0.1)

    async def then(rig: Rig, client: DirectoryClient) -> None:
        await live(rig, client)
        await until(lambda: len(rig.paths) > 1)
    follow(then)


def test_a_lost_directory_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory_client, "EXPIRY_CHECK", 0.01)

    async def then(rig: Rig, client: DirectoryClient) -> None:
        await live(rig, client)
        rig.refuse = 503
        rig.cut.set()
        await until(lambda: rig.links[-1] is DirectoryLink.LOST)
        rig.now += SERVE_AFTER_LOSS
        await until(lambda: rig.links[-1] is DirectoryLink.EXPIRED)
    follow(then)


def test_a_long_list_lets_others_run_in_between() -> None:
    async def then(rig: Rig, client: DirectoryClient) -> None:
        turns = 0

        def turn() -> None:
            nonlocal turns
            turns += 1
            asyncio.get_running_loop().call_soon(turn)
        while not rig.paths:
            await asyncio.sleep(0)
        turn()
        await live(rig, client)
        assert turns > len(rig.changes) / directory_client.LINES_PER_TURN
        assert len(rig.changes) > 3000

    async def with_many(rig: Rig, client: DirectoryClient) -> None:
        rig.source = rig.boot("e1", tuple(Namespace(f"n{number}") for number in range(3001)))
        await then(rig, client)
    follow(with_many)


def test_the_two_kinds_of_stale_are_told_apart() -> None:
    replica = Replica()
    assert link_of(replica, 0.0) is DirectoryLink.UNSYNCED
    source = Publisher("e", now=0.0)
    for message in source.listing():
        replica.receive(message, 0.0)
    assert link_of(replica, 0.0) is DirectoryLink.LIVE
    replica.source_stale = True
    assert link_of(replica, 0.0) is DirectoryLink.STALE
    replica.lost(1.0)
    assert link_of(replica, 1.0) is DirectoryLink.LOST
    assert link_of(replica, 1.0 + SERVE_AFTER_LOSS) is DirectoryLink.EXPIRED


def split(*chunks: bytes) -> list[bytes]:
    async def go() -> list[bytes]:
        async def source() -> Any:
            for chunk in chunks:
                yield chunk
        return [line async for line in lines_of(source())]
    return asyncio.run(go())


def test_lines_come_whole_however_they_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    assert split(b"a\nb", b"", b"c\n\nd") == [b"a", b"bc", b""]
    monkeypatch.setattr(directory_client, "MAX_LINE", 10)
    with pytest.raises(BadMessage, match="longer than 10"):
        split(b"x" * 6, b"x" * 6)
