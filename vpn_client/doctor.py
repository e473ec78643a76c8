"""I/O: `kvpn doctor`: gather the facts, here or in the daemon that may see more, and run every check.

Owns where the examination runs. Leaves to others: facts (`doctor_facts`), verdicts (`doctor_checks`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from vpn_client.control_client import NotRunning, call
from vpn_client.control_protocol import Method
from vpn_client.doctor_checks import Finding, examine_facts
from vpn_client.doctor_facts import gather
from vpn_client.output import Level

PATIENCE: Final = 30.0
"""Seconds for the daemon's own examination."""


def run(state_dir: Path, profile: Path | None) -> list[Finding]:
    """Findings; works with no daemon, no root and no network."""
    try:
        answer = call(state_dir, Method.DOCTOR, timeout=PATIENCE)
    except NotRunning:
        return examine_facts(gather(state_dir, None, profile=profile))
    return [finding_of(raw) for raw in answer["checks"]]


def examine(state_dir: Path, status: Mapping[str, Any]) -> list[Finding]:
    """Findings as the daemon sees them; blocks."""
    return examine_facts(gather(state_dir, status))


def finding_of(raw: Mapping[str, Any]) -> Finding:
    """A finding as it crossed the socket."""
    return Finding(str(raw["name"]), Level(raw["level"]), str(raw["evidence"]), str(raw.get("fix", "")))


def worst(findings: Sequence[Finding]) -> Level:
    """The most severe level among them."""
    order = (Level.OK, Level.WARN, Level.FAIL)
    return max((finding.level for finding in findings), key=order.index, default=Level.OK)
