"""Flags that cannot be used are named with the fix."""

from __future__ import annotations

import pytest

from tests.unit.vpn_gateway.objects import CONFIG
from vpn_gateway.config import BadConfig, pool, prefix, require_policy


def test_default_deny() -> None:
    require_policy(True)
    with pytest.raises(BadConfig, match="--open"):
        require_policy(False)


@pytest.mark.parametrize(("text", "version"), [("10.0.0.0/30", 4), ("10.0.0.1/24", 4), ("fd00::/64", 4), ("x", 6)])
def test_pools(text: str, version: int) -> None:
    with pytest.raises(BadConfig, match="--pool"):
        pool(text, "--pool", version)


def test_the_gateway_owns_the_first_addresses() -> None:
    assert CONFIG.addresses == ("198.18.0.1", "fd6b:7670:6e00::1")
    assert str(prefix("10.96.0.0/12", "--service-cidr")) == "10.96.0.0/12"
