"""WireGuard, both ends: handshake, cookies, timers, keypairs, transport, allowed-ips, roaming, configuration protocol."""
