"""Counters as Prometheus text."""

import os

from tests.unit.vpn_directory.fixtures import located
from tests.unit.vpn_gateway.objects import CONFIG, peer
from vpn_gateway.metrics import render
from vpn_gateway.state import GatewayState
from vpn_tunnel.device import Device
from vpn_tunnel.errors import DropReason
from vpn_tunnel.keys import PrivateKey


def test_every_family_has_a_type_and_every_peer_its_bytes() -> None:
    state = GatewayState(CONFIG, "e", 0.0)
    actions = state.replace_objects(located(peer("laptop")), (), 0.0, 0.0)
    device = Device(PrivateKey.generate(os.urandom), random_bytes=os.urandom, unix_time_ns=lambda: 0)
    device.set_peer(actions.add[0].config(), 0.0)
    device.counters[DropReason.REPLAYED] += 3
    lines = render(state, device).splitlines()
    assert 'kvpn_tunnel_dropped_total{reason="replayed"} 3' in lines
    assert 'kvpn_peer_bytes_total{peer="laptop",direction="rx"} 0' in lines
    families = {line.split()[2] for line in lines if line.startswith("# TYPE")}
    assert {line.partition("{")[0].split()[0] for line in lines if not line.startswith("#")} <= families
