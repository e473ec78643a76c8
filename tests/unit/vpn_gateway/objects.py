"""Peers and configuration as short calls."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from vpn_gateway.config import GatewayConfig
from vpn_tunnel.keys import PrivateKey

CONFIG = GatewayConfig(Path("objects"), Path("key"), open=True)


def key(name: str) -> str:
    """A public key that follows from a name."""
    return str(PrivateKey(hashlib.sha256(name.encode()).digest()).public_key())


def peer(name: str, *, of: str = "", created: str = "", uid: str = "", **spec: Any) -> dict[str, Any]:
    metadata = {"name": name, **({"creationTimestamp": created} if created else {}), **({"uid": uid} if uid else {})}
    return {"apiVersion": "kvpn.dev/v1alpha1", "kind": "Peer", "metadata": metadata,
            "spec": {"publicKey": key(of or name), **spec}}
