"""A bounded share of `scripts/bench fuzz`: mutated datagrams into a live device."""

from __future__ import annotations

import pytest

from tests.bench import fuzz_tunnel


@pytest.mark.slow
def test_twenty_thousand_mutated_datagrams(capsys: pytest.CaptureFixture[str]) -> None:
    assert fuzz_tunnel.main(["--count", "20000"]) == 0
    assert "holds  the tunnel works" in capsys.readouterr().out
