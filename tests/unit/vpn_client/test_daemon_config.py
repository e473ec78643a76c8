"""Root's configuration: only root may have written it."""

import os
from ipaddress import ip_network
from pathlib import Path

import pytest

from vpn_client.daemon_config import DaemonConfig, load
from vpn_client.exit_codes import Failure


def written(folder: Path, text: str, mode: int = 0o644) -> Path:
    path = folder / "kvpnd.toml"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_without_a_file_nothing_is_widened(tmp_path: Path) -> None:
    assert load(tmp_path / "none.toml") == DaemonConfig(())


def test_routes_that_root_allows(tmp_path: Path) -> None:
    path = written(tmp_path, 'allow_routes = ["203.0.113.0/24", "2001:db8::/32"]')
    assert load(path, owner=os.getuid()).allow_routes == (ip_network("203.0.113.0/24"), ip_network("2001:db8::/32"))


@pytest.mark.parametrize("mode", [0o666, 0o664, 0o646])
def test_what_others_can_write_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(Failure, match="others than root can write it"):
        load(written(tmp_path, "", mode), owner=os.getuid())


def test_what_others_own_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="others than root"):
        load(written(tmp_path, ""), owner=os.getuid() + 1)


@pytest.mark.parametrize(("text", "why"), [
    ("x", "Expected"), ("alow_routes = []", "unknown field alow_routes"), ('allow_routes = ["10.0.0.1/8"]', "host bits")])
def test_errors_name_the_file(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(Failure, match=why) as caught:
        load(written(tmp_path, text), owner=os.getuid())
    assert "kvpnd.toml" in caught.value.what
