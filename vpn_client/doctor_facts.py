"""I/O: gathers what the doctor looks at: files, devices, routes, resolvers, one probe. Changes nothing.

Owns observation; an observation that fails is a fact too (`error: …`). Leaves to others: judging (`doctor_checks`).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final

from vpn_client.doctor_checks import Facts, SessionFacts
from vpn_client.exit_codes import Failure
from vpn_client.host_firewall import FAMILY, table_name
from vpn_client.host_observe import LINUX, observe_resolver, read_text
from vpn_client.host_tools import answer, find
from vpn_client.http_client import HttpError, Target, get
from vpn_client.journal_file import has_living_owner
from vpn_client.leftovers import journals
from vpn_client.probe import ProbeFailed, ProbePlan, lookup, probe
from vpn_client.profile import invoking_user, load_profile
from vpn_client.resolv_conf import parse
from vpn_client.resolver_setup import choose
from vpn_directory.gateway_service import CONTROL_PORT, NAME, NAMESPACE
from vpn_directory.version import VERSION
from vpn_tunnel.backend import chosen
from vpn_tunnel.errors import TunnelError
from vpn_tunnel.host_commands import CommandError, ip_json

TUN: Final = "/dev/net/tun"
CAP_NET_ADMIN: Final = 12
"""Bit of a capability mask (capabilities(7))."""
SYSCTL: Final = Path("/proc/sys/net/ipv4/conf")


def gather(state_dir: Path, status: Mapping[str, Any] | None, *, profile: Path | None = None) -> Facts:
    """Everything there is to see. `status` is the daemon's, None without one."""
    seen = observe_resolver()
    mode, why = choose(seen)
    sessions = tuple(session_facts(each) for each in (status or {}).get("sessions", ()) if each.get("host"))
    said, handshake = profile_facts(profile)
    return Facts(root=has_net_admin() or status is not None, tun_error=tun_error(),
                 missing_programs=tuple(name for name in ("ip", "nft") if find(name) is None),
                 daemon=(status or {}).get("daemon"), client_version=VERSION,
                 leftovers=tuple(path.name for path in journals(state_dir) if not owned(path)),
                 dns_mode=str(mode), dns_why=why, dns_splits=mode.splits, nsswitch_hosts=seen.nsswitch_hosts,
                 unix_time=time.time_ns() / 1e9, backend=backend_name(),
                 interfaces=tuple(str(each.status["host"]["interface"]) for each in sessions),
                 profile=said, handshake=handshake, sessions=sessions)


def tun_error(path: str = TUN) -> str:
    """Why the device cannot be opened; empty when it can."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return error.strerror or str(error)
    return ""


def has_net_admin() -> bool:
    """Whether CAP_NET_ADMIN is effective in this process."""
    for line in (read_text(Path("/proc/self/status")) or "").splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> CAP_NET_ADMIN & 1)
    return False


def owned(path: Path) -> bool:
    """Whether a living daemon holds the journal; one that we may not open is taken for held."""
    try:
        return has_living_owner(path)
    except OSError as error:
        return error.errno in (errno.EACCES, errno.EPERM)


def backend_name() -> str:
    """The data path that a session here would use."""
    try:
        return chosen()
    except TunnelError as error:
        return f"error: {error}"


def profile_facts(profile: Path | None) -> tuple[str, str]:
    """(what the profile says, what a handshake with its gateway says); empty without a profile."""
    if profile is None:
        return "", ""
    try:
        intent = load_profile(profile, "doctor", user=invoking_user(os.environ))
    except Failure as failure:
        return f"error: {failure.why}; {failure.fix}", ""
    from vpn_client.handshake_probe import handshake

    return f"{profile} is valid", handshake(intent)


def session_facts(status: Mapping[str, Any]) -> SessionFacts:
    """What can be seen of one session from outside it."""
    host = status["host"]
    endpoint = str((status.get("tunnel") or {}).get("endpoint") or "")
    device, path_mtu = route_to(endpoint)
    own, system, http, skew = asyncio.run(_ask(status))
    return SessionFacts(status, interface_up=is_up(host["interface"]), firewall=has_table(status["session"]),
                        resolver_in_use=resolver_in_use(status), own_answer=own, host_answer=system, http=http,
                        clock_skew=skew, rp_filter=rp_filter(host["interface"]), endpoint_device=device,
                        path_mtu=path_mtu)


def is_up(interface: str) -> bool:
    """Whether the link is there and up; a TUN's operational state is `unknown` when it works."""
    try:
        found = ip_json("link", "show", "dev", interface)
    except CommandError:
        return False
    return bool(found) and "UP" in found[0].get("flags", ())


