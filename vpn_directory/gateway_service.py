"""The gateway's own name in the directory: what the client's probe resolves and calls.

Owns the names and the control port, on which client and gateway must agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from vpn_directory.model import Namespace, Port, Service, ServiceKind

NAMESPACE: Final = "kvpn-system"
NAME: Final = "kvpn-gateway"
CONTROL_PORT: Final = 4780


def gateway_service(apex: str, addresses: Sequence[str]) -> tuple[Namespace, Service]:
    """The namespace and the service, presented at the gateway's tunnel `addresses` in the zone `apex`."""
    service = Service(apex, NAMESPACE, NAME, ServiceKind.CLUSTER_IP, tuple(addresses), tuple(addresses),
                      ports=(Port("control", "TCP", CONTROL_PORT, "http"),))
    return Namespace(NAMESPACE), service
