"""I/O: follows the gateway's directory: list, then watch, on one HTTP stream through the tunnel, for ever.

Owns the connection: when to list and when to resume, back-off, how long silence is borne, and that no list, however
long, keeps the loop from moving packets. Leaves to others: the copy itself (`vpn_directory.replica`), who needs to know
of changes (`worker`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final
from urllib.parse import quote

from vpn_client.http_client import HttpError, Response
from vpn_client.parts import DirectoryEvents
from vpn_client.session import DirectoryLink
from vpn_directory.codec import MAX_LINE, decode_untrusted
from vpn_directory.messages import BadMessage
from vpn_directory.model import Item
from vpn_directory.replica import Replica, ReplicaState, ResyncNeeded

PATH: Final = "/v1/directory"
SILENCE: Final = 15.0
"""Seconds without a line after which the stream is dead; the gateway sends a mark every five."""
BACKOFF: Final = (0.1, 2.0)
"""Seconds: the first pause after a failure, and the longest; doubled in between."""
LINES_PER_TURN: Final = 32
"""Lines decoded before the loop may move packets and answer names."""
EXPIRY_CHECK: Final = 0.5
"""Seconds between looks at whether a lost copy has expired."""

Open = Callable[[str], AbstractAsyncContextManager[Response]]
"""GET a path at the gateway."""

log = logging.getLogger(__name__)


class DirectoryClient:
    """A replica and the stream that feeds it."""

    def __init__(self, open_: Open, events: DirectoryEvents, now: Callable[[], float],
                 jitter: Callable[[], float]) -> None:
        """`jitter` yields numbers in [0, 1): clients that lost one gateway together must not come back together."""
        self._open = open_
        self._events = events
        self._now = now
        self._jitter = jitter
        self._replica = Replica()
        self._link = DirectoryLink.UNSYNCED
        self._hurry = asyncio.Event()
        self._resync = False
        self.heard_at: float | None = None

    @property
    def items(self) -> Sequence[Item]:
        """Everything in the copy."""
        return tuple(self._replica.items.values())

    @property
    def epoch(self) -> str:
        """The gateway's boot that the copy is of."""
        return self._replica.epoch

    @property
    def revision(self) -> int:
        """The copy's revision."""
        return self._replica.rev

    def reconnect(self) -> None:
        """The connection may be dead without knowing: start over at once."""
        self._hurry.set()

    async def run(self) -> None:
        """Follow until cancelled."""
        expiry = asyncio.ensure_future(self._watch_expiry())
        try:
            pause = BACKOFF[0]
            while True:
                heard = self.heard_at
                await self._follow_or_hurry()
                pause = BACKOFF[0] if self.heard_at != heard else min(pause * 2, BACKOFF[1])
                self._replica.lost(self._now())
                self._tell_link()
                await self._pause(pause * (0.5 + self._jitter()))
        finally:
            expiry.cancel()

    async def _follow_or_hurry(self) -> None:
        """One connection, to its end or until `reconnect`."""
        self._hurry.clear()
        following, hurry = asyncio.ensure_future(self._follow()), asyncio.ensure_future(self._hurry.wait())
        try:
            await asyncio.wait((following, hurry), return_when=asyncio.FIRST_COMPLETED)
            if following.done():
                following.result()
        finally:
            for task in (following, hurry):
                task.cancel()
            await asyncio.gather(following, hurry, return_exceptions=True)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._hurry.wait()
        except TimeoutError:
            return

    async def _follow(self) -> None:
        """Returns when the stream ends in any of the ways that streams end."""
        try:
            async with self._open(self._path()) as response:
                if response.status == 410:
                    self._resync = True
                elif response.status != 200:
                    log.warning("directory: the gateway answers %d", response.status)
                else:
                    await self._take_in(response)
        except ResyncNeeded as why:
            log.info("directory: listing again: %s", why)
            self._resync = True
        except (HttpError, BadMessage) as error:
            log.info("directory: %s", error)

    def _path(self) -> str:
        if not self._replica.synced or self._resync:
            return f"{PATH}?watch=1"
        return f"{PATH}?watch=1&epoch={quote(self._replica.epoch)}&rev={self._replica.rev}"

    async def _take_in(self, response: Response) -> None:
        count = 0
        async for line in lines_of(response.body(SILENCE)):
            now = self._now()
            changes = self._replica.receive(decode_untrusted(line), now)
            self.heard_at = now
            if self._replica.state(now) is ReplicaState.LIVE:
                self._resync = False
            if changes:
                self._events.changed(changes)
            self._tell_link()
            count += 1
            if count % LINES_PER_TURN == 0:
                await asyncio.sleep(0)

    async def _watch_expiry(self) -> None:
        while True:
            await asyncio.sleep(EXPIRY_CHECK)
            self._tell_link()

    def _tell_link(self) -> None:
        link = link_of(self._replica, self._now())
        if link is not self._link:
            self._link = link
            self._events.link(link)


def link_of(replica: Replica, now: float) -> DirectoryLink:
    """What the copy is worth, with the two ways of being stale told apart."""
    state = replica.state(now)
    if state is ReplicaState.STALE and replica.expires_at() is not None:
        return DirectoryLink.LOST
    return DirectoryLink(state.value)


async def lines_of(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Whole lines of a stream; BadMessage for one that is longer than any message may be."""
    rest = bytearray()
    async for chunk in chunks:
        *whole, last = chunk.split(b"\n")
        if whole:
            yield bytes(rest) + whole[0]
            for line in whole[1:]:
                yield line
            rest.clear()
        rest += last
        if len(rest) > MAX_LINE:
            raise BadMessage(f"a line longer than {MAX_LINE} bytes")
