"""The gateway: objects in, peers, address pool, directory, packet filter, control API."""
