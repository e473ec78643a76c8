"""I/O: one WireGuard handshake with a profile's gateway, with no TUN and no root: is it there, does it know us?

Owns a UDP socket for a few seconds. Leaves to others: the protocol (`vpn_tunnel.Device`). Not for a peer that has a
session up elsewhere: the gateway would send its traffic here until that peer speaks again.
"""

from __future__ import annotations

import os
import select
import time
from typing import Final

from vpn_client.intent import Intent
from vpn_tunnel.config import PeerConfig
from vpn_tunnel.device import Device
from vpn_tunnel.endpoint import Endpoint
from vpn_tunnel.events import HandshakeCompleted
from vpn_tunnel.keys import PresharedKey, PrivateKey, PublicKey
from vpn_tunnel.udp_sockets import PortUnavailable, UdpSockets

PATIENCE: Final = 2.0
"""Seconds for an answer."""
STEP: Final = 0.1
"""Seconds between looks at the device's own timers."""


def peer_config(intent: Intent) -> PeerConfig:
    """The gateway as a peer, with nothing allowed through yet."""
    preshared = PresharedKey.from_base64(intent.preshared_key) if intent.preshared_key else None
    return PeerConfig(PublicKey.from_base64(intent.gateway_public_key), preshared,
                      endpoints=tuple(Endpoint.parse(each) for each in intent.endpoints),
                      persistent_keepalive=intent.persistent_keepalive)


def handshake(intent: Intent, patience: float = PATIENCE) -> str:
    """`192.0.2.1:51820 answers in 19 ms`, or `error: …`."""
    try:
        sockets = UdpSockets.open()
    except PortUnavailable as error:
        return f"error: {error}"
    try:
        return _converse(intent, sockets, patience)
    finally:
        sockets.close()


def _converse(intent: Intent, sockets: UdpSockets, patience: float) -> str:
    device = Device(PrivateKey.from_base64(intent.private_key), random_bytes=os.urandom, unix_time_ns=time.time_ns)
    config, began = peer_config(intent), time.monotonic()
    device.set_peer(config, began)
    device.force_initiation(config.public_key, began)
    while (now := time.monotonic()) < began + patience:
        for batch in device.batches_to_send():
            sockets.send(batch)
        readable, _, _ = select.select(sockets.all, [], [], STEP)
        for sock in readable:
            device.receive_datagrams(sockets.receive(sock), time.monotonic())
        while (event := device.next_event()) is not None:
            if isinstance(event, HandshakeCompleted):
                return f"{device.peers()[0].endpoint} answers in {(time.monotonic() - began) * 1000:.0f} ms"
        device.handle_deadline(now)
    return f"error: no answer from {', '.join(intent.endpoints)} within {patience:.0f} s"
