"""The seams: real and fake parts have every method that the worker calls. mypy holds their types."""

import inspect
from typing import Any

import pytest

from tests.unit.vpn_client import fakes
from vpn_client import parts
from vpn_client.directory_client import DirectoryClient
from vpn_client.name_service import NameService
from vpn_client.real_parts import RealHost, RealParts, RealTunnel


@pytest.mark.parametrize(("seam", "made"), [
    (parts.Parts, RealParts), (parts.Parts, fakes.FakeParts), (parts.Host, RealHost), (parts.Host, fakes.FakeHost),
    (parts.Tunnel, RealTunnel), (parts.Tunnel, fakes.FakeTunnel), (parts.Names, NameService),
    (parts.Names, fakes.FakeNames), (parts.Directory, DirectoryClient), (parts.Directory, fakes.FakeDirectory)])
def test_every_method_is_there(seam: Any, made: Any) -> None:
    for name, method in inspect.getmembers(seam, inspect.isfunction):
        if not name.startswith("_"):
            assert list(inspect.signature(getattr(made, name)).parameters) == list(inspect.signature(method).parameters)
