"""I/O: the real parts of a session: Linux host, WireGuard tunnel, resolver, directory and probes, for `worker`.

Owns nothing but how they are made and fitted to the seams in `parts`.
"""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final

from vpn_client.daemon_config import DaemonConfig
from vpn_client.directory_client import DirectoryClient
from vpn_client.exit_codes import ExitCode, Failure
from vpn_client.gateway_session import BadAnswer, GatewaySession, parse_session_untrusted
from vpn_client.handshake_probe import peer_config
from vpn_client.host_plan import Network
from vpn_client.http_client import HttpError, Response, Target, get
from vpn_client.intent import Intent
from vpn_client.journal_file import journal_path
from vpn_client.linux_host import LinuxHost
from vpn_client.mtu_echo import measure
from vpn_client.mtu_probe import Verdict
from vpn_client.name_service import NameService
from vpn_client.parts import Directory, DirectoryEvents, Host, Names, Tunnel, TunnelStatus
from vpn_client.probe import ProbePlan, probe
from vpn_directory.gateway_service import CONTROL_PORT, NAME, NAMESPACE
from vpn_tunnel.asyncio_driver import Tunnel as WireGuard
from vpn_tunnel.asyncio_driver import clock, open_tunnel
from vpn_tunnel.backend import chosen
from vpn_tunnel.config import PeerConfig
from vpn_tunnel.errors import TunnelError
from vpn_tunnel.events import Event, HandshakeCompleted
from vpn_tunnel.keys import PrivateKey
from vpn_tunnel.uapi_socket import UapiSocket

INTERFACES: Final = 64
"""Names that are tried: kvpn0, kvpn1, …"""
CONNECT_TIMEOUT: Final = 1.0
"""Seconds for an answer's head: a lost packet must not cost the kernel's own, growing, patience."""
SESSION_TIMEOUT: Final = 3.0
"""Seconds for the gateway's answer to who we are."""
SESSION_TRIES: Final = 3
"""The first packets through a new tunnel may be lost."""

log = logging.getLogger(__name__)


class RealTunnel:
    """`vpn_tunnel` with the gateway as its one peer."""

    def __init__(self, wireguard: WireGuard, config: PeerConfig) -> None:
        self.interface = wireguard.tun.name
        self.backend = chosen()
        self._wireguard = wireguard
        self._config = config
        self._handshake: Callable[[], None] = lambda: None
        self._uapi = UapiSocket(wireguard)
        self._uapi_open = False
        self._opening: asyncio.Task[None] | None = None

    def start(self, handshake: Callable[[], None], gone: Callable[[], None]) -> None:
        """Move packets."""
        self._handshake = handshake
        self._wireguard.on_event = self._event
        self._wireguard.on_tun_gone = gone
        self._wireguard.set_peer(self._config)
        self._wireguard.start()
        self._opening = asyncio.get_running_loop().create_task(self._open_uapi())

    async def _open_uapi(self) -> None:
        """`wg show` works on our interface too; a session does not fail for want of it."""
        try:
            await self._uapi.start()
            self._uapi_open = True
        except OSError as error:
            log.info("wg show will not know %s: %s", self.interface, error)

    def _event(self, event: Event) -> None:
        if isinstance(event, HandshakeCompleted):
            self._handshake()

    def allow(self, networks: Sequence[Network]) -> None:
        """Which addresses are behind the gateway; sessions live on."""
        known = self._wireguard.status()[0]
        self._config = PeerConfig(self._config.public_key, self._config.preshared_key, tuple(networks),
                                  self._config.endpoints, self._config.persistent_keepalive)
        if known.allowed_ips != self._config.allowed_ips:
            self._wireguard.set_peer(self._config)

    def set_mtu(self, mtu: int) -> None:
        """Inner MTU in bytes."""
        self._wireguard.device.set_mtu(mtu)

    def set_dont_fragment(self, on: bool) -> None:
        """Whether outer packets may be fragmented; only a measurement forbids it."""
        self._wireguard.sockets.set_dont_fragment(on)

    def force_initiation(self) -> None:
        """A handshake now."""
        self._wireguard.force_initiation(self._config.public_key)

    def status(self) -> TunnelStatus:
        """What is known of the gateway."""
        peer = self._wireguard.status()[0]
        return TunnelStatus(str(peer.endpoint or ""), peer.latest_handshake_ns, peer.rx_bytes, peer.tx_bytes,
                            peer.last_received)

    def drops(self) -> Mapping[str, int]:
        """Dropped packets and datagrams by reason."""
        return {str(reason): count for reason, count in self._wireguard.device.counters.items()}

    def close(self) -> None:
        """The interface goes."""
        if self._opening is not None:
            self._opening.cancel()
        if self._uapi_open:
            self._uapi.stop()
        self._wireguard.close()


