"""Profile files: every error names file, field and fix; keys that others can read are refused."""

import os
from pathlib import Path

import pytest

from tests.unit.vpn_client.samples import KEY, OTHER_KEY, PROFILE
from vpn_client.exit_codes import ExitCode, Failure
from vpn_client.profile import acting_as, invoking_user, load_profile


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    key = tmp_path / "laptop.key"
    key.write_text(KEY + "\n")
    key.chmod(0o600)
    path = tmp_path / "laptop.toml"
    path.write_text(PROFILE)
    return path


def test_a_profile_becomes_an_intent(profile: Path) -> None:
    intent = load_profile(profile, "default")
    assert (intent.private_key, intent.gateway_public_key, intent.profile) == (KEY, OTHER_KEY, "laptop.toml")
    assert intent.endpoints == ("192.0.2.1:51820",)


def test_every_section_is_read(profile: Path, tmp_path: Path) -> None:
    (tmp_path / "psk").write_text(OTHER_KEY)
    (tmp_path / "psk").chmod(0o400)
    profile.write_text(PROFILE + 'persistent_keepalive = 7\npreshared_key_file = "psk"\n[dns]\ncluster_domain = "a.b"\n'
                       'clusterset_domain = "c.d"\n[routes]\ninclude = ["10.0.0.0/8"]\nexclude = ["10.1.0.0/16"]\n')
    intent = load_profile(profile, "default")
    assert (intent.persistent_keepalive, intent.preshared_key, intent.suffixes) == (7, OTHER_KEY, ("a.b", "c.d"))
    assert (intent.include, intent.exclude) == (("10.0.0.0/8",), ("10.1.0.0/16",))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o666])
def test_a_key_that_others_may_touch_is_refused(profile: Path, mode: int) -> None:
    (profile.parent / "laptop.key").chmod(mode)
    with pytest.raises(Failure, match="others may read the key") as caught:
        load_profile(profile, "default")
    assert "interface.private_key_file" in caught.value.why
    assert caught.value.fix == f"chmod 600 {profile.parent / 'laptop.key'}"


@pytest.mark.parametrize(("text", "why"), [
    ("nonsense", "not TOML"), ("[other]\n", r"unknown section \[other\]"), ("gateway = 1\n", "unknown section"),
    (PROFILE + 'endpoint = "x"\n', "unknown field gateway.endpoint"),
    (PROFILE.replace("address = ", "#"), "gateway.address is missing"),
    (PROFILE.replace("198.18.0.1", "here"), "gateway.address: 'here' is not an address"),
    (PROFILE.replace(OTHER_KEY, "x"), "gateway.public_key: not a WireGuard key"),
    (PROFILE.replace('["192.0.2.1:51820"]', '["192.0.2.1"]'), "gateway.endpoints"),
    (PROFILE.replace('["192.0.2.1:51820"]', "7"), "gateway.endpoints"),
    (PROFILE.replace("laptop.key", "absent.key"), "interface.private_key_file: .*absent.key: No such file"),
    ("#" * 70000, "longer than")])
def test_an_error_names_file_field_and_fix(profile: Path, text: str, why: str) -> None:
    profile.write_text(text)
    with pytest.raises(Failure, match=why) as caught:
        load_profile(profile, "default")
    assert caught.value.code is ExitCode.USAGE
    assert caught.value.what == f"profile {profile}"
    assert caught.value.fix


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="No such file"):
        load_profile(tmp_path / "none.toml", "default")


def test_the_key_is_not_in_the_error(profile: Path) -> None:
    (profile.parent / "laptop.key").write_text(KEY + KEY)
    with pytest.raises(Failure) as caught:
        load_profile(profile, "default")
    assert KEY not in f"{caught.value} {caught.value.fix}"


def test_names_of_endpoints_are_resolved_here(profile: Path) -> None:
    profile.write_text(PROFILE.replace("192.0.2.1:51820", "gw.example.com:51820"))
    names = {"gw.example.com": ["192.0.2.7", "2001:db8::7"]}
    intent = load_profile(profile, "default", resolve=names.__getitem__)
    assert intent.endpoints == ("192.0.2.7:51820", "[2001:db8::7]:51820")


def test_a_name_that_does_not_resolve_is_unreachable(profile: Path) -> None:
    def resolve(host: str) -> list[str]:
        raise OSError(2, "no such name")
    profile.write_text(PROFILE.replace("192.0.2.1:51820", "gw.example.com:51820"))
    with pytest.raises(Failure, match="does not resolve") as caught:
        load_profile(profile, "default", resolve=resolve)
    assert caught.value.code is ExitCode.UNREACHABLE


def test_sudo_is_noticed_by_root_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert invoking_user({"SUDO_UID": "1000"}) == 1000
    assert invoking_user({}) is None
    assert invoking_user({"SUDO_UID": "0"}) is None
    assert invoking_user({"SUDO_UID": "me"}) is None
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert invoking_user({"SUDO_UID": "0"}) is None


@pytest.mark.root
def test_root_reads_only_what_the_user_may_read(profile: Path) -> None:
    for folder in (profile.parent, *profile.parent.parents[:2]):
        folder.chmod(0o755)
    with pytest.raises(Failure, match="Permission denied"):
        load_profile(profile, "default", user=65534)
    with acting_as(65534):
        assert os.geteuid() == 65534
    assert os.geteuid() == 0
    os.chown(profile.parent / "laptop.key", 65534, 65534)
    assert load_profile(profile, "default", user=65534).private_key == KEY
