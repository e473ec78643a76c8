"""What a device tells its owner, as values. Per-packet facts are counters, not events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from vpn_tunnel.endpoint import Endpoint
from vpn_tunnel.keys import PublicKey


@dataclass(frozen=True, slots=True)
class HandshakeCompleted:
    """A session with this peer is confirmed in both directions."""

    public_key: PublicKey


@dataclass(frozen=True, slots=True)
class HandshakeFailed:
    """No answer for 90 s; what was staged for the peer is dropped. Traffic starts the next attempt."""

    public_key: PublicKey


@dataclass(frozen=True, slots=True)
class PeerRoamed:
    """An authenticated message came from another address; answers go there from now on."""

    public_key: PublicKey
    endpoint: Endpoint


@dataclass(frozen=True, slots=True)
class SessionExpired:
    """540 s without a handshake: every key of this peer is gone."""

    public_key: PublicKey


Event: TypeAlias = HandshakeCompleted | HandshakeFailed | PeerRoamed | SessionExpired
