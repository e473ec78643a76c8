"""Known answers: RFC 7693, RFC 7748, RFC 8439, draft-irtf-cfrg-xchacha-03, wireguard-go's KDF vectors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vpn_tunnel import primitives as p

KDF = json.loads((Path(__file__).parents[2] / "vectors/kdf.json").read_text())["vectors"]
h = bytes.fromhex


def test_hash_is_blake2s() -> None:
    assert p.hash_(b"a", b"bc") == h("508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982")


@pytest.mark.parametrize("vector", KDF)
def test_kdf(vector: dict[str, str]) -> None:
    key, data = h(vector["key"]), h(vector["input"])
    expected = [h(vector[name]) for name in ("t0", "t1", "t2")]
    assert p.kdf1(key, data) == expected[0]
    assert list(p.kdf2(key, data)) == expected[:2]
    assert list(p.kdf3(key, data)) == expected


def test_x25519() -> None:
    alice = p.scalar(h("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"))
    point = h("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c")
    assert p.dh(alice, point) == h("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552")


@pytest.mark.parametrize("point", ["00" * 32, "01" + "00" * 31,
                                   "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"])
def test_low_order_points_are_refused(point: str) -> None:
    with pytest.raises(p.LowOrderPoint):
        p.dh(p.scalar(bytes(range(32))), h(point))


def test_aead() -> None:
    plain = (b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
             b"sunscreen would be it.")
    sealed = p.aead(bytes(range(0x80, 0xA0))).encrypt(h("070000004041424344454647"), plain, h("50515253c0c1c2c3c4c5c6c7"))
    assert sealed[-16:] == h("1ae10b594f09e26a7e902ecbd0600691")
    assert p.open_(bytes(32), 7, p.seal(bytes(32), 7, plain, b"ad"), b"ad") == plain
    with pytest.raises(p.BadTag):
        p.open_(bytes(32), 8, p.seal(bytes(32), 7, plain, b"ad"), b"ad")


def test_nonce_is_zeros_and_little_endian() -> None:
    assert p.nonce(0x0102) == bytes(4) + b"\x02\x01" + bytes(6)


def test_hchacha20() -> None:
    assert p.hchacha20(bytes(range(32)), h("000000090000004a0000000031415927")) == h(
        "82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc")


def test_xchacha20_poly1305() -> None:
    plain = (b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
             b"sunscreen would be it.")
    key, nonce = bytes(range(0x80, 0xA0)), bytes(range(0x40, 0x58))
    sealed = p.xseal(key, nonce, plain, h("50515253c0c1c2c3c4c5c6c7"))
    assert sealed[-16:] == h("c0875924c1c7987947deafd8780acf49")
    assert p.xopen(key, nonce, sealed, h("50515253c0c1c2c3c4c5c6c7")) == plain


def test_clamp_is_idempotent_and_sets_the_bits() -> None:
    raw = p.clamp(b"\xff" * 32)
    assert (raw[0], raw[31]) == (0xF8, 0x7F)
    assert p.clamp(raw) == raw
