"""I/O: Kubernetes objects from YAML or JSON files: one file, a folder, a `kubectl get -o yaml` dump.

Owns reading, and that a file which stops parsing keeps its last good content. Leaves what the objects mean to
`kube_objects` and to the gateway.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

from vpn_directory.kube_objects import LocatedObject

SUFFIXES: Final = (".yaml", ".yml", ".json")
MAX_FILE: Final = 512 << 20  # bytes

Fingerprint: TypeAlias = tuple[tuple[str, int, int, int], ...]
"""(path, modification time in ns, size, inode) of every file: changes when any file does."""


class ObjectsMissing(Exception):
    """The path given does not exist."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the files hold, and what was wrong with them, in words that name the file."""

    objects: list[LocatedObject] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


class ObjectFiles:
    """The files under one path; remembers each file's last good content."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._good: dict[str, tuple[tuple[int, int, int], list[LocatedObject]]] = {}

    def fingerprint(self) -> Fingerprint:
        """Cheap enough to take many times a second: one stat a file."""
        return tuple((str(path), *_stamp(path)) for path in self._files())

    def _files(self) -> list[Path]:
        if self._path.is_dir():
            return sorted(p for p in self._path.rglob("*") if p.suffix in SUFFIXES and p.is_file() and not _hidden(p, self._path))
        return [self._path] if self._path.exists() else []

    def read(self) -> Loaded:
        """Every object now. Files that have not changed are not parsed again. Raises `ObjectsMissing`."""
        if not self._path.exists():
            raise ObjectsMissing(f"{self._path}: no such file or folder; give a file of objects, or a folder of them")
        loaded = Loaded()
        files = self._files()
        for path in files:
            self._read_file(path, loaded)
        names = {str(path) for path in files}
        self._good = {name: entry for name, entry in self._good.items() if name in names}
        return loaded

    def _read_file(self, path: Path, loaded: Loaded) -> None:
        name = str(path)
        try:
            stamp = _stamp(path)
            known = self._good.get(name)
            if known is None or known[0] != stamp:
                self._good[name] = (stamp, list(_parse(path)))
        except (OSError, ValueError) as error:
            loaded.errors.append(f"{name}: {_in_words(error)}; its last good content stays in force")
        if name in self._good:
            loaded.objects.extend(self._good[name][1])


def _hidden(path: Path, root: Path) -> bool:
    """Whether a part below the root starts with a dot: the data folders that a mounted ConfigMap swaps."""
    return any(part.startswith(".") for part in path.relative_to(root).parts)


def _stamp(path: Path) -> tuple[int, int, int]:
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _in_words(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _parse(path: Path) -> Iterator[LocatedObject]:
    import yaml  # imported here: the client never needs it

    if path.stat().st_size > MAX_FILE:
        raise ValueError(f"larger than {MAX_FILE} bytes")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        with path.open("rb") as file:
            documents = list(yaml.load_all(file, Loader=loader))
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
    for number, document in enumerate(documents, 1):
        where = f"{path}: document {number}" if len(documents) > 1 else str(path)
        yield from _objects(document, where)


def _objects(document: Any, where: str) -> Iterator[LocatedObject]:
    if document is None:
        return
    if not isinstance(document, Mapping):
        raise ValueError("expected Kubernetes objects")
    if str(document.get("kind", "")).endswith("List") and isinstance(document.get("items"), list):
        for number, item in enumerate(document["items"], 1):
            if not isinstance(item, Mapping):
                raise ValueError(f"items[{number - 1}]: expected an object")
            yield LocatedObject(item, f"{where}: item {number}")
        return
    yield LocatedObject(document, where)
