"""I/O: what the host must allow before packets are forwarded; says clearly what it does not, and the remedy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_WANTED = {"net/ipv4/ip_forward": "1", "net/ipv6/conf/all/forwarding": "1"}


def enable_forwarding(interface: str, root: Path = Path("/proc/sys")) -> list[str]:
    """Turn forwarding on in this network namespace; returns what could not be done, in words."""
    return list(_problems({**_WANTED, f"net/ipv4/conf/{interface}/rp_filter": "0"}, root))


def _problems(wanted: dict[str, str], root: Path) -> Iterator[str]:
    for name, value in wanted.items():
        path = root / name
        try:
            if path.read_text().strip() != value:
                path.write_text(value)
        except FileNotFoundError:
            continue  # a host without IPv6
        except OSError as error:
            yield (f"cannot set {name.replace('/', '.')}={value}: {error.strerror}; set it on the node, or with the pod's "
                   "securityContext.sysctls")


def host_addresses(links: object, interface: str) -> list[str]:
    """The addresses of `ip -json addr` outside `interface`: the gateway's own, never reached through the tunnel."""
    found = []
    for link in links if isinstance(links, list) else []:
        if link.get("ifname") != interface:
            found += [entry["local"] for entry in link.get("addr_info", []) if entry.get("scope") == "global"]
    return found
