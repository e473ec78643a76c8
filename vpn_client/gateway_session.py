"""The gateway's answer to `GET /v1/session`: who it is, who we are to it, and whether both are as the profile says.

Owns the answer's shape on this side. Leaves to others: fetching it (`worker`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final

from vpn_client.exit_codes import ExitCode, Failure
from vpn_client.intent import Intent

VERSION: Final = 1
MAX_WORD: Final = 253
"""Characters of any one text in the answer."""


class BadAnswer(ValueError):
    """Bytes that are no session answer: which field, and why."""


@dataclass(frozen=True, slots=True)
class GatewaySession:
    """What the gateway says about itself and about us."""

    version: str
    epoch: str
    peer: str
    addresses: tuple[str, ...]
    policy: str
    """`open`, or the name of what is enforced."""
    cluster_domain: str
    clusterset_domain: str
    mtu: int
    """Bytes; the gateway's own tunnel interface."""


def parse_session_untrusted(body: bytes) -> GatewaySession:
    """The answer in `body`; BadAnswer otherwise. Fields that are not known here are a newer gateway's."""
    try:
        raw = json.loads(body)
    except (ValueError, RecursionError):
        raise BadAnswer("not JSON") from None
    top = _object({"answer": raw}, "answer")
    if top.get("version") != VERSION:
        raise BadAnswer(f"version {str(top.get('version'))[:20]} is not {VERSION}")
    gateway, peer, dns = _object(top, "gateway"), _object(top, "peer"), _object(top, "dns")
    return GatewaySession(version=_word(gateway, "version"), epoch=_word(gateway, "epoch"), peer=_word(peer, "name"),
                          addresses=_addresses(peer), policy=_word(top, "policy"),
                          cluster_domain=_word(dns, "clusterDomain"),
                          clusterset_domain=_word(dns, "clustersetDomain") if dns.get("clustersetDomain") else "",
                          mtu=_mtu(top))


def check_identity(answer: GatewaySession, intent: Intent) -> None:
    """Failure when the gateway gives us other addresses than the profile does: nothing would ever come back."""
    if not {ip_address(each) for each in intent.addresses} <= {ip_address(each) for each in answer.addresses}:
        raise Failure(ExitCode.DENIED, "gateway",
                      f"it knows this peer as {', '.join(answer.addresses)}, "
                      f"the profile says {', '.join(intent.addresses)}",
                      "write its addresses into interface.addresses of the profile")


def unapproved(answer: GatewaySession, intent: Intent) -> list[str]:
    """Domains that the gateway serves and the profile does not approve."""
    return [domain for domain in (answer.cluster_domain, answer.clusterset_domain)
            if domain and domain not in intent.suffixes]


def _object(raw: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = raw.get(name)
    if not isinstance(value, dict):
        raise BadAnswer(f"{name} is not an object")
    return value


def _word(raw: Mapping[str, Any], name: str) -> str:
    value = raw.get(name)
    if not isinstance(value, str) or len(value) > MAX_WORD or not value.isprintable():
        raise BadAnswer(f"{name} is not a short text")
    return value


def _addresses(peer: Mapping[str, Any]) -> tuple[str, ...]:
    value = peer.get("addresses")
    try:
        if isinstance(value, list) and len(value) <= 8 and not any("%" in str(each) for each in value):
            return tuple(str(ip_address(str(each))) for each in value)  # behind a % the library takes any text
    except ValueError:
        pass
    raise BadAnswer("peer.addresses is not a list of addresses")


def _mtu(raw: Mapping[str, Any]) -> int:
    value = raw.get("mtu")
    if not isinstance(value, int) or isinstance(value, bool) or not 576 <= value <= 65535:
        raise BadAnswer("mtu is out of range")
    return value
