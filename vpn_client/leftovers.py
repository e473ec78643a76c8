"""I/O: what a killed daemon left on this host: journals in the state directory, and undoing them.

Owns finding them without a daemon. Leaves to others: undoing each (`linux_host`).
"""

from __future__ import annotations

from pathlib import Path

from vpn_client.output import Level


def journals(state_dir: Path) -> list[Path]:
    """Journals there, whoever owns them."""
    return sorted(state_dir.glob("journal-*.json"))


def undo_all(state_dir: Path) -> list[tuple[str, Level, str]]:
    """(step, level, text) for everything that was undone; journals of living daemons are left alone."""
    from vpn_client.linux_host import LinuxHost

    lines = [(note.step, note.level, note.text) for note in LinuxHost.undo_leftovers(state_dir)]
    lines += [("journal", Level.FAIL, f"{path} is still there: its daemon lives, or a step failed")
              for path in journals(state_dir)]
    return lines
