"""How names are answered, as one value."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class PodMode(StrEnum):
    """Which pod names `a-b-c-d.<ns>.pod.<zone>` exist, as CoreDNS names them."""

    DISABLED = "disabled"
    INSECURE = "insecure"
    """Any address in an existing namespace, unseen."""
    VERIFIED = "verified"
    """Only addresses of pods that the directory knows in that namespace."""


@dataclass(frozen=True, slots=True)
class Options:
    """Settings of one resolver."""

    pods: PodMode = PodMode.VERIFIED
    ttl: int = 5
    """Seconds; 0 makes every change visible to the next look-up."""
    negative_ttl: int = 5
    """Seconds that a name's absence may be remembered: the SOA's TTL and minimum."""
    owned: tuple[str, ...] = ("cluster.local",)
    """Apexes owned even before the directory has come."""
    short_names: bool = True
    """Answer `<svc>.<ns>` as well, for hosts that route `~<ns>` here."""
