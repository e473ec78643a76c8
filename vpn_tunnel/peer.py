"""One peer's handshake side: its static key, open initiations, what it last sent us, and the timers of the handshake.

Owns state only; `device` decides. The session side (keypairs, endpoint, counters) lives in the data path.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from math import inf

from vpn_tunnel.config import Network, PeerConfig
from vpn_tunnel.constants import MAX_CANDIDATE_ENDPOINTS
from vpn_tunnel.cookies import CookieJar
from vpn_tunnel.endpoint import Endpoint
from vpn_tunnel.keys import PresharedKey, PublicKey
from vpn_tunnel.noise import InitiatorState, RemoteStatic

MAX_OPEN_INITIATIONS = 8  # forced initiations come faster than a slow path answers; each may still be answered


@dataclass(frozen=True, slots=True)
class PeerStatus:
    """What `wg show` tells of a peer."""

    public_key: PublicKey
    preshared_key: PresharedKey | None = field(repr=False)
    allowed_ips: tuple[Network, ...]
    endpoint: Endpoint | None
    latest_handshake_ns: int
    """Unix nanoseconds; 0 for never."""
    rx_bytes: int
    tx_bytes: int
    persistent_keepalive: int
    last_received: float | None
    """Time of the last authenticated message, on the clock of `now`."""


class Peer:
    """See the module's docstring. A timer at `inf` is off."""

    def __init__(self, ident: int, config: PeerConfig) -> None:
        self.ident = ident
        self.public_key: PublicKey = config.public_key
        self.preshared_key: PresharedKey | None = config.preshared_key
        self.persistent_keepalive = config.persistent_keepalive
        self.candidates: tuple[Endpoint, ...] = config.endpoints
        self.remote: RemoteStatic | None = None  # None until the device has a private key
        self.jar = CookieJar(config.public_key)
        self.open: OrderedDict[int, InitiatorState] = OrderedDict()
        self.initiated_at = -inf
        self.attempts = 0
        self.retransmit_at = inf
        self.zero_at = inf
        self.waits_for_endpoint = False
        self.last_timestamp = b""
        self.last_consumed = -inf
        self.unproved: Endpoint | None = None
        self.answered: tuple[bytes, bytes, int] | None = None
        self.latest_handshake_ns = 0

    def targets(self, current: Endpoint | None) -> list[Endpoint]:
        """Where an initiation goes: the endpoint in use, one that is not proved yet, and the candidates; each once."""
        found: list[Endpoint] = []
        for endpoint in (current, self.unproved, *self.candidates):
            if endpoint is not None and not any(endpoint.same_address(known) for known in found):
                found.append(endpoint)
        return found[:MAX_CANDIDATE_ENDPOINTS]

    def earliest(self) -> float:
        """The first timer that is on."""
        return min(self.retransmit_at, self.zero_at)

    def __repr__(self) -> str:
        return f"Peer({self.public_key})"
