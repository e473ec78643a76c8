"""Where things are."""

import io
from pathlib import Path

import pytest

from vpn_client.place import colour_wanted, default_state_dir, log_file


def test_the_state_directory_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KVPN_STATE_DIR", raising=False)
    assert default_state_dir() == Path("/run/kvpn")
    monkeypatch.setenv("KVPN_STATE_DIR", "/x")
    assert default_state_dir() == Path("/x")


def test_the_log_is_beside_an_unusual_state_directory() -> None:
    assert log_file(Path("/run/kvpn")) == Path("/var/log/kvpn/kvpnd.log")
    assert log_file(Path("/x")) == Path("/x/kvpnd.log")


def test_a_pipe_gets_no_colour() -> None:
    assert not colour_wanted(io.StringIO())
