"""I/O: one session's changes to a Linux host: link, addresses, routes, firewall, resolver; made and undone.

Owns the order of the steps, and that each is in the journal before it is made. Leaves to others: every decision
(`bounds`, `routes`, `resolver_setup`, `host_firewall`), the kernel's side of each step (`linux_*`).

Blocking (it runs `ip`, `nft`, `resolvectl`): call it off the event loop, from one thread at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from vpn_client import linux_firewall, linux_link, linux_routes
from vpn_client.bounds import Refusal, check_routes, check_suffixes
from vpn_client.host_firewall import table_name
from vpn_client.host_observe import LINUX, HostRoutes, Paths, link_index, observe_routes, observe_upstreams, outside
from vpn_client.host_plan import HostPlan, Network, Note, ResolverPlan
from vpn_client.journal import AddressAdded, Device, Entry, Firewall, Link, Routes
from vpn_client.journal_file import JournalBusy, JournalFile
from vpn_client.linux_resolver import HostResolver
from vpn_client.linux_undo import undo_journal, undo_ownerless
from vpn_client.output import Level
from vpn_client.routes import RouteDecision, decide, host_route
from vpn_tunnel.host_commands import CommandError, run_ip

ROUTE_INTERVAL: Final = 5.0
"""Seconds between looks at the host's other routes: a new network may collide, or a collision may be over."""


class HostError(CommandError):
    """A step on the host failed: what, why and the fix, as phrases."""