def has_table(session: str) -> bool | None:
    """Whether our nftables table is loaded; None without the right to look."""
    if not has_net_admin():
        return None
    return answer(["nft", "list", "table", FAMILY, table_name(session)]) is not None


def resolver_in_use(status: Mapping[str, Any]) -> bool | None:
    """Whether resolv.conf leads to us; None where it does not have to."""
    dns = status.get("dns")
    if not dns or not str(dns["mode"]).startswith("resolv.conf"):
        return None
    ours = str(dns["server"]).rpartition(":")[0].strip("[]")
    return ours in parse(read_text(LINUX.resolv_conf) or "").nameservers


def rp_filter(interface: str, folder: Path = SYSCTL) -> int:
    """The effective value: the larger of the interface's and `all` (ip-sysctl)."""
    texts = (read_text(folder / name / "rp_filter") for name in ("all", interface))
    return max((int(text) for text in texts if text and text.strip().isdecimal()), default=0)


def route_to(endpoint: str) -> tuple[str, int | None]:
    """(interface that leads to the endpoint, bytes that it carries)."""
    if not endpoint:
        return "error: no endpoint has answered yet", None
    host = endpoint.rpartition(":")[0].strip("[]")
    try:
        route = ip_json("route", "get", host)[0]
        link = ip_json("link", "show", "dev", route["dev"])[0]
    except (CommandError, LookupError) as error:
        return f"error: {error}", None
    mtus = [route.get("metrics", [{}])[0].get("mtu"), link.get("mtu")]
    return str(route["dev"]), min((int(each) for each in mtus if each), default=None)


async def _ask(status: Mapping[str, Any]) -> tuple[str, str, str, float | None]:
    """(our resolver's answer, the host resolver's, HTTP by name, clock skew) for the gateway's own name."""
    name = f"{NAME}.{NAMESPACE}.svc.{(status.get('suffixes') or ['cluster.local'])[0]}"
    dns = status.get("dns")
    if not dns:
        return "error: not set up yet", "error: not set up yet", "error: not set up yet", None
    server, _, port = str(dns["server"]).rpartition(":")
    source, interface = str(status["host"]["addresses"][0]), str(status["host"]["interface"])
    resolver = (server.strip("[]"), int(port))
    try:
        own = await lookup(name, ":" in source, resolver, os.getpid() & 0xFFFF)
    except ProbeFailed as error:
        own = f"error: {error}"
    try:
        http = await probe(ProbePlan(name, CONTROL_PORT, resolver, interface, source), lambda: os.getpid() & 0xFFFF)
    except ProbeFailed as error:
        http = f"error: {error}"
    return own, await asyncio.to_thread(by_host_resolver, name, ":" in source), http, await _skew(status)


def by_host_resolver(name: str, ipv6: bool) -> str:
    """What programs on this host get."""
    family = socket.AF_INET6 if ipv6 else socket.AF_INET
    try:
        return str(socket.getaddrinfo(name, None, family, socket.SOCK_STREAM)[0][4][0])
    except OSError as error:
        return f"error: {error.strerror or error}"


async def _skew(status: Mapping[str, Any]) -> float | None:
    """Seconds between the gateway's Date header and our clock."""
    gateway = (status.get("gateway") or {}).get("address")
    if not gateway:
        return None
    target = Target(str(gateway), CONTROL_PORT, str(status["host"]["interface"]), str(status["host"]["addresses"][0]))
    with contextlib.suppress(HttpError, ValueError, TypeError):
        async with get(target, "/healthz", timeout=2.0) as response:
            return parsedate_to_datetime(response.headers["date"]).timestamp() - time.time_ns() / 1e9
    return None
