"""What names, other text and addresses may look like, at the gateway's door and at the client's alike. Pure.

Owns the rule that whatever the gateway takes in, every client takes in too: both ask here. All text is printable ASCII, so
none of it can end a line, escape into a terminal or into a packet filter's script, or fail to encode.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

MAX_LABEL: Final = 63  # characters, RFC 1035 §2.3.4
MAX_TEXT: Final = 253  # characters of a DNS name, and of any other text
MAX_APEX: Final = 121  # characters: `<service>.<namespace>.svc.<apex>` is then a DNS name whatever the service
PROTOCOLS: Final = ("TCP", "UDP", "SCTP")

_LABEL: Final = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN: Final = re.compile(rf"{_LABEL.pattern}(?:\.{_LABEL.pattern})*")

_OCTET: Final = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_DOTTED: Final = re.compile(rf"(?:{_OCTET}\.){{3}}{_OCTET}")

SPECIAL: Final = tuple(map(ipaddress.ip_network, (
    "0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4",
    "::/127", "::ffff:0:0/96", "fe80::/10", "ff00::/8",
    "100.100.100.200/32", "168.63.129.16/32", "fd00:ec2::254/128", "fd20:ce::254/128")))
"""What no pod, service or outside server has: this host, link-local (most clouds' metadata), multicast, reserved, IPv4 in
disguise; then metadata elsewhere."""


def is_label(text: str) -> bool:
    """Whether it is a DNS label as Kubernetes names things (RFC 1123, lower case)."""
    return _LABEL.fullmatch(text) is not None


def is_subdomain(text: str) -> bool:
    """Whether it is a lower-case DNS name without a trailing dot."""
    return len(text) <= MAX_TEXT and _SUBDOMAIN.fullmatch(text) is not None


def is_apex(text: str) -> bool:
    """Whether it may be the apex of a zone."""
    return len(text) <= MAX_APEX and is_subdomain(text)


def is_plain(text: str) -> bool:
    """Whether it is printable ASCII of a bearable length; empty counts."""
    return len(text) <= MAX_TEXT and text.isascii() and text.isprintable()


def canonical_address(text: str) -> str:
    """An IP address in compressed form. ValueError for anything else, and for a scope (`fe80::1%eth0`), which is free text."""
    if _DOTTED.fullmatch(text):
        return text  # canonical as it is, and ten times faster
    if "%" in text:
        raise ValueError(f"{shown(text)} has a scope, and means nothing outside of its host")
    try:
        return str(ipaddress.ip_address(text))
    except ValueError as error:
        raise ValueError(f"{shown(text)} is no IP address") from error


def is_special(address: str) -> bool:
    """Whether a canonical address is one that no pod, service or outside server has: loopback, link-local, metadata, …"""
    if address.startswith(("10.", "172.", "192.")):
        return False  # nearly every address there is: this is asked of each of 100,000 endpoints
    value = ipaddress.ip_address(address)
    return any(value.version == network.version and value in network for network in SPECIAL)


def shown(value: object) -> str:
    """A value from outside as it may stand in a log line: quoted, printable, short."""
    text = ascii(value)
    return text if len(text) <= MAX_LABEL else f"{text[:MAX_LABEL]}…"
