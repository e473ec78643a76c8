"""The Noise_IKpsk2 handshake (paper §5.4.2 and §5.4.3), both roles, as functions from state to state.

Rules that others must not break: a state is used once, and whoever holds it drops it then; ephemeral keys come from the
caller's randomness, fresh for each message; nothing here looks at mac1, mac2 or timestamps, which `cookies` and `device`
do. Every failure of a message is `BadMessage(BAD_HANDSHAKE)`: a stranger learns nothing from which step failed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from vpn_tunnel import primitives as p
from vpn_tunnel.constants import CONSTRUCTION, IDENTIFIER
from vpn_tunnel.errors import BadMessage, DropReason
from vpn_tunnel.keys import PresharedKey, PrivateKey, PublicKey
from vpn_tunnel.messages import Initiation, Response

_CHAIN = p.hash_(CONSTRUCTION)
_HASH = p.hash_(_CHAIN, IDENTIFIER)
_NO_PSK = bytes(32)


class LocalStatic:
    """Our static key, with what is computed once for it."""

    def __init__(self, private: PrivateKey) -> None:
        self.scalar = p.scalar(private.raw)
        self.public = PublicKey(p.public_of(self.scalar))
        self.responder_hash = p.hash_(_HASH, self.public.raw)

    def __repr__(self) -> str:
        return f"LocalStatic({self.public})"


class RemoteStatic:
    """A peer's static key, with what is computed once for the pair of keys."""

    def __init__(self, public: PublicKey, local: LocalStatic, preshared: PresharedKey | None) -> None:
        self.public = public
        self.preshared = preshared.raw if preshared else _NO_PSK
        self.responder_hash = p.hash_(_HASH, public.raw)
        try:
            self.static_static: bytes | None = p.dh(local.scalar, public.raw)
        except p.LowOrderPoint:
            self.static_static = None  # such a peer can neither be called nor answered

    def __repr__(self) -> str:
        return f"RemoteStatic({self.public})"


@dataclass(slots=True)
class InitiatorState:
    """Between our initiation and its response."""

    index: int
    hash: bytes
    chain: bytes = field(repr=False)
    ephemeral: p.Scalar = field(repr=False)


@dataclass(slots=True)
class ResponderState:
    """Between an authenticated initiation and our response."""

    remote: RemoteStatic
    remote_index: int
    timestamp: bytes
    hash: bytes
    chain: bytes = field(repr=False)
    ephemeral: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class SessionKeys:
    """What a handshake yields: transport keys and indices (paper §5.4.5)."""

    send: bytes = field(repr=False)
    receive: bytes = field(repr=False)
    local_index: int
    remote_index: int
    initiator: bool
    handshake_hash: bytes = field(repr=False)


class NoStaticSecret(ValueError):
    """The peer's static key is a point of low order."""


def create_initiation(local: LocalStatic, remote: RemoteStatic, index: int, timestamp: bytes,
                      ephemeral: bytes) -> tuple[Initiation, InitiatorState]:
    """First message without MACs; `ephemeral` is a fresh private key. Raises `NoStaticSecret`."""
    if remote.static_static is None:
        raise NoStaticSecret(f"peer {remote.public} has a key of low order")
    secret = p.scalar(ephemeral)
    public = p.public_of(secret)
    chain = p.kdf1(_CHAIN, public)
    hashed = p.hash_(remote.responder_hash, public)
    chain, key = p.kdf2(chain, p.dh(secret, remote.public.raw))
    static = p.seal(key, 0, local.public.raw, hashed)
    hashed = p.hash_(hashed, static)
    chain, key = p.kdf2(chain, remote.static_static)
    sealed = p.seal(key, 0, timestamp, hashed)
    hashed = p.hash_(hashed, sealed)
    return Initiation(index, public, static, sealed), InitiatorState(index, hashed, chain, secret)


def consume_initiation_untrusted(local: LocalStatic, message: Initiation,
                                 find: Callable[[bytes], RemoteStatic | None]) -> ResponderState:
    """Authenticate a first message. `find` maps a static public key to the peer it belongs to.

    Raises `BadMessage` (BAD_HANDSHAKE, UNKNOWN_PEER)."""
    try:
        chain = p.kdf1(_CHAIN, message.ephemeral)
        hashed = p.hash_(local.responder_hash, message.ephemeral)
        chain, key = p.kdf2(chain, p.dh(local.scalar, message.ephemeral))
        static = p.open_(key, 0, message.static, hashed)
        hashed = p.hash_(hashed, message.static)
        remote = find(static)
        if remote is None or remote.static_static is None:
            raise BadMessage(DropReason.UNKNOWN_PEER)
        chain, key = p.kdf2(chain, remote.static_static)
        timestamp = p.open_(key, 0, message.timestamp, hashed)
    except (p.BadTag, p.LowOrderPoint) as error:
        raise BadMessage(DropReason.BAD_HANDSHAKE) from error
    hashed = p.hash_(hashed, message.timestamp)
    return ResponderState(remote, message.sender, timestamp, hashed, chain, message.ephemeral)


def create_response(state: ResponderState, index: int, ephemeral: bytes) -> tuple[Response, SessionKeys]:
    """Second message without MACs, and the responder's keys. Raises `BadMessage` for a low-order static key."""
    secret = p.scalar(ephemeral)
    public = p.public_of(secret)
    chain = p.kdf1(state.chain, public)
    hashed = p.hash_(state.hash, public)
    try:
        chain = p.kdf1(chain, p.dh(secret, state.ephemeral))
        chain = p.kdf1(chain, p.dh(secret, state.remote.public.raw))
    except p.LowOrderPoint as error:
        raise BadMessage(DropReason.BAD_HANDSHAKE) from error
    chain, tau, key = p.kdf3(chain, state.remote.preshared)
    hashed = p.hash_(hashed, tau)
    empty = p.seal(key, 0, b"", hashed)
    receive, send = p.kdf2(chain, b"")
    keys = SessionKeys(send, receive, index, state.remote_index, False, p.hash_(hashed, empty))
    return Response(index, state.remote_index, public, empty), keys


def consume_response_untrusted(local: LocalStatic, remote: RemoteStatic, state: InitiatorState,
                               message: Response) -> SessionKeys:
    """Authenticate a second message; the initiator's keys. Raises `BadMessage` (BAD_HANDSHAKE)."""
    try:
        chain = p.kdf1(state.chain, message.ephemeral)
        hashed = p.hash_(state.hash, message.ephemeral)
        chain = p.kdf1(chain, p.dh(state.ephemeral, message.ephemeral))
        chain = p.kdf1(chain, p.dh(local.scalar, message.ephemeral))
        chain, tau, key = p.kdf3(chain, remote.preshared)
        hashed = p.hash_(hashed, tau)
        p.open_(key, 0, message.empty, hashed)
    except (p.BadTag, p.LowOrderPoint) as error:
        raise BadMessage(DropReason.BAD_HANDSHAKE) from error
    send, receive = p.kdf2(chain, b"")
    return SessionKeys(send, receive, state.index, message.sender, True, p.hash_(hashed, message.empty))
