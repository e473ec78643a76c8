"""The handshake against an independent implementation (noiseprotocol), in both roles."""

from __future__ import annotations

import os
from typing import Any

import pytest
from noise.connection import Keypair as NoiseKeypair
from noise.connection import NoiseConnection

from vpn_tunnel import noise, primitives
from vpn_tunnel.constants import CONSTRUCTION, IDENTIFIER
from vpn_tunnel.errors import BadMessage, DropReason
from vpn_tunnel.keys import PresharedKey, PrivateKey, PublicKey
from vpn_tunnel.messages import Initiation, Response

TIMESTAMP = bytes(range(12))


def oracle(key: PrivateKey, remote: PublicKey | None, psk: bytes) -> Any:
    connection = NoiseConnection.from_name(CONSTRUCTION)
    connection.set_prologue(IDENTIFIER)
    connection.set_psks(psk)
    connection.set_keypair_from_private_bytes(NoiseKeypair.STATIC, key.raw)
    if remote is None:
        connection.set_as_responder()
    else:
        connection.set_keypair_from_public_bytes(NoiseKeypair.REMOTE_STATIC, remote.raw)
        connection.set_as_initiator()
    connection.start_handshake()
    return connection


@pytest.fixture
def ends() -> tuple[PrivateKey, PrivateKey, PresharedKey]:
    return PrivateKey.generate(os.urandom), PrivateKey.generate(os.urandom), PresharedKey(os.urandom(32))


def test_our_initiator_with_their_responder(ends: tuple[PrivateKey, PrivateKey, PresharedKey]) -> None:
    ours, theirs, psk = ends
    local = noise.LocalStatic(ours)
    remote = noise.RemoteStatic(theirs.public_key(), local, psk)
    initiation, state = noise.create_initiation(local, remote, 5, TIMESTAMP, os.urandom(32))
    other = oracle(theirs, None, psk.raw)
    assert other.read_message(initiation.ephemeral + initiation.static + initiation.timestamp) == TIMESTAMP
    answer = bytes(other.write_message(b""))
    keys = noise.consume_response_untrusted(local, remote, state, Response(9, 5, answer[:32], answer[32:]))
    assert keys.handshake_hash == other.get_handshake_hash()
    assert (keys.local_index, keys.remote_index, keys.initiator) == (5, 9, True)
    assert other.decrypt(primitives.seal(keys.send, 0, b"hello", b"")) == b"hello"


def test_their_initiator_with_our_responder(ends: tuple[PrivateKey, PrivateKey, PresharedKey]) -> None:
    ours, theirs, psk = ends
    local = noise.LocalStatic(ours)
    remote = noise.RemoteStatic(theirs.public_key(), local, psk)
    other = oracle(theirs, ours.public_key(), psk.raw)
    first = bytes(other.write_message(TIMESTAMP))
    state = noise.consume_initiation_untrusted(local, Initiation(3, first[:32], first[32:80], first[80:]),
                                               {theirs.public_key().raw: remote}.get)
    assert (state.timestamp, state.remote_index) == (TIMESTAMP, 3)
    response, keys = noise.create_response(state, 4, os.urandom(32))
    other.read_message(response.ephemeral + response.empty)
    assert keys.handshake_hash == other.get_handshake_hash()
    assert primitives.open_(keys.receive, 0, bytes(other.encrypt(b"hello")), b"") == b"hello"


def exchange(psk_a: PresharedKey | None, psk_b: PresharedKey | None) -> None:
    a, b = PrivateKey.generate(os.urandom), PrivateKey.generate(os.urandom)
    at_a, at_b = noise.LocalStatic(a), noise.LocalStatic(b)
    to_b, to_a = noise.RemoteStatic(at_b.public, at_a, psk_a), noise.RemoteStatic(at_a.public, at_b, psk_b)
    initiation, state = noise.create_initiation(at_a, to_b, 1, TIMESTAMP, os.urandom(32))
    responder = noise.consume_initiation_untrusted(at_b, initiation, {a.public_key().raw: to_a}.get)
    response, keys_b = noise.create_response(responder, 2, os.urandom(32))
    keys_a = noise.consume_response_untrusted(at_a, to_b, state, response)
    assert (keys_a.send, keys_a.receive) == (keys_b.receive, keys_b.send)


def test_without_and_with_the_same_preshared_key() -> None:
    psk = PresharedKey(os.urandom(32))
    exchange(None, None)
    exchange(psk, psk)


def test_a_preshared_key_on_one_side_fails() -> None:
    with pytest.raises(BadMessage) as caught:
        exchange(PresharedKey(os.urandom(32)), None)
    assert caught.value.reason is DropReason.BAD_HANDSHAKE


@pytest.mark.parametrize("field", ["ephemeral", "static", "timestamp"])
def test_every_part_of_an_initiation_is_authenticated(field: str) -> None:
    a, b = PrivateKey.generate(os.urandom), PrivateKey.generate(os.urandom)
    at_a, at_b = noise.LocalStatic(a), noise.LocalStatic(b)
    message, _ = noise.create_initiation(at_a, noise.RemoteStatic(at_b.public, at_a, None), 1, TIMESTAMP, os.urandom(32))
    value = bytearray(getattr(message, field))
    value[5] ^= 1
    parts = {name: getattr(message, name) for name in ("sender", "ephemeral", "static", "timestamp")} | {field: bytes(value)}
    with pytest.raises(BadMessage):
        noise.consume_initiation_untrusted(at_b, Initiation(**parts), lambda key: noise.RemoteStatic(PublicKey(key), at_b, None))


def test_a_peer_of_low_order_is_neither_called_nor_answered() -> None:
    local = noise.LocalStatic(PrivateKey.generate(os.urandom))
    remote = noise.RemoteStatic(PublicKey(bytes(32)), local, None)
    with pytest.raises(noise.NoStaticSecret):
        noise.create_initiation(local, remote, 1, TIMESTAMP, os.urandom(32))


def test_an_unknown_static_key_is_an_unknown_peer() -> None:
    a, b = PrivateKey.generate(os.urandom), PrivateKey.generate(os.urandom)
    at_a, at_b = noise.LocalStatic(a), noise.LocalStatic(b)
    message, _ = noise.create_initiation(at_a, noise.RemoteStatic(at_b.public, at_a, None), 1, TIMESTAMP, os.urandom(32))
    with pytest.raises(BadMessage) as caught:
        noise.consume_initiation_untrusted(at_b, message, lambda key: None)
    assert caught.value.reason is DropReason.UNKNOWN_PEER


def test_secrets_do_not_show() -> None:
    keys = noise.SessionKeys(b"secret-send" * 3, b"secret-receive" * 3, 1, 2, True, b"h")
    assert "secret" not in repr(keys)
