"""I/O: tells the service manager that the daemon is ready and alive (sd_notify(3)), without a library."""

from __future__ import annotations

import os
import socket


def notify(words: str) -> bool:
    """Send `READY=1`, `WATCHDOG=1`, …; False when no service manager asked for it."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path.startswith(("/", "@")):
        return False
    address = "\0" + path[1:] if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        try:
            sender.sendto(words.encode(), address)
        except OSError:
            return False
    return True


def watchdog_interval() -> float | None:
    """Seconds between signs of life: half of what the service manager waits; None when it does not watch."""
    text = os.environ.get("WATCHDOG_USEC", "")
    return int(text) / 2_000_000 if text.isdecimal() and int(text) > 0 else None
