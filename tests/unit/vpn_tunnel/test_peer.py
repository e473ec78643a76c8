"""Where initiations go."""

from __future__ import annotations

import os

from vpn_tunnel.config import PeerConfig
from vpn_tunnel.constants import MAX_CANDIDATE_ENDPOINTS
from vpn_tunnel.endpoint import Endpoint
from vpn_tunnel.keys import PrivateKey
from vpn_tunnel.peer import Peer


def test_targets_are_each_named_once_and_bounded() -> None:
    candidates = tuple(Endpoint("192.0.2.1", port) for port in range(1, 20))
    peer = Peer(1, PeerConfig(PrivateKey.generate(os.urandom).public_key(), endpoints=candidates))
    current = Endpoint("192.0.2.1", 3, "192.0.2.9", 2)
    peer.unproved = Endpoint("198.51.100.1", 1)
    targets = peer.targets(current)
    assert targets[:3] == [current, peer.unproved, candidates[0]]
    assert len(targets) == MAX_CANDIDATE_ENDPOINTS
    assert sum(target.port == 3 for target in targets) == 1


def test_a_peer_without_any_address_has_no_target() -> None:
    assert Peer(1, PeerConfig(PrivateKey.generate(os.urandom).public_key())).targets(None) == []
