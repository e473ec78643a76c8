"""The profile is TOML with what a client needs and no private key."""

import tomllib
from dataclasses import replace

from tests.unit.vpn_gateway.objects import CONFIG
from vpn_gateway.profile import render


def test_what_it_holds() -> None:
    config = replace(CONFIG, clusterset_domain="clusterset.local")
    text = render('odd "name"', ("198.18.0.9", "fd00::9"), config, "KEY=", ["192.0.2.1:51820"])
    profile = tomllib.loads(text)
    assert profile["interface"] == {"private_key_file": 'odd "name".key', "addresses": ["198.18.0.9", "fd00::9"]}
    assert profile["gateway"]["address"] == "198.18.0.1"
    assert profile["dns"] == {"cluster_domain": "cluster.local", "clusterset_domain": "clusterset.local"}
