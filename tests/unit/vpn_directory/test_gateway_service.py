"""The gateway's own name."""

from vpn_directory.gateway_service import CONTROL_PORT, gateway_service


def test_it_is_a_service_like_any_other() -> None:
    namespace, service = gateway_service("cluster.local", ["198.18.0.1", "fd00::1"])
    assert service.key == ("service", "cluster.local", "kvpn-system", "kvpn-gateway")
    assert service.namespace == namespace.name
    assert service.presented == ("198.18.0.1", "fd00::1")
    assert [(port.protocol, port.port) for port in service.ports] == [("TCP", CONTROL_PORT)]
