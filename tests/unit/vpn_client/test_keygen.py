"""A new key: mode, owner, never over an old one."""

import os
import stat
from pathlib import Path

import pytest

from vpn_client.exit_codes import ExitCode, Failure
from vpn_client.keygen import keygen
from vpn_tunnel.keys import PrivateKey


def test_the_file_has_the_private_key_and_stdout_the_public_one(tmp_path: Path) -> None:
    path = tmp_path / "laptop.key"
    public = keygen(path)
    assert str(PrivateKey.from_base64(path.read_text().strip()).public_key()) == public
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_mode_does_not_depend_on_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        keygen(tmp_path / "k")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "k").stat().st_mode) == 0o600


def test_an_existing_file_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "k"
    path.write_text("precious")
    with pytest.raises(Failure, match="exists") as caught:
        keygen(path)
    assert caught.value.code is ExitCode.USAGE
    assert path.read_text() == "precious"


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Failure):
        keygen(tmp_path / "link")
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="No such file"):
        keygen(tmp_path / "none" / "k")


@pytest.mark.root
def test_under_sudo_the_file_belongs_to_the_user(tmp_path: Path) -> None:
    os.chown(tmp_path, 65534, 65534)
    for folder in (tmp_path.parent, tmp_path.parent.parent):
        folder.chmod(0o755)
    keygen(tmp_path / "k", user=65534)
    assert (tmp_path / "k").stat().st_uid == 65534
