"""The gateway's counters as Prometheus text. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from vpn_gateway.state import GatewayState
from vpn_tunnel.device import Device


def render(state: GatewayState, device: Device) -> str:
    """Text exposition format 0.0.4."""
    return "\n".join([*_lines(state, device), ""])


def _lines(state: GatewayState, device: Device) -> Iterator[str]:
    publisher = state.publisher
    yield from _metric("kvpn_peers", "gauge", "Peers in force", len(state.live))
    yield from _metric("kvpn_policy_open", "gauge", "1 while no policy is enforced", int(state.config.open))
    yield from _metric("kvpn_directory_items", "gauge", "Items of the directory", len(publisher.items))
    yield from _metric("kvpn_directory_revision", "counter", "Revision of the directory", publisher.rev)
    yield from _metric("kvpn_directory_stale", "gauge", "1 while the object source is lost", int(publisher.stale))
    yield from _metric("kvpn_object_problems", "gauge", "Objects and files refused", len(state.problems))
    yield from _family("kvpn_tunnel_dropped_total", "counter", "Datagrams and packets dropped")
    for reason, count in sorted(device.counters.items()):
        yield f'kvpn_tunnel_dropped_total{{reason="{reason.value}"}} {count}'
    names = {peer.peer.public_key: peer.peer.name for peer in state.live}
    yield from _family("kvpn_peer_bytes_total", "counter", "Bytes on the wire of each peer")
    for status in device.peers():
        name = names.get(status.public_key, "")
        yield f'kvpn_peer_bytes_total{{peer="{name}",direction="rx"}} {status.rx_bytes}'
        yield f'kvpn_peer_bytes_total{{peer="{name}",direction="tx"}} {status.tx_bytes}'


def _metric(name: str, kind: str, words: str, value: int) -> Iterator[str]:
    yield from _family(name, kind, words)
    yield f"{name} {value}"


def _family(name: str, kind: str, words: str) -> Iterator[str]:
    yield f"# HELP {name} {words}"
    yield f"# TYPE {name} {kind}"
