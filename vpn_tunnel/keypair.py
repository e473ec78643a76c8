"""One session's keys and counters, and the three slots a peer keeps them in (paper §5.4.5, §6).

Owns which keypair sends, which may still receive, and that a responder does not send before its keypair is confirmed.
"""

from __future__ import annotations

from vpn_tunnel import primitives
from vpn_tunnel.constants import REJECT_AFTER_MESSAGES, REJECT_AFTER_TIME
from vpn_tunnel.noise import SessionKeys
from vpn_tunnel.replay import ReplayWindow


class Keypair:
    """Transport keys of one handshake. Each send counter is used once, whatever becomes of the datagram."""

    __slots__ = ("born", "initiator", "local_index", "owner", "receiving", "rekey_asked", "remote_index", "replay",
                 "send_counter", "sending")

    def __init__(self, keys: SessionKeys, owner: int, now: float) -> None:
        self.owner = owner
        self.sending = primitives.aead(keys.send)
        self.receiving = primitives.aead(keys.receive)
        self.local_index = keys.local_index
        self.remote_index = keys.remote_index
        self.initiator = keys.initiator
        self.born = now
        self.send_counter = 0
        self.replay = ReplayWindow()
        self.rekey_asked = False

    def may_send(self, now: float) -> bool:
        """Neither too old nor used up."""
        return now - self.born < REJECT_AFTER_TIME and self.send_counter < REJECT_AFTER_MESSAGES

    def __repr__(self) -> str:
        return f"Keypair(local={self.local_index:#010x}, remote={self.remote_index:#010x})"


class Keypairs:
    """previous, current, next."""

    __slots__ = ("current", "next", "previous")

    def __init__(self) -> None:
        self.previous: Keypair | None = None
        self.current: Keypair | None = None
        self.next: Keypair | None = None

    def install(self, new: Keypair) -> list[Keypair]:
        """Take in a fresh keypair; returns those that fell out."""
        before = self.all()
        if new.initiator:
            if self.next is not None:
                self.previous, self.next = self.next, None
            else:
                self.previous = self.current
            self.current = new
        else:
            self.next, self.previous = new, None
        after = self.all()
        return [old for old in before if old not in after]

    def confirm(self, used: Keypair) -> list[Keypair]:
        """An authenticated packet came on `used`: if it is `next`, it becomes current. Returns those that fell out."""
        if used is not self.next:
            return []
        fallen = [self.previous] if self.previous else []
        self.previous, self.current, self.next = self.current, used, None
        return fallen

    def clear(self) -> list[Keypair]:
        """Forget every key; returns them."""
        fallen = self.all()
        self.previous = self.current = self.next = None
        return fallen

    def all(self) -> list[Keypair]:
        """Those in use, newest last."""
        return [pair for pair in (self.previous, self.current, self.next) if pair is not None]
