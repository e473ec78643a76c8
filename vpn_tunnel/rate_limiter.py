"""Handshakes per source network while under load: 20 a second, burst of 5, per IPv4 /32 and IPv6 /64.

Owns its table and its cap. A full table refuses new sources: that is the safe side when somebody spreads over networks.
"""

from __future__ import annotations

import ipaddress

from vpn_tunnel.constants import MAX_RATE_LIMITER_ENTRIES

RATE = 20.0  # handshakes a second
BURST = 5.0  # handshakes
_COST = 1.0 / RATE  # seconds
_FULL = BURST / RATE  # seconds
COLLECT_INTERVAL = 1.0  # seconds


class RateLimiter:
    """One token bucket a source network, held as (tokens in seconds, time of the last request)."""

    def __init__(self) -> None:
        self._table: dict[bytes, tuple[float, float]] = {}
        self._collected = 0.0

    def allow(self, host: str, now: float) -> bool:
        """Whether a handshake from `host` (IP literal) may be worked on at `now` (seconds)."""
        if now - self._collected >= COLLECT_INTERVAL:
            self._collect(now)
        network = _network(host)
        entry = self._table.get(network)
        if entry is None:
            if len(self._table) >= MAX_RATE_LIMITER_ENTRIES:
                return False
            self._table[network] = (_FULL - _COST, now)
            return True
        tokens, last = entry
        tokens = min(_FULL, tokens + max(0.0, now - last))
        allowed = tokens >= _COST - 1e-9
        self._table[network] = (tokens - _COST if allowed else tokens, now)
        return allowed

    def _collect(self, now: float) -> None:
        self._collected = now
        self._table = {network: entry for network, entry in self._table.items() if now - entry[1] < COLLECT_INTERVAL}

    def __len__(self) -> int:
        return len(self._table)


def _network(host: str) -> bytes:
    packed = ipaddress.ip_address(host.partition("%")[0]).packed
    return packed if len(packed) == 4 else packed[:8]
