"""Which implementation moves packets: the only module that knows more than one. Owns the rule for `KVPN_BACKEND`."""

from __future__ import annotations

import os
from typing import Final

from vpn_tunnel.constants import DEFAULT_MTU
from vpn_tunnel.data_path import DataPath, JitterSource
from vpn_tunnel.errors import LocalProtocolError
from vpn_tunnel.python_data_path import PythonDataPath

VARIABLE: Final = "KVPN_BACKEND"
AVAILABLE: Final = ("python",)


def chosen() -> str:
    """The backend in use. Raises `LocalProtocolError` when the environment asks for one that is not installed."""
    wanted = os.environ.get(VARIABLE) or AVAILABLE[0]
    if wanted not in AVAILABLE:
        raise LocalProtocolError(f"{VARIABLE}={wanted}: this installation has only {', '.join(AVAILABLE)}; "
                                 f"unset {VARIABLE} to use what is there")
    return wanted


def make_data_path(jitter: JitterSource, mtu: int = DEFAULT_MTU) -> DataPath:
    """A data path of the chosen backend."""
    chosen()
    return PythonDataPath(jitter, mtu)
