"""What can go wrong in the tunnel, by whose fault: `LocalProtocolError` is ours, `BadMessage` is the network's.

Owns the reasons for which a datagram or packet is dropped and their counters. WireGuard is silent by design; counters are
how an operator, and a test, sees why.
"""

from __future__ import annotations

from collections import Counter
from enum import StrEnum


class TunnelError(Exception):
    """Base of the tunnel's own errors."""


class LocalProtocolError(TunnelError):
    """The caller used the tunnel wrongly: the message says what to do instead."""


class DropReason(StrEnum):
    """Why a datagram from the network, or an IP packet from the host, went no further."""

    BAD_LENGTH = "bad_length"
    """The length fits no message of that type."""
    BAD_TYPE = "bad_type"
    """Unknown message type, or reserved bytes that are not zero."""
    BAD_MAC1 = "bad_mac1"
    """The sender does not know our public key."""
    COOKIE_SENT = "cookie_sent"
    """Under load and without a valid mac2: a cookie reply went out instead."""
    RATE_LIMITED = "rate_limited"
    """Under load, valid mac2, but too many handshakes from this source network."""
    BAD_HANDSHAKE = "bad_handshake"
    """Authentication failed in an initiation or a response, or a point of low order."""
    UNKNOWN_PEER = "unknown_peer"
    """The static key of an initiation belongs to no peer."""
    OLD_TIMESTAMP = "old_timestamp"
    """A replayed initiation: its timestamp is not greater than the last one."""
    INITIATION_FLOOD = "initiation_flood"
    """Another initiation from this peer within 20 ms."""
    UNKNOWN_INDEX = "unknown_index"
    """No handshake or session has this receiver index."""
    UNEXPECTED_RESPONSE = "unexpected_response"
    """A response to an initiation that is no longer open."""
    UNEXPECTED_COOKIE = "unexpected_cookie"
    """A cookie reply that answers nothing of ours, or does not authenticate."""
    SESSION_EXPIRED = "session_expired"
    """The keypair is too old or has carried too many messages."""
    BAD_TAG = "bad_tag"
    """A transport message that does not authenticate."""
    REPLAYED = "replayed"
    """A counter that was seen already, or is behind the window."""
    BAD_PACKET = "bad_packet"
    """The inner bytes are no IP packet of their stated length."""
    BAD_SOURCE = "bad_source"
    """The inner source address is not this peer's (cryptokey routing)."""
    BAD_ECN = "bad_ecn"
    """Outer says congestion experienced, inner is not ECN-capable (RFC 6040)."""
    NO_PEER_FOR_DESTINATION = "no_peer_for_destination"
    """No peer's allowed-ips cover the destination."""
    NO_ENDPOINT = "no_endpoint"
    """The destination's peer has no known endpoint."""
    STAGING_OVERFLOW = "staging_overflow"
    """More than 128 packets waited for a session: the oldest went."""
    HANDSHAKE_GAVE_UP = "handshake_gave_up"
    """Packets that waited for a handshake which got no answer for 90 s."""
    TOO_BIG = "too_big"
    """An IP packet larger than one datagram can carry."""
    NO_PRIVATE_KEY = "no_private_key"
    """The device has no private key, so it can neither initiate nor answer."""


class BadMessage(TunnelError):
    """Bytes from the network that are not a message for us; `reason` says why. Raised by every `*_untrusted` function."""

    def __init__(self, reason: DropReason) -> None:
        super().__init__(reason.value)
        self.reason = reason


class BadKey(ValueError):
    """Text or bytes that are no key; the message never repeats them."""


DropCounters = Counter[DropReason]
