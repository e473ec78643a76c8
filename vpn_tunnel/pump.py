"""The seam between a device and the descriptors that feed it: what client and gateway start and stop.

`Tunnel` in `asyncio_driver` is Python's. A native core's threads implement the same protocol.
"""

from __future__ import annotations

from typing import Protocol


class Pump(Protocol):
    """Moves packets between a TUN descriptor and UDP sockets that were handed in; opens and closes neither."""

    def start(self) -> None:
        """Begin; inside a running event loop."""

    def stop(self) -> None:
        """End; descriptors stay open."""

    def flush(self) -> None:
        """The device was configured or told something: act on what it wants to send, write and wait for."""
