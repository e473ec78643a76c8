"""Values that several tests of this package start from."""

from __future__ import annotations

import base64
from typing import Any

KEY = base64.b64encode(bytes(range(32))).decode()
OTHER_KEY = base64.b64encode(bytes(range(32, 64))).decode()

INTENT: dict[str, Any] = {
    "session": "default", "profile": "laptop.toml", "private_key": KEY, "addresses": ["198.18.0.2", "fd6b:7670:6e::2"],
    "gateway_public_key": OTHER_KEY, "gateway_address": "198.18.0.1", "endpoints": ["192.0.2.1:51820"]}

PROFILE = f"""
[interface]
private_key_file = "laptop.key"
addresses = ["198.18.0.2", "fd6b:7670:6e::2"]
[gateway]
public_key = "{OTHER_KEY}"
endpoints = ["192.0.2.1:51820"]
address = "198.18.0.1"
"""

SESSION: dict[str, Any] = {
    "session": "default", "profile": "laptop.toml", "state": "up", "reasons": [], "up_for": 7980.0, "reconnects": 1,
    "suffixes": ["cluster.local"], "owner": 1000,
    "tunnel": {"endpoint": "192.0.2.1:51820", "last_handshake_age": 42.0, "rx_bytes": 1_200_000_000,
               "tx_bytes": 88_000_000, "rx_per_second": 1200.0, "tx_per_second": 0.0, "backend": "python", "at": 1.0},
    "host": {"interface": "kvpn0", "addresses": ["198.18.0.2"], "mtu": 1420, "routes": ["10.96.0.0/12"]},
    "dns": {"mode": "systemd-resolved", "server": "198.18.0.2:53", "suffixes": ["cluster.local"], "queries": 7},
    "directory": {"state": "live", "rev": 8812, "epoch": "e", "services": 412, "age": 0.4},
    "gateway": {"version": "0.1.0", "policy": "open"},
    "probe": {"ok": True, "age": 6.0, "evidence": "GET /healthz → 200 in 41 ms"},
    "drops": {"replayed": 2, "unknown_peer": 0},
    "notes": [{"name": "routes", "level": "warn", "text": "10.1.0.0/16 is taken"}]}
