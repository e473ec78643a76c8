"""Keys read and write as wg does, and hide."""

from __future__ import annotations

import os

import pytest

from vpn_tunnel.errors import BadKey
from vpn_tunnel.keys import PresharedKey, PrivateKey, PublicKey


def test_round_trip_and_clamp() -> None:
    key = PrivateKey.generate(os.urandom)
    assert PrivateKey.from_base64(key.to_base64() + "\n") == key
    assert key.raw[0] & 7 == 0
    assert PublicKey.from_base64(str(key.public_key())) == key.public_key()


def test_secrets_do_not_show() -> None:
    private, preshared = PrivateKey.generate(os.urandom), PresharedKey(os.urandom(32))
    for secret in (private, preshared):
        assert secret.to_base64() not in f"{secret!r} {secret}"
        assert secret.raw.hex() not in f"{secret!r} {secret}"


@pytest.mark.parametrize("text", ["", "qq~~", "AAAA", "é" * 44, "A" * 44 + "A===", "!" * 44])
def test_what_is_no_key_is_refused_without_repeating_it(text: str) -> None:
    for kind in (PrivateKey, PublicKey, PresharedKey):
        with pytest.raises(BadKey) as caught:
            kind.from_base64(text)
        assert not text or text not in str(caught.value)


def test_kinds_are_not_equal_to_each_other() -> None:
    raw = PrivateKey.generate(os.urandom).raw
    assert PrivateKey(raw) != PresharedKey(raw)
    assert PresharedKey(bytes(32)).is_zero
