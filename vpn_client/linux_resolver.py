"""I/O: pointing this host's resolver at ours, by whatever resolves names here, and keeping it so within limits.

Owns the commands of each way. Leaves to others: which way and which domains (`resolver_setup`), the file
(`resolver_file`), undoing (`linux_undo`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from vpn_client import resolver_file
from vpn_client.host_observe import (
    LINUX,
    Paths,
    link_index,
    observe_resolver,
    observe_upstreams,
    read_text,
    taken_domains,
)
from vpn_client.host_plan import Note, ResolverPlan
from vpn_client.host_tools import answer, run, run_all
from vpn_client.journal import DropIn, Entry, Resolvconf, ResolvedLink
from vpn_client.output import Level
from vpn_client.resolv_conf import parse, upstreams
from vpn_client.resolver_setup import DomainChoice, Mode, ReapplyLimit, choose, choose_domains
from vpn_tunnel.host_commands import CommandError

STEP: Final = "dns"


class HostResolver:
    """The host's resolver as one session sees it."""

    def __init__(self, record: Callable[[Entry], None], journal: Path, own: Sequence[str],
                 paths: Paths = LINUX) -> None:
        """Observe, and change nothing. `record` journals; `own`: our addresses, which are never an upstream."""
        self._record = record
        self._journal = journal
        self._own = tuple(own)
        self._paths = paths
        self._limit = ReapplyLimit()
        self._in_force: tuple[ResolverPlan, str] | None = None
        self._left: object = None
        self.mode, self.why = choose(observe_resolver(paths))
        self.upstreams = observe_upstreams(self._own, paths)

    def apply(self, plan: ResolverPlan, interface: str) -> list[Note]:
        """Make the host ask us; CommandError or OSError if it refuses."""
        choice = choose_domains(plan, taken_domains(interface) if self.mode is Mode.RESOLVED else ())
        self._in_force = (plan, interface)
        notes = self._set(plan, interface, choice)
        self._left = self._look()
        if choice.left_out and self.mode.splits:
            named = ", ".join(f"{name} ({why})" for name, why in choice.left_out)
            notes.append(Note(STEP, f"not asked of us as <service>.<namespace>: {named}", Level.WARN))
        return notes

    def _set(self, plan: ResolverPlan, interface: str, choice: DomainChoice) -> list[Note]:
        if plan.port != 53 and self.mode is not Mode.RESOLVED and self.mode is not Mode.NETWORK_MANAGER:
            raise CommandError("resolver", f"{self.mode} cannot name port {plan.port}", "free port 53 on our address")
        if self.mode is Mode.RESOLVED:
            return self._set_resolved(plan, interface, choice)
        if self.mode is Mode.NETWORK_MANAGER:
            return self._set_dnsmasq(plan, choice)
        if self.mode is Mode.FILE:
            self._set_file(plan, choice)
        else:
            self._set_resolvconf(plan, interface, choice)
        others = ", ".join(self.upstreams) or "nobody, for no other resolver is known"
        return [Note(STEP, f"{self.why}, which cannot split: all queries pass through {plan.server}, "
                           f"other names go on to {others}", Level.WARN)]

    def _set_resolved(self, plan: ResolverPlan, interface: str, choice: DomainChoice) -> list[Note]:
        """Domains and default-route before the server, or queries leak in between."""
        self._record(ResolvedLink(interface))
        domains = [*choice.search, *("~" + domain for domain in choice.routing)]
        switched_off = ("default-route", "llmnr", "mdns", "dnssec", "dnsovertls")
        run_all([["resolvectl", "domain", interface, *(domains or [""])],
                 *(["resolvectl", setting, interface, "no"] for setting in switched_off)])
        server = plan.server if plan.port == 53 else _with_port(plan.server, plan.port)
        run(["resolvectl", "dns", interface, server])
        answer(["resolvectl", "flush-caches"])
        return [Note(STEP, f"split: {_domains(choice)} → {server} on {interface} (systemd-resolved)")]

    def _set_dnsmasq(self, plan: ResolverPlan, choice: DomainChoice) -> list[Note]:
        path = self._paths.dnsmasq / f"{self._journal.stem.replace('journal', 'kvpn', 1)}.conf"
        self._record(DropIn(str(path)))
        path.write_text("".join(f"server=/{domain}/{plan.server}#{plan.port}\n" for domain in choice.routing))
        path.chmod(0o644)
        run(["nmcli", "general", "reload", "dns-full"])
        return [Note(STEP, f"split: {_domains(choice)} → {plan.server} ({self.why})")]

    def _set_resolvconf(self, plan: ResolverPlan, interface: str, choice: DomainChoice) -> None:
        # Debian's orders records by name and takes tun* early; openresolv has flags for it.
        exclusive = self.mode is Mode.OPENRESOLV
        record = interface if exclusive else f"tun.{interface}"
        self._record(Resolvconf(record))
        search = f"search {' '.join(choice.search)}\n" if choice.search else ""
        run(["resolvconf", "-a", record, *(["-m", "0", "-x"] if exclusive else [])],
            f"nameserver {plan.server}\n{search}")
        first = parse(read_text(self._paths.resolv_conf) or "").nameservers[:1]
        if first != (plan.server,):
            raise CommandError("resolvconf", f"it put {' '.join(first) or 'nothing'} before our server",
                               "see interface-order of resolvconf, or its name_servers setting")

    def _set_file(self, plan: ResolverPlan, choice: DomainChoice) -> None:
        path = self._paths.resolv_conf
        if resolver_file.belongs_to_another(path, self._journal):
            raise CommandError(str(path), "another session has it, and a plain resolv.conf serves one",
                               "kvpn down the other session first")
        entry = resolver_file.plan_file(path, server=plan.server, search=choice.search, journal=self._journal,
                                        paths=self._paths)
        self._record(entry)
        resolver_file.write(entry)

    def refresh(self, now: float) -> list[Note]:
        """Take the resolver back if someone else has changed it, unless we did so too often. Monotonic seconds."""
        if self._in_force is None or self._limit.stopped or self._look() == self._left:
            return []
        if self._still_ours():
            self._left = self._look()
            return []
        if not self._limit.allow(now):
            return [Note(STEP, f"something keeps changing the resolver ({self.why}); we let it. "
                               "fix: find it, then kvpn down and up", Level.FAIL)]
        if self.mode is Mode.FILE:
            self.upstreams = upstreams(read_text(self._paths.resolv_conf) or "", self._own) or self.upstreams
        self.apply(*self._in_force)
        return [Note(STEP, f"someone else had changed the resolver ({self.why}); set again", Level.WARN)]

    def _look(self) -> object:
        """Something cheap that differs once anyone has touched what we set."""
        plan_and_link = self._in_force
        path = self._watched(plan_and_link[1] if plan_and_link else "")
        try:
            status = path.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size

    def _watched(self, interface: str) -> Path:
        if self.mode is Mode.RESOLVED:
            return self._paths.resolved / "netif" / str(link_index(interface))
        if self.mode is Mode.NETWORK_MANAGER:
            return self._paths.dnsmasq
        return self._paths.resolv_conf

    def _still_ours(self) -> bool:
        """A look at the content, after something has changed."""
        assert self._in_force is not None
        plan, interface = self._in_force
        text = read_text(self._watched(interface)) or ""
        if self.mode is Mode.RESOLVED:
            return any(line.startswith("SERVERS=") and plan.server in line for line in text.splitlines())
        if self.mode is Mode.NETWORK_MANAGER:
            return any(path.name.startswith("kvpn-") for path in self._paths.dnsmasq.glob("*.conf"))
        return parse(text).nameservers[:1] == (plan.server,)


def _domains(choice: DomainChoice) -> str:
    shown = list(choice.routing)
    return ", ".join(shown[:6]) + (f" and {len(shown) - 6} more" if len(shown) > 6 else "")


def _with_port(server: str, port: int) -> str:
    return f"[{server}]:{port}" if ":" in server else f"{server}:{port}"
