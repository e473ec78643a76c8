"""The client's profile (TOML) for one peer: everything but its private key. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from vpn_gateway.config import GatewayConfig

KEEPALIVE: Final = 25  # seconds: below the idle time-out of every common NAT


def render(name: str, addresses: Sequence[str], config: GatewayConfig, public_key: str, endpoints: Sequence[str]) -> str:
    """The profile's text. JSON strings and lists are TOML's, too."""
    domains = f"cluster_domain = {json.dumps(config.cluster_domain)}\n"
    if config.clusterset_domain:
        domains += f"clusterset_domain = {json.dumps(config.clusterset_domain)}\n"
    return f"""# kvpn profile of the peer {name}; put its private key (mode 0600) beside this file
[interface]
private_key_file = {json.dumps(name + ".key")}
addresses = {json.dumps(list(addresses))}

[gateway]
public_key = {json.dumps(public_key)}
endpoints = {json.dumps(list(endpoints))}
address = {json.dumps(config.addresses[0])}
persistent_keepalive = {KEEPALIVE}

[dns]
{domains}"""
