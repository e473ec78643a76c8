"""A handshake with a real device on loopback, and with nobody."""

from __future__ import annotations

import asyncio
import os
import time

from tests.unit.vpn_client.samples import INTENT
from vpn_client.handshake_probe import handshake, peer_config
from vpn_client.intent import parse_intent_untrusted
from vpn_tunnel.config import PeerConfig
from vpn_tunnel.device import Device
from vpn_tunnel.keys import PresharedKey, PrivateKey
from vpn_tunnel.udp_sockets import UdpSockets

OURS, THEIRS = PrivateKey.generate(os.urandom), PrivateKey.generate(os.urandom)
PRESHARED = PresharedKey(os.urandom(32))


def intent(port: int, **changes: object) -> dict[str, object]:
    return {**INTENT, "private_key": OURS.to_base64(), "gateway_public_key": str(THEIRS.public_key()),
            "endpoints": [f"127.0.0.1:{port}"], **changes}


def try_it(*, knows_us: bool = True, preshared: str = "") -> str:
    """The probe's words about a gateway in this process."""
    async def go() -> str:
        device = Device(THEIRS, random_bytes=os.urandom, unix_time_ns=time.time_ns)
        if knows_us:
            device.set_peer(PeerConfig(OURS.public_key(), PRESHARED if preshared else None), time.monotonic())
        sockets = UdpSockets.open()

        def readable(sock: object) -> None:
            for each in sockets.all:
                device.receive_datagrams(sockets.receive(each), time.monotonic())
            for batch in device.batches_to_send():
                sockets.send(batch)
        for sock in sockets.all:
            asyncio.get_running_loop().add_reader(sock, readable, sock)
        wanted = parse_intent_untrusted(intent(sockets.port, preshared_key=preshared))
        try:
            return await asyncio.to_thread(handshake, wanted, 5.0 if knows_us else 0.4)
        finally:
            for sock in sockets.all:
                asyncio.get_running_loop().remove_reader(sock)
            sockets.close()
    return asyncio.run(go())


def test_a_gateway_that_knows_us_answers() -> None:
    assert "answers in" in try_it()
    assert "answers in" in try_it(preshared=PRESHARED.to_base64())


def test_a_gateway_that_does_not_stays_silent() -> None:
    assert try_it(knows_us=False).startswith("error: no answer from 127.0.0.1:")


def test_the_gateway_as_a_peer() -> None:
    config = peer_config(parse_intent_untrusted({**INTENT, "persistent_keepalive": 9}))
    assert (config.persistent_keepalive, config.preshared_key, config.allowed_ips) == (9, None, ())
    assert [str(each) for each in config.endpoints] == ["192.0.2.1:51820"]
