"""mac1, mac2 and cookies (paper §5.3, §5.4.4, §5.4.7): who may make us compute.

Owns both sides: `CookieChecker` for what arrives, `CookieJar` for what one peer made us promise. Leaves counting the load
to `LoadMeter` and the reaction to `device`.
"""

from __future__ import annotations

from collections.abc import Callable

from vpn_tunnel import primitives as p
from vpn_tunnel.constants import (
    COOKIE_SECRET_LIFETIME,
    COOKIE_TRUST_TIME,
    HANDSHAKE_CAPACITY,
    LABEL_COOKIE,
    LABEL_MAC1,
    UNDER_LOAD_STICKY,
)
from vpn_tunnel.errors import BadMessage, DropReason
from vpn_tunnel.keys import PublicKey
from vpn_tunnel.messages import CookieReply

_MACS = 32  # bytes: mac1 and mac2, the end of messages 1 and 2


class CookieChecker:
    """The receiving side of one static key."""

    def __init__(self, public: PublicKey, random_bytes: Callable[[int], bytes]) -> None:
        self._mac1_key = p.hash_(LABEL_MAC1, public.raw)
        self._cookie_key = p.hash_(LABEL_COOKIE, public.raw)
        self._random_bytes = random_bytes
        self._secret = b""
        self._secret_born = float("-inf")

    def check_mac1_untrusted(self, datagram: bytes) -> None:
        """Raises `BadMessage(BAD_MAC1)` unless the sender knows our public key."""
        if not p.equal(p.mac(self._mac1_key, datagram[:-_MACS]), datagram[-32:-16]):
            raise BadMessage(DropReason.BAD_MAC1)

    def has_valid_mac2(self, datagram: bytes, source: bytes, now: float) -> bool:
        """Whether the sender has lately received a cookie at `source` (address and port as bytes)."""
        if now - self._secret_born >= COOKIE_SECRET_LIFETIME:
            return False
        return p.equal(p.mac(p.mac(self._secret, source), datagram[:-16]), datagram[-16:])

    def reply(self, datagram: bytes, sender: int, source: bytes, now: float) -> CookieReply:
        """The cookie for this source, sealed to whoever sent this mac1."""
        if now - self._secret_born >= COOKIE_SECRET_LIFETIME:
            self._secret = self._random_bytes(32)
            self._secret_born = now
        nonce = self._random_bytes(24)
        cookie = p.mac(self._secret, source)
        return CookieReply(sender, nonce, p.xseal(self._cookie_key, nonce, cookie, datagram[-32:-16]))


class CookieJar:
    """The sending side toward one peer: its mac1 key, and the cookie it last gave us."""

    def __init__(self, public: PublicKey) -> None:
        self._mac1_key = p.hash_(LABEL_MAC1, public.raw)
        self._cookie_key = p.hash_(LABEL_COOKIE, public.raw)
        self._cookie = b""
        self._cookie_born = float("-inf")
        self._last_mac1 = b""

    def add_macs(self, datagram: bytes, now: float) -> bytes:
        """The datagram, whose last 32 bytes are zero, with mac1 and, when a fresh cookie is at hand, mac2."""
        body = datagram[:-_MACS]
        self._last_mac1 = p.mac(self._mac1_key, body)
        body += self._last_mac1
        fresh = now - self._cookie_born < COOKIE_TRUST_TIME
        return body + (p.mac(self._cookie, body) if fresh else bytes(16))

    def consume_reply_untrusted(self, reply: CookieReply, now: float) -> None:
        """Keep the cookie if it answers our last message, once. Raises `BadMessage(UNEXPECTED_COOKIE)`."""
        if not self._last_mac1:
            raise BadMessage(DropReason.UNEXPECTED_COOKIE)
        try:
            self._cookie = p.xopen(self._cookie_key, reply.nonce, reply.cookie, self._last_mac1)
        except p.BadTag as error:
            raise BadMessage(DropReason.UNEXPECTED_COOKIE) from error
        self._cookie_born = now
        self._last_mac1 = b""


class LoadMeter:
    """Whether handshakes arrive faster than we want to compute: a leaky bucket of an eighth of a second's capacity.

    An overload stays in force for a second (the kernel's rule), so that a sender's retry with its cookie still meets it.
    """

    def __init__(self, capacity: float = HANDSHAKE_CAPACITY) -> None:
        self._rate = capacity
        self._limit = capacity / 8
        self._level = 0.0
        self._last = 0.0
        self._until = float("-inf")

    def note_handshake(self, now: float) -> bool:
        """Count one handshake message at `now`; True when under load."""
        self._level = max(0.0, self._level - max(0.0, now - self._last) * self._rate) + 1
        self._last = now
        if self._level >= self._limit:
            self._level = self._limit
            self._until = now + UNDER_LOAD_STICKY
        return now < self._until
