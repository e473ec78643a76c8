"""I/O: reads packaging/systemd/kvpnd.service, so that tests run the daemon with what the unit gives it and no more."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from tests.testbed.places import ROOT

UNIT = ROOT / "packaging/systemd/kvpnd.service"

Settings = Mapping[str, Mapping[str, list[str]]]
"""Section → key → every value given, in order."""


def read_unit(path: Path = UNIT) -> Settings:
    """The unit's settings; ValueError names a line that is neither a section, a setting nor a comment."""
    sections: defaultdict[str, defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    section = ""
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if not line or line.startswith(("#", ";")):
            continue
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
            continue
        key, equals, value = line.partition("=")
        if not (section and equals and key.isalpha()):
            raise ValueError(f"{path}:{number}: {line!r} is no setting")
        sections[section][key].append(value)
    return sections


def capabilities() -> frozenset[str]:
    """The bounding set, in setpriv's words: `net_admin`."""
    words = " ".join(read_unit()["Service"]["CapabilityBoundingSet"]).split()
    return frozenset(word.removeprefix("CAP_").lower() for word in words)
