"""Keys as values: base64 in and out as `wg` writes them; the secret ones never show in a repr.

Owns parsing and text form. Leaves the arithmetic to `primitives`.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from vpn_tunnel import primitives
from vpn_tunnel.errors import BadKey

KEY_SIZE = 32  # bytes


def _decode(text: str, what: str) -> bytes:
    try:
        raw = base64.b64decode(text.strip().encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise BadKey(f"{what} is not base64: expected 44 characters as `wg genkey` prints") from error
    if len(raw) != KEY_SIZE:
        raise BadKey(f"{what} has {len(raw)} bytes instead of {KEY_SIZE}")
    return raw


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A Curve25519 public key, 32 bytes."""

    raw: bytes

    def __post_init__(self) -> None:
        if len(self.raw) != KEY_SIZE:
            raise BadKey(f"a public key has {KEY_SIZE} bytes, not {len(self.raw)}")

    @classmethod
    def from_base64(cls, text: str) -> Self:
        """Parse the base64 form; raises `BadKey`."""
        return cls(_decode(text, "public key"))

    def __str__(self) -> str:
        return base64.b64encode(self.raw).decode("ascii")

    def __repr__(self) -> str:
        return f"PublicKey({self})"


@dataclass(frozen=True, slots=True, eq=False)
class _Secret:
    raw: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.raw) != KEY_SIZE:
            raise BadKey(f"a key has {KEY_SIZE} bytes, not {len(self.raw)}")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and isinstance(other, _Secret) and hmac.compare_digest(self.raw, other.raw)

    def __hash__(self) -> int:
        return hash(self.raw)

    def to_base64(self) -> str:
        """The text form, for files of mode 0600 and for `wg showconf` only."""
        return base64.b64encode(self.raw).decode("ascii")


@dataclass(frozen=True, slots=True, eq=False)
class PrivateKey(_Secret):
    """A Curve25519 private key, clamped (RFC 7748 §5)."""

    def __post_init__(self) -> None:
        _Secret.__post_init__(self)
        object.__setattr__(self, "raw", primitives.clamp(self.raw))

    @classmethod
    def from_base64(cls, text: str) -> Self:
        """Parse the base64 form; raises `BadKey`."""
        return cls(_decode(text, "private key"))

    @classmethod
    def generate(cls, random_bytes: Callable[[int], bytes]) -> Self:
        """A fresh key from the given source of randomness."""
        return cls(random_bytes(KEY_SIZE))

    def public_key(self) -> PublicKey:
        """The public half."""
        return PublicKey(primitives.public_key(self.raw))


@dataclass(frozen=True, slots=True, eq=False)
class PresharedKey(_Secret):
    """The optional symmetric key of the psk2 modifier, 32 bytes."""

    @classmethod
    def from_base64(cls, text: str) -> Self:
        """Parse the base64 form; raises `BadKey`."""
        return cls(_decode(text, "preshared key"))

    @property
    def is_zero(self) -> bool:
        """All zero means no preshared key, as in `wg`."""
        return self.raw == bytes(KEY_SIZE)
