"""What a running session shows of itself: the lines of `up` and its part of the status, from values.

Owns which facts are shown. Leaves to others: their text (`status`), when they are taken (`worker`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from vpn_client.gateway_session import GatewaySession
from vpn_client.host_plan import HostPlan, Note
from vpn_client.intent import Intent
from vpn_client.output import Level
from vpn_client.parts import Directory, Names, Tunnel
from vpn_client.session import Session
from vpn_client.status import rates
from vpn_directory.model import Service

Lines: TypeAlias = list[tuple[str, Level, str]]
"""(step, level, evidence)."""


def transport_line(tunnel: Tunnel, took: float) -> tuple[str, Level, str]:
    """`udp 192.0.2.1:51820 · handshake 19 ms · python data path`."""
    words = f"udp {tunnel.status().endpoint} · handshake {took * 1000:.0f} ms · {tunnel.backend} data path"
    return ("transport", Level.OK, words)


def directory_line(directory: Directory) -> tuple[str, Level, str]:
    """`412 services (1873 endpoints), revision 12`."""
    services = [item for item in directory.items if isinstance(item, Service)]
    endpoints = sum(len(group.endpoints) for service in services for group in service.groups)
    return ("directory", Level.OK, f"{len(services)} services ({endpoints} endpoints), revision {directory.revision}")


def facts_of(intent: Intent, session: Session, now: float, *, tunnel: Tunnel | None, names: Names | None,
             plan: HostPlan | None, directory: Directory | None, gateway: GatewaySession | None,
             resolver: tuple[str, int, str], notes: Sequence[Note], before: Mapping[str, Any] | None,
             unix_ns: int) -> dict[str, Any]:
    """One session's object in the status document. Holds no key."""
    connected = session.connected_at
    return {
        "session": intent.session, "profile": intent.profile, "state": session.state(now).value,
        "reasons": session.reasons(now), "phase": session.phase.value if session.phase else None,
        "up_for": None if connected is None else now - connected, "reconnects": session.reconnects,
        "suspends": session.suspends, "suffixes": list(intent.suffixes),
        "tunnel": tunnel and tunnel_facts(tunnel, now, before, unix_ns),
        "drops": dict(tunnel.drops()) if tunnel else {},
        "host": plan and {"interface": plan.interface, "mtu": plan.mtu, "addresses": list(plan.addresses),
                          "routes": [str(route) for route in plan.routes]},
        "dns": dns_facts(names, plan, resolver),
        "directory": directory and directory_facts(directory, session, now),
        "gateway": gateway and {"version": gateway.version, "epoch": gateway.epoch, "peer": gateway.peer,
                                "policy": gateway.policy, "address": intent.gateway_address},
        "probe": session.probe and {"ok": session.probe.ok, "age": now - session.probe.at,
                                    "evidence": session.probe.evidence},
        "notes": [{"name": note.step, "level": note.level.value, "text": note.text} for note in notes],
    }


def tunnel_facts(tunnel: Tunnel, now: float, before: Mapping[str, Any] | None, unix_ns: int) -> dict[str, Any]:
    """Path, handshake, traffic."""
    seen = tunnel.status()
    age = max(0, unix_ns - seen.last_handshake_ns) / 1e9 if seen.last_handshake_ns else None
    facts = {"endpoint": seen.endpoint, "last_handshake_age": age, "rx_bytes": seen.rx_bytes,
             "tx_bytes": seen.tx_bytes, "backend": tunnel.backend, "at": now}
    return {**facts, **rates(before, facts)}


def dns_facts(names: Names | None, plan: HostPlan | None, resolver: tuple[str, int, str]) -> dict[str, Any] | None:
    """Where our resolver is and how it is used; None before the host points to it."""
    if names is None or plan is None or plan.resolver is None:
        return None
    counters = names.counters()
    host = f"[{resolver[0]}]" if ":" in resolver[0] else resolver[0]
    return {"server": f"{host}:{resolver[1]}", "suffixes": list(plan.resolver.routing_domains),
            "mode": resolver[2], "queries": counters.get("queries"), "counters": dict(counters)}


def directory_facts(directory: Directory, session: Session, now: float) -> dict[str, Any]:
    """Revision, size, freshness."""
    heard = directory.heard_at
    return {"state": session.directory.value, "epoch": directory.epoch, "rev": directory.revision,
            "services": sum(isinstance(item, Service) for item in directory.items),
            "age": None if heard is None else now - heard}
