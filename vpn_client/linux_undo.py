"""I/O: undoing what a journal lists, newest first.

Owns how each entry is undone on Linux; every way bears that the change never was, or has been undone before. Leaves to
others: the journal (`journal_file`), making the changes (`linux_host`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from vpn_client import linux_firewall, linux_link, linux_routes, resolver_file
from vpn_client.host_observe import LINUX, Paths, link_index
from vpn_client.host_plan import Note
from vpn_client.host_tools import answer, find, run
from vpn_client.journal import (
    AddressAdded,
    Device,
    DropIn,
    Entry,
    Firewall,
    Link,
    Resolvconf,
    ResolvedLink,
    ResolverFile,
    Routes,
    undo_order,
)
from vpn_client.journal_file import JournalFile, ownerless, session_of
from vpn_client.output import Level
from vpn_tunnel.host_commands import CommandError, run_ip

STEP: Final = "restore"
FORCE: Final = "sudo kvpn down --force"


def undo_journal(journal: JournalFile, *, device_in_use: bool = False) -> list[Note]:
    """Undo every entry, then remove the journal; with a FAIL note for what could not be undone, and then it stays.

    `device_in_use`: the caller still has the TUN open and closes it, which removes it.
    """
    failed = []
    for entry in undo_order(journal.entries):
        if device_in_use and isinstance(entry, Device):
            continue
        try:
            undo(entry)
        except (CommandError, OSError) as error:
            failed.append(Note(STEP, f"{_name(entry)}: {error}; fix: {FORCE}", Level.FAIL))
    if failed:
        return failed
    journal.remove()
    return _summary(journal)


def _summary(journal: JournalFile) -> list[Note]:
    notes = []
    if journal.bad_lines:
        text = f"{journal.bad_lines} lines of {journal.path} make no sense and were left out"
        notes.append(Note(STEP, text, Level.WARN))
    if journal.entries:
        names = dict.fromkeys(map(_name, undo_order(journal.entries)))
        notes.append(Note(STEP, f"session {session_of(journal.path)}: {', '.join(names)}"))
    return notes


def undo_ownerless(state_dir: Path, paths: Paths = LINUX) -> list[Note]:
    """Undo every journal in `state_dir` whose owner is dead, and a resolv.conf of ours that no journal knows of."""
    notes = []
    for journal in ownerless(state_dir):
        notes += undo_journal(journal)
        journal.close()
    try:
        if resolver_file.restore_orphan(paths.resolv_conf):
            notes.append(Note(STEP, f"{paths.resolv_conf}, from its own comments"))
    except OSError as error:
        notes.append(Note(STEP, f"{paths.resolv_conf}: {error}; fix: {FORCE}", Level.FAIL))
    return notes


def undo(entry: Entry) -> None:
    """Undo one change; CommandError or OSError if the host refuses."""
    match entry:
        case Firewall(table):
            linux_firewall.remove(table)
        case Resolvconf(record):
            if find("resolvconf"):
                run(["resolvconf", "-d", record, *_force()])
        case DropIn(path):
            _remove_drop_in(Path(path))
        case ResolverFile():
            resolver_file.restore(entry)
        case _:
            if link_index(entry.interface) is not None:
                _undo_on_link(entry)


def _undo_on_link(entry: Device | Link | AddressAdded | Routes | ResolvedLink) -> None:
    """What is on a link dies with it; these are for a link that is still there."""
    match entry:
        case Device(interface):
            if linux_link.read_link(interface).alias.startswith(linux_link.ALIAS):
                run_ip(f"link del dev {interface}")
        case Link(interface, mtu, up):
            run_ip(*linux_link.restore_lines(interface, mtu, up))
        case AddressAdded(interface, address):
            if address in linux_link.read_link(interface).addresses:
                run_ip(linux_link.remove_line(interface, address))
        case Routes(interface):
            linux_routes.flush_routes(interface)
        case ResolvedLink(interface):
            # A systemd-resolved that does not answer forgets the link when it goes.
            answer(["resolvectl", "revert", interface])


def _force() -> list[str]:
    """openresolv's `-f`: fine without the record. Debian's knows no such flag and does not mind."""
    text = Path(find("resolvconf") or "/dev/null").read_bytes()
    return ["-f"] if b"openresolv" in text else []


def _remove_drop_in(path: Path) -> None:
    if path.exists():
        path.unlink()
        answer(["nmcli", "general", "reload", "dns-full"])


def _name(entry: Entry) -> str:
    names: dict[type[Entry], str] = {
        Device: "device", Link: "link", AddressAdded: "address", Routes: "routes", Firewall: "firewall",
        ResolvedLink: "systemd-resolved", Resolvconf: "resolvconf", DropIn: "NetworkManager",
        ResolverFile: "resolv.conf"}
    return names[type(entry)]
