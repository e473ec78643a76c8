"""I/O: the session's resolver: `kvpn_dns` fed by the directory, on the tunnel's address.

Owns the TTL of zero that makes each change visible at the next look-up, and the fallback address. Leaves to others:
answers and sockets (`kvpn_dns`), pointing the host here (`linux_host`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_address
from typing import Final

from kvpn_dns.answer import Answerer
from kvpn_dns.forward import Upstream, usable
from kvpn_dns.options import Options
from kvpn_dns.server import DnsServer
from kvpn_dns.upstream_io import Forwarder
from kvpn_dns.zone_index import Index
from vpn_client.exit_codes import ExitCode, Failure
from vpn_client.session import DirectoryLink
from vpn_directory.model import Change
from vpn_directory.replica import ReplicaState

PORT: Final = 53
STATES: Final = {
    DirectoryLink.UNSYNCED: ReplicaState.UNSYNCED, DirectoryLink.LIVE: ReplicaState.LIVE,
    DirectoryLink.STALE: ReplicaState.STALE, DirectoryLink.LOST: ReplicaState.STALE,
    DirectoryLink.EXPIRED: ReplicaState.EXPIRED}
FALLBACK_PORTS: Final = range(5300, 5310)
"""Tried when port 53 may not be bound; systemd-resolved can be given an odd port, resolv.conf cannot."""


class NameService:
    """Answers for our suffixes; forwards the rest when the host sends everything."""

    def __init__(self, suffixes: Sequence[str]) -> None:
        options = Options(ttl=0, negative_ttl=0, owned=tuple(suffixes))
        self._index = Index(options)
        self._answerer = Answerer(self._index, options)
        self._forwarder = Forwarder([])
        self._server = DnsServer(self._answerer, self._forwarder, self._is_local)
        self._address = ""

    def _is_local(self, source: str) -> bool:
        """This host's questions to its own address come from that address, or from the loopback fallback's."""
        return source == self._address or ip_address(source).is_loopback

    async def start(self, address: str) -> tuple[str, int]:
        """Where it listens now."""
        self._address, why = address, ""
        for port in (PORT, *FALLBACK_PORTS):
            try:
                await self._server.start([(address, port)])
            except OSError as error:
                why = os.strerror(error.errno) if error.errno else str(error)
            else:
                return self._server.addresses[0]
        raise Failure(ExitCode.FAILURE, f"resolver on {address}", why, "kvpn doctor; another resolver on 0.0.0.0:53?")

    def apply(self, changes: Iterable[Change]) -> None:
        """The directory changed: the next answer has it."""
        self._index.apply(changes)

    def set_link(self, link: DirectoryLink) -> None:
        """How far the directory can be trusted: owned names answer SERVFAIL without one."""
        self._answerer.state = STATES[link]

    def forward_to(self, upstreams: Sequence[str]) -> None:
        """Where names go that are not ours; nowhere without upstreams."""
        self._forwarder.upstreams = usable([Upstream.parse(each) for each in upstreams], self._server.addresses)

    def counters(self) -> Mapping[str, int]:
        """Answers by rcode, drops by reason, and `queries`, their sum."""
        found = {str(name): count for name, count in self._answerer.counters.items()}
        return {**found, "queries": sum(found.values())}

    async def stop(self) -> None:
        """Close the sockets."""
        await self._server.stop()
