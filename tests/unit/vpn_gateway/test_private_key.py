"""The key file: made 0600, refused when others may read it."""

from __future__ import annotations

from pathlib import Path

import pytest

from vpn_gateway.config import BadConfig
from vpn_gateway.private_key import load_or_create


def test_made_once_with_mode_0600(tmp_path: Path) -> None:
    path = tmp_path / "key"
    key = load_or_create(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_or_create(path) == key


def test_refusals_name_file_and_fix(tmp_path: Path) -> None:
    path = tmp_path / "key"
    load_or_create(path)
    path.chmod(0o640)
    with pytest.raises(BadConfig, match="chmod 600"):
        load_or_create(path)
    path.chmod(0o600)
    path.write_text("nonsense")
    with pytest.raises(BadConfig, match="wg genkey") as caught:
        load_or_create(path)
    assert "nonsense" not in str(caught.value)
    with pytest.raises(BadConfig, match="No such file"):
        load_or_create(tmp_path / "none" / "key")