class RealHost(LinuxHost):
    """`LinuxHost` with the one fact that the tunnel needs from it."""

    def installed(self) -> tuple[Network, ...]:
        """The routes in force."""
        return self.routes.install


class RealParts:
    """Makes real parts. `config` is root's own."""

    def __init__(self, state_dir: Path, config: DaemonConfig) -> None:
        self._state_dir = state_dir
        self._config = config
        self._random = random.SystemRandom()

    def host(self, session: str) -> Host:
        """The host, with a journal of the session's own."""
        return RealHost(journal_path(self._state_dir, session), session, widened=self._config.allow_routes)

    def free_interface(self) -> str:
        """The first of kvpn0, kvpn1, … that is not there."""
        taken = {name for _, name in socket.if_nameindex()}
        free = next((name for name in (f"kvpn{number}" for number in range(INTERFACES)) if name not in taken), None)
        if free is None:
            raise Failure(ExitCode.FAILURE, "interface", f"{INTERFACES} of ours are there already", "kvpn down")
        return free

    def open_tunnel(self, interface: str, intent: Intent) -> Tunnel:
        """A TUN and UDP sockets, joined."""
        try:
            key = PrivateKey.from_base64(intent.private_key)
            return RealTunnel(open_tunnel(interface, private_key=key, mtu=intent.mtu), peer_config(intent))
        except TunnelError as error:
            raise Failure(ExitCode.FAILURE, interface, str(error), "kvpn doctor") from None

    def names(self, intent: Intent) -> Names:
        """A resolver for the suffixes that the intent approves."""
        return NameService(intent.suffixes)

    def directory(self, intent: Intent, interface: str, events: DirectoryEvents) -> Directory:
        """A copy of the gateway's directory."""
        def open_(path: str) -> AbstractAsyncContextManager[Response]:
            return get(_target(intent, interface), path, timeout=CONNECT_TIMEOUT, headers={"Accept-Encoding": "gzip"})
        return DirectoryClient(open_, events, self.now, self._random.random)

    async def gateway_session(self, intent: Intent, interface: str) -> GatewaySession:
        """Who the gateway is, and who we are to it."""
        why = ""
        for _ in range(SESSION_TRIES):
            try:
                return await _ask_session(_target(intent, interface))
            except HttpError as error:
                why = str(error)
        raise Failure(ExitCode.UNREACHABLE, "gateway", why, "look at the gateway's log: is its control API up?")

    async def probe(self, intent: Intent, interface: str, resolver: tuple[str, int]) -> str:
        """Name, tunnel, gateway, HTTP."""
        name = f"{NAME}.{NAMESPACE}.svc.{intent.cluster_domain}"
        plan = ProbePlan(name, CONTROL_PORT, resolver, interface, _source(intent))
        return await probe(plan, lambda: self._random.getrandbits(16))

    async def path_mtu(self, intent: Intent, tunnel: Tunnel, upper: int) -> Verdict:
        """The inner MTU that the path carries both ways, `upper` at most; TUN and tunnel have `upper` meanwhile."""
        ipv6 = any(":" in each for each in intent.addresses)
        return await asyncio.to_thread(measure, _source(intent), intent.gateway_address, upper, ipv6_inside=ipv6,
                                       set_dont_fragment=tunnel.set_dont_fragment)

    def now(self) -> float:
        """Seconds since boot, suspend included."""
        return clock()

    def unix_time_ns(self) -> int:
        """Wall clock, as WireGuard's status has it."""
        return time.time_ns()


def _source(intent: Intent) -> str:
    """Our address of the control API's family."""
    wants_ipv6 = ":" in intent.gateway_address
    return next((each for each in intent.addresses if (":" in each) == wants_ipv6), intent.addresses[0])


def _target(intent: Intent, interface: str) -> Target:
    return Target(intent.gateway_address, CONTROL_PORT, interface, _source(intent))


async def _ask_session(target: Target) -> GatewaySession:
    async with asyncio.timeout(SESSION_TIMEOUT), get(target, "/v1/session", timeout=CONNECT_TIMEOUT) as response:
        body = await response.read(1.0)
    if response.status == 403:
        raise Failure(ExitCode.DENIED, "gateway", "it does not know this peer's address (403)",
                      "is the Peer still there, and interface.addresses what the gateway gave it?")
    if response.status != 200:
        raise HttpError(f"it answers {response.status}")
    try:
        return parse_session_untrusted(body)
    except BadAnswer as error:
        raise Failure(ExitCode.FAILURE, "gateway", f"its answer: {error}",
                      "client and gateway differ: kvpn version") from None