class LinuxHost:
    """The host as one session sees it.

    Life: `will_open(name)`; open the TUN; `apply(plan)` with `resolver=None`; bind the DNS server; `update(plan)` with
    the resolver; `update(plan)` on every change of the directory; `refresh(now)` about once a second; `undo()`.
    After an exception call `undo()`.
    """

    def __init__(self, journal_path: Path, session: str = "default", *, widened: Sequence[Network] = (),
                 paths: Paths = LINUX, recorded: Callable[[Entry], None] | None = None) -> None:
        """`journal_path`: normally `journal_file.journal_path(state_dir, session)`. Touches nothing yet.

        `widened`: from root's configuration file. `recorded` is called after each journal entry, before its change.
        """
        self._path = journal_path
        self._session = session
        self._widened = tuple(widened)
        self._paths = paths
        self._recorded = recorded
        self._journal: JournalFile | None = None
        self._plan: HostPlan | None = None
        self._resolver: HostResolver | None = None
        self._upstreams: tuple[str, ...] = ()
        self._seen: HostRoutes | None = None
        self._next_look = 0.0
        self._decision = RouteDecision(())
        self._said: list[Note] = []

    @property
    def upstreams(self) -> tuple[str, ...]:
        """The resolvers that the host had before us: where foreign names are forwarded to. Never our own address.

        Known after `apply`; may change with `refresh`, when the host has moved to another network.
        """
        return self._resolver.upstreams if self._resolver is not None else self._upstreams

    @property
    def takes_all_queries(self) -> bool:
        """Whether the host's resolver cannot split, so that every query comes to us and must be forwarded."""
        return self._resolver is not None and not self._resolver.mode.splits

    @property
    def resolver_mode(self) -> str:
        """What resolves names on this host, once a plan with a resolver is in force; empty before."""
        return str(self._resolver.mode) if self._resolver is not None else ""

    @property
    def routes(self) -> RouteDecision:
        """What is installed now, and what was not and why."""
        return self._decision

    @property
    def plan(self) -> HostPlan | None:
        """The plan in force."""
        return self._plan

    def will_open(self, interface: str) -> None:
        """Journal the device before the worker opens it; HostError when the host has one of that name."""
        if link_index(interface) is not None:
            raise HostError(interface, "an interface of this name is there already",
                            "end the program that made it, or remove it: ip link del " + interface)
        with _host_errors("journal"):
            self._record(Device(interface))

    def apply(self, plan: HostPlan) -> list[Note]:
        """Make the host as planned; what is refused or collides is a note, never an exception. HostError otherwise."""
        return self.update(plan)

    def update(self, plan: HostPlan) -> list[Note]:
        """Change only what differs from the plan in force; a failed step is taken again by the next call."""
        before, notes = self._plan, list[Note]()
        if link_index(plan.interface) is None:
            raise HostError(plan.interface, "no such interface", "open the TUN first")
        if before is None:
            self._upstreams = observe_upstreams(plan.addresses, self._paths)
        plan = self._without_missing_family(plan, notes)
        self._plan = None
        with _host_errors("host"):
            self._make_firewall(before, plan)
            notes += self._make_link(before, plan)
            notes += self._make_routes(before, plan, observe_routes(plan.interface))
            notes += self._make_resolver(before, plan)
        self._plan = plan
        return notes

    def refresh(self, now: float) -> list[Note]:
        """Look whether someone else changed the host's resolver or routes, and re-apply within limits. Monotonic s."""
        if self._plan is None:
            return []
        with _host_errors("host"):
            notes = self._resolver.refresh(now) if self._resolver is not None and self._plan.resolver else []
            if now >= self._next_look:
                self._next_look = now + ROUTE_INTERVAL
                seen = observe_routes(self._plan.interface)
                if seen != self._seen:
                    notes += self._make_routes(None, self._plan, seen)
        return notes

    def undo(self) -> list[Note]:
        """Undo everything in the journal, newest first, then remove it. Never raises; FAIL notes say what is left.

        The TUN is left to the caller, who has it open: closing it removes it.
        """
        journal = self._journal
        if journal is None:
            return []
        notes = undo_journal(journal, device_in_use=True)
        self._plan, self._resolver, self._decision, self._said = None, None, RouteDecision(()), []
        if journal.closed:
            self._journal = None
        return notes

    @staticmethod
    def undo_leftovers(state_dir: Path, paths: Paths = LINUX) -> list[Note]:
        """Undo every journal in `state_dir` whose owner is dead; nothing to do is an empty list."""
        return undo_ownerless(state_dir, paths)

    def _record(self, entry: Entry) -> None:
        if self._journal is None:
            self._journal = JournalFile(self._path, self._session, recorded=self._recorded)
        self._journal.record(entry)

    def _without_missing_family(self, plan: HostPlan, notes: list[Note]) -> HostPlan:
        has_ipv6 = any(":" in address for address in plan.addresses)
        if not has_ipv6 or linux_link.ipv6_enabled(plan.interface):
            return plan
        notes.append(Note("address", "IPv6 is switched off on this host: left out", Level.WARN))
        return replace(plan, addresses=tuple(address for address in plan.addresses if ":" not in address),
                       routes=tuple(route for route in plan.routes if route.version == 4),
                       hosts=tuple(host for host in plan.hosts if host.version == 4))

    def _make_firewall(self, before: HostPlan | None, plan: HostPlan) -> None:
        """Before the link goes up, so that no packet ever finds the host open."""
        if before is None or (before.addresses, before.interface) != (plan.addresses, plan.interface):
            self._record(Firewall(table_name(self._session)))
            linux_firewall.load(self._session, plan.interface, plan.addresses)

    def _make_link(self, before: HostPlan | None, plan: HostPlan) -> list[Note]:
        interface = plan.interface
        if before is not None and (before.addresses, before.mtu) == (plan.addresses, plan.mtu):
            return []
        now = linux_link.read_link(interface)
        wanted = {str(ip_address(address)) for address in plan.addresses}
        gone = [entry.address for entry in self._entries() if isinstance(entry, AddressAdded)]
        if not any(isinstance(entry, Link) and entry.interface == interface for entry in self._entries()):
            self._record(Link(interface, now.mtu, now.up))
        for address in sorted(wanted):
            self._record(AddressAdded(interface, address))
        run_ip(*(linux_link.remove_line(interface, address) for address in gone
                 if address in now.addresses and address not in wanted),
               *linux_link.up_lines(interface, self._session, plan.mtu, sorted(wanted - now.addresses)))
        return [Note("address", f"{', '.join(plan.addresses)} on {interface}, mtu {plan.mtu}")]

    def _entries(self) -> list[Entry]:
        return self._journal.entries if self._journal is not None else []

    def _make_routes(self, before: HostPlan | None, plan: HostPlan, seen: HostRoutes) -> list[Note]:
        if before is not None and seen == self._seen and _routing(before) == _routing(plan):
            return []
        self._seen = seen
        decision, notes = self._decide(plan, seen)
        self._record(Routes(plan.interface))
        refused = linux_routes.change_routes(plan.interface, decision.install)
        if refused:
            named = ", ".join(f"{route} ({why})" for route, why in refused[:5])
            notes.append(Note("routes", f"the kernel refused {len(refused)}: {named}", Level.WARN))
        if (decision, refused, notes) == (self._decision, [], self._said):
            return []
        self._decision, self._said = decision, notes
        return [Note("routes", f"{len(decision.install) - len(refused)} on {plan.interface}"), *notes]

    def _decide(self, plan: HostPlan, seen: HostRoutes) -> tuple[RouteDecision, list[Note]]:
        protected = outside(plan.endpoints, seen.gateways, self.upstreams)
        desired, refused = check_routes(plan.routes, widened=self._widened)
        included, more = check_routes(plan.include, widened=self._widened, outside=[
            each for each in protected if not any(each.address in hole for hole in plan.exclude)])
        hosts, _ = check_routes(map(host_route, plan.hosts), widened=self._widened)
        decision = decide(desired, seen.existing, hosts=[host.network_address for host in hosts], include=included,
                          exclude=plan.exclude, outside=protected)
        # Whatever was decided above, nothing outside the bounds reaches the kernel.
        install, last = check_routes(decision.install, widened=self._widened, outside=protected)
        notes = [_refusal("routes", refusal) for refusal in (*refused, *more, *last)]
        return replace(decision, install=install), [*notes, *decision.notes]

    def _make_resolver(self, before: HostPlan | None, plan: HostPlan) -> list[Note]:
        if plan.resolver is None or (before is not None and before.resolver == plan.resolver):
            return []
        if self._resolver is None:
            self._resolver = HostResolver(self._record, self._path, plan.addresses, self._paths)
        asked, notes = _within_bounds(plan.resolver, plan.suffixes)
        return notes + self._resolver.apply(asked, plan.interface)


def _routing(plan: HostPlan) -> tuple[object, ...]:
    return plan.routes, plan.hosts, plan.include, plan.exclude, plan.endpoints


def _within_bounds(plan: ResolverPlan, approved: Sequence[str]) -> tuple[ResolverPlan, list[Note]]:
    """The plan without what the profile does not approve."""
    routing, refused = check_suffixes(plan.routing_domains, approved)
    search, more = check_suffixes(plan.search, approved)
    notes = [_refusal("dns", refusal) for refusal in dict.fromkeys((*refused, *more))]
    return replace(plan, routing_domains=routing, search=search), notes


def _refusal(step: str, refusal: Refusal) -> Note:
    return Note(step, f"{refusal.what} refused: {refusal.why}; fix: {refusal.fix}", Level.WARN)


@contextmanager
def _host_errors(what: str) -> Iterator[None]:
    try:
        yield
    except HostError:
        raise
    except CommandError as error:
        raise HostError(error.what, error.why, error.fix) from error
    except JournalBusy as error:
        raise HostError("journal", str(error), "kvpn down") from error
    except OSError as error:
        raise HostError(error.filename or what, error.strerror or str(error), "run as root, and see doctor") from error
