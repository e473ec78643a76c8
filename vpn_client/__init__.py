"""The laptop: CLI, daemon, routes, host DNS, host firewall, doctor."""
