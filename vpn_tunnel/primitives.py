"""The cryptography of the paper §5.4: HASH, MAC, HMAC, KDF, DH, AEAD, XAEAD.

The only module that calls a cryptographic library: `hashlib` for BLAKE2s, `cryptography` for X25519 and
ChaCha20-Poly1305. XChaCha20-Poly1305, which `cryptography` lacks, is HChaCha20 (draft-irtf-cfrg-xchacha-03 §2.2) in front
of it; it runs once per cookie reply.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from typing import TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

Aead: TypeAlias = ChaCha20Poly1305
Scalar: TypeAlias = X25519PrivateKey
BadTag = InvalidTag

_NONCE = struct.Struct("<4xQ")
_BLOCK = 64  # bytes: BLAKE2s block, for HMAC
_IPAD = bytes(b ^ 0x36 for b in range(256))
_OPAD = bytes(b ^ 0x5C for b in range(256))


class LowOrderPoint(ValueError):
    """A Diffie-Hellman result of zero: the other side's point has low order (RFC 7748 §6.1)."""


def hash_(*parts: bytes) -> bytes:
    """BLAKE2s-256 of the parts' concatenation (RFC 7693); 32 bytes."""
    return hashlib.blake2s(b"".join(parts)).digest()


def mac(key: bytes, data: bytes) -> bytes:
    """Keyed BLAKE2s with a digest of 16 bytes."""
    return hashlib.blake2s(data, key=key, digest_size=16).digest()


def hmac_(key: bytes, data: bytes) -> bytes:
    """HMAC-BLAKE2s (RFC 2104); the key has at most 64 bytes; 32 bytes."""
    key = key.ljust(_BLOCK, b"\0")
    inner = hashlib.blake2s(key.translate(_IPAD) + data).digest()
    return hashlib.blake2s(key.translate(_OPAD) + inner).digest()


def kdf1(key: bytes, data: bytes) -> bytes:
    """First output of HKDF over HMAC-BLAKE2s."""
    return hmac_(hmac_(key, data), b"\x01")


def kdf2(key: bytes, data: bytes) -> tuple[bytes, bytes]:
    """First two outputs."""
    secret = hmac_(key, data)
    one = hmac_(secret, b"\x01")
    return one, hmac_(secret, one + b"\x02")


def kdf3(key: bytes, data: bytes) -> tuple[bytes, bytes, bytes]:
    """First three outputs."""
    secret = hmac_(key, data)
    one = hmac_(secret, b"\x01")
    two = hmac_(secret, one + b"\x02")
    return one, two, hmac_(secret, two + b"\x03")


def clamp(private: bytes) -> bytes:
    """The scalar as X25519 uses it (RFC 7748 §5)."""
    return bytes([private[0] & 248]) + private[1:31] + bytes([(private[31] & 127) | 64])


def scalar(private: bytes) -> Scalar:
    """The library's form of a private key. Costs a base-point multiplication, so keep it for a key used often."""
    return X25519PrivateKey.from_private_bytes(private)


def public_of(secret: Scalar) -> bytes:
    """The public key of a scalar; 32 bytes."""
    return secret.public_key().public_bytes_raw()


def public_key(private: bytes) -> bytes:
    """X25519 base-point multiplication."""
    return public_of(scalar(private))


def dh(secret: Scalar, public: bytes) -> bytes:
    """X25519; raises `LowOrderPoint` when the shared secret is zero."""
    try:
        return secret.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError as error:
        raise LowOrderPoint("the shared secret is zero") from error


def aead(key: bytes) -> Aead:
    """A ChaCha20-Poly1305 context (RFC 8439) for one key."""
    return ChaCha20Poly1305(key)


def nonce(counter: int) -> bytes:
    """12 bytes: four zero bytes and the counter, little-endian."""
    return _NONCE.pack(counter)


def seal(key: bytes, counter: int, plain: bytes, associated: bytes) -> bytes:
    """AEAD encryption: ciphertext and tag of 16 bytes."""
    return ChaCha20Poly1305(key).encrypt(_NONCE.pack(counter), plain, associated)


def open_(key: bytes, counter: int, sealed: bytes, associated: bytes) -> bytes:
    """AEAD decryption; raises `BadTag`."""
    return ChaCha20Poly1305(key).decrypt(_NONCE.pack(counter), sealed, associated)


def hchacha20(key: bytes, nonce16: bytes) -> bytes:
    """HChaCha20: a subkey of 32 bytes from a key and the first 16 bytes of the nonce."""
    s = [*struct.unpack("<4I", b"expand 32-byte k"), *struct.unpack("<8I", key), *struct.unpack("<4I", nonce16)]
    for _ in range(10):
        for a, b, c, d in _ROUNDS:
            _quarter_round(s, a, b, c, d)
    return struct.pack("<8I", *s[0:4], *s[12:16])


_ROUNDS = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
           (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))


def _quarter_round(s: list[int], a: int, b: int, c: int, d: int) -> None:
    for x, y, z, shift in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
        s[x] = (s[x] + s[y]) & 0xFFFFFFFF
        v = s[z] ^ s[x]
        s[z] = ((v << shift) | (v >> (32 - shift))) & 0xFFFFFFFF


def xseal(key: bytes, nonce24: bytes, plain: bytes, associated: bytes) -> bytes:
    """XChaCha20-Poly1305 encryption (draft-irtf-cfrg-xchacha-03 §2.3)."""
    return ChaCha20Poly1305(hchacha20(key, nonce24[:16])).encrypt(b"\0" * 4 + nonce24[16:], plain, associated)


def xopen(key: bytes, nonce24: bytes, sealed: bytes, associated: bytes) -> bytes:
    """XChaCha20-Poly1305 decryption; raises `BadTag`."""
    return ChaCha20Poly1305(hchacha20(key, nonce24[:16])).decrypt(b"\0" * 4 + nonce24[16:], sealed, associated)


def equal(one: bytes, other: bytes) -> bool:
    """Comparison in constant time."""
    return hmac.compare_digest(one, other)
