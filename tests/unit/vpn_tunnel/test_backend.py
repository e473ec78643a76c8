"""KVPN_BACKEND forces one; one that is missing is an error."""

from __future__ import annotations

import pytest

from vpn_tunnel import backend
from vpn_tunnel.errors import LocalProtocolError


def test_python_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("", "python"):
        monkeypatch.setenv(backend.VARIABLE, value)
        assert backend.chosen() == "python"


def test_a_missing_backend_is_an_error_not_a_fallback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(backend.VARIABLE, "rust")
    with pytest.raises(LocalProtocolError, match="unset KVPN_BACKEND"):
        backend.make_data_path(lambda: 0.0)
