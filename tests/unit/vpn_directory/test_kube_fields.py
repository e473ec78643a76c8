"""Typed access to raw objects."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vpn_directory.kube_fields import Fields, ObjectRefused

TOP = Fields.of({"kind": "X", "metadata": {"name": "n", "namespace": "s"}, "a": {"b": [{"c": 1}]}, "t": "x", "f": True,
                 "ip": ["10.0.0.1", "FD00::1"], "null": None})


def test_values_of_their_type() -> None:
    assert TOP.text("t") == "x"
    assert TOP.text("null", "d") == "d"
    assert TOP.flag("f", False)
    assert TOP.at("a").each("b")[0].number("c", 0, 9) == 1
    assert TOP.addresses("ip") == ("10.0.0.1", "fd00::1")
    assert not TOP.has("null")


def test_every_refusal_names_object_and_path() -> None:
    calls: list[Callable[[], object]] = [lambda: TOP.number("t", 0, 9), lambda: TOP.flag("t", False),
                                         lambda: TOP.text("a"), lambda: TOP.at("t"),
             lambda: TOP.at("a").each("b")[0].text("c"), lambda: TOP.texts("t"), lambda: TOP.text("missing", None)]
    for call in calls:
        with pytest.raises(ObjectRefused, match="X s/n: "):
            call()
    with pytest.raises(ObjectRefused, match=r"a\.b\[0\]\.c"):
        TOP.at("a").each("b")[0].text("c")
