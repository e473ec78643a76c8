"""I/O: one session's changes to a Linux host: link, addresses, routes, firewall, resolver; made and undone.

Owns the order of the steps, and that each is in the journal before it is made. Leaves to others: every decision
(`bounds`, `routes`, `resolver_setup`, `host_firewall`), the kernel's side of each step (`linux_*`).

Blocking (it runs `ip`, `nft`, `resolvectl`): call it off the event loop, from one thread at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vpn_client.host_plan import HostPlan, Network, Note
from vpn_client.routes import RouteDecision


class HostError(Exception):
    """A step on the host failed: what, why and the fix, as phrases."""

    def __init__(self, what: str, why: str, fix: str) -> None:
        super().__init__(f"{what}: {why}; fix: {fix}")
        self.what = what
        self.why = why
        self.fix = fix


class LinuxHost:
    """The host as one session sees it.

    Life: `will_open(name)`; open the TUN; `apply(plan)` with `resolver=None`; bind the DNS server; `update(plan)` with
    the resolver; `update(plan)` on every change of the directory; `refresh(now)` about once a second; `undo()`.
    After an exception call `undo()`.
    """

    def __init__(self, journal_path: Path, session: str = "default", *, widened: Sequence[Network] = ()) -> None:
        """`journal_path`: normally `<state_dir>/journal-<session>.json`. `widened`: from root's configuration file."""
        raise NotImplementedError

    @property
    def upstreams(self) -> tuple[str, ...]:
        """The resolvers that the host had before us: where foreign names are forwarded to. Never our own address."""
        raise NotImplementedError

    @property
    def takes_all_queries(self) -> bool:
        """Whether the host's resolver cannot split, so that every query comes to us and must be forwarded."""
        raise NotImplementedError

    @property
    def routes(self) -> RouteDecision:
        """What is installed now, and what was not and why."""
        raise NotImplementedError

    def will_open(self, interface: str) -> None:
        """Journal the device before the worker opens it; HostError when the host has one of that name."""
        raise NotImplementedError

    def apply(self, plan: HostPlan) -> list[Note]:
        """Make the host as planned; what is refused or collides is a note, never an exception. HostError otherwise."""
        raise NotImplementedError

    def update(self, plan: HostPlan) -> list[Note]:
        """Change only what differs from the plan in force."""
        raise NotImplementedError

    def refresh(self, now: float) -> list[Note]:
        """Look whether someone else changed the host's resolver or routes, and re-apply within limits. Monotonic s."""
        raise NotImplementedError

    def undo(self) -> list[Note]:
        """Undo everything in the journal, newest first, then remove it. Never raises; FAIL notes say what is left."""
        raise NotImplementedError

    @staticmethod
    def undo_leftovers(state_dir: Path) -> list[Note]:
        """Undo every journal in `state_dir` whose owner is dead; nothing to do is an empty list."""
        raise NotImplementedError
