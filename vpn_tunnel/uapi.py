"""The configuration protocol that `wg` speaks to userspace implementations, as text. Pure.

Owns every key of `get=1` and `set=1` (https://www.wireguard.com/xplatform/). A request is understood as a whole before any of it
is carried out, so a bad line changes nothing.
"""

from __future__ import annotations

import errno
import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from vpn_tunnel.config import Network
from vpn_tunnel.device import PeerStatus
from vpn_tunnel.endpoint import BadEndpoint, Endpoint
from vpn_tunnel.keys import KEY_SIZE, PresharedKey, PrivateKey, PublicKey

MAX_REQUEST = 64 << 20  # bytes: tens of thousands of peers
MAX_LINE = 1024  # bytes


class BadRequest(ValueError):
    """A request that is not carried out; `code` is the errno to answer."""

    def __init__(self, line: str, code: int = errno.EINVAL) -> None:
        super().__init__(f"cannot take the line {line.partition('=')[0]!r}")
        self.code = code


@dataclass(slots=True)
class PeerChange:
    """What `set=1` says of one peer; None is untouched."""

    public_key: PublicKey
    remove: bool = False
    update_only: bool = False
    preshared_key: PresharedKey | None = field(default=None, repr=False)
    endpoint: Endpoint | None = None
    persistent_keepalive: int | None = None
    replace_allowed_ips: bool = False
    add_allowed_ips: list[Network] = field(default_factory=list)
    remove_allowed_ips: list[Network] = field(default_factory=list)


@dataclass(slots=True)
class DeviceChange:
    """What `set=1` says of the device; None is untouched."""

    private_key: PrivateKey | None = field(default=None, repr=False)
    remove_private_key: bool = False
    listen_port: int | None = None
    fwmark: int | None = None
    replace_peers: bool = False
    peers: list[PeerChange] = field(default_factory=list)


def parse_set_untrusted(lines: Iterable[str]) -> DeviceChange:
    """The lines after `set=1`; raises `BadRequest`."""
    change = DeviceChange()
    for line in lines:
        name, equals, value = line.partition("=")
        if not equals or len(line) > MAX_LINE:
            raise BadRequest(line)
        try:
            if name == "public_key":
                change.peers.append(PeerChange(PublicKey(_key(value))))
            elif change.peers:
                _peer_line(change.peers[-1], name, value)
            else:
                _device_line(change, name, value)
        except (ValueError, BadEndpoint) as error:
            raise BadRequest(line) from error
    return change


def _key(text: str) -> bytes:
    raw = bytes.fromhex(text)
    if len(raw) != KEY_SIZE:
        raise ValueError("length of a key")
    return raw


def _number(text: str, limit: int) -> int:
    value = int(text, 0) if text.startswith("0x") else int(text)
    if not 0 <= value <= limit:
        raise ValueError("out of range")
    return value


def _true(text: str) -> bool:
    if text != "true":
        raise ValueError("expected true")
    return True


def _device_line(change: DeviceChange, name: str, value: str) -> None:
    if name == "private_key":
        raw = _key(value)
        change.remove_private_key = raw == bytes(KEY_SIZE)
        change.private_key = None if change.remove_private_key else PrivateKey(raw)
    elif name == "listen_port":
        change.listen_port = _number(value, 65535)
    elif name == "fwmark":
        change.fwmark = _number(value or "0", 0xFFFFFFFF)
    elif name == "replace_peers":
        change.replace_peers = _true(value)
    else:
        raise ValueError("unknown key")


def _peer_line(peer: PeerChange, name: str, value: str) -> None:
    if name == "remove":
        peer.remove = _true(value)
    elif name == "update_only":
        peer.update_only = _true(value)
    elif name == "preshared_key":
        peer.preshared_key = PresharedKey(_key(value))
    elif name == "endpoint":
        peer.endpoint = Endpoint.parse(value)
    elif name == "persistent_keepalive_interval":
        peer.persistent_keepalive = _number(value, 65535)
    elif name == "replace_allowed_ips":
        peer.replace_allowed_ips = _true(value)
    elif name == "allowed_ip":
        target = peer.remove_allowed_ips if value.startswith("-") else peer.add_allowed_ips
        target.append(ipaddress.ip_network(value.removeprefix("-"), strict=False))
    elif name != "protocol_version" or value != "1":
        raise ValueError("unknown key")


def render_get(private_key: PrivateKey | None, listen_port: int, fwmark: int, peers: Iterable[PeerStatus]) -> str:
    """The answer to `get=1`, without its errno line."""
    lines = [f"private_key={private_key.raw.hex()}"] if private_key else []
    lines.append(f"listen_port={listen_port}")
    if fwmark:
        lines.append(f"fwmark={fwmark}")
    for peer in peers:
        lines += _peer_lines(peer)
    return "".join(f"{line}\n" for line in lines)


def _peer_lines(peer: PeerStatus) -> Iterator[str]:
    seconds, nanoseconds = divmod(peer.latest_handshake_ns, 1_000_000_000)
    yield f"public_key={peer.public_key.raw.hex()}"
    yield f"preshared_key={(peer.preshared_key.raw if peer.preshared_key else bytes(KEY_SIZE)).hex()}"
    yield "protocol_version=1"
    if peer.endpoint is not None:
        yield f"endpoint={peer.endpoint}"
    yield f"last_handshake_time_sec={seconds}"
    yield f"last_handshake_time_nsec={nanoseconds}"
    yield f"tx_bytes={peer.tx_bytes}"
    yield f"rx_bytes={peer.rx_bytes}"
    yield f"persistent_keepalive_interval={peer.persistent_keepalive}"
    for network in peer.allowed_ips:
        yield f"allowed_ip={network}"
