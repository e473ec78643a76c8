"""I/O: only a module whose docstring starts with "I/O" may touch the world.

Owns the rule: a module without the mark imports none of `WORLD`, at any depth of nesting, and no module of ours that
has the mark. Imports for type checking only are free. import-linter holds the layers; this holds the mark.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.check_test_files import ROOT, packages

MARK = "I/O"
WORLD = frozenset({"socket", "asyncio", "select", "selectors", "threading", "multiprocessing", "concurrent",
                   "subprocess", "time", "random", "secrets", "signal", "fcntl", "pytun", "kubernetes",
                   "aiohttp", "http", "urllib"})
"""Top-level modules that reach sockets, clocks, randomness, threads, processes or devices."""
SEEDED = frozenset({"testing"})
"""Modules that simulate: `random.Random(seed)` is theirs to use."""


class Module:
    """One source file: its dotted name, whether it has the mark, and what it imports (dotted name → line)."""

    def __init__(self, name: str, text: str) -> None:
        tree = ast.parse(text)
        self.name = name
        self.docstring = ast.get_docstring(tree) or ""
        self.marked = self.docstring.startswith(MARK)
        self.imports = dict(_imports(tree, name.rpartition(".")[0]))


def _imports(node: ast.AST, package: str) -> Iterator[tuple[str, int]]:
    """Every name imported below `node`, with its line; bodies of `if TYPE_CHECKING:` are left out."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            continue
        if isinstance(child, ast.Import):
            yield from ((alias.name, child.lineno) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            base = ".".join(filter(None, (package if child.level else "", child.module)))
            yield base, child.lineno
            yield from ((f"{base}.{alias.name}", child.lineno) for alias in child.names)
        else:
            yield from _imports(child, package)


def problems(modules: dict[str, Module]) -> Iterator[str]:
    """One line for each breach."""
    for module in modules.values():
        if not module.docstring and not module.name.endswith("__init__"):
            yield f"{module.name} has no docstring; fix: say what it owns and what it leaves to whom"
        if module.marked:
            continue
        world = {(top, line) for name, line in module.imports.items() for top in (name.split(".")[0],) if top in WORLD}
        for top, line in sorted(world, key=lambda found: found[1]):
            if not (top == "random" and module.name.rpartition(".")[2] in SEEDED):
                yield f'{module.name}:{line} imports {top}; fix: pass it in, or start the docstring with "{MARK}: "'
        for name, line in module.imports.items():
            if name in modules and modules[name].marked:
                yield f"{module.name}:{line} imports {name}, which does I/O; fix: turn the dependency round"


def read(root: Path) -> dict[str, Module]:
    """Every module of every package by its dotted name."""
    return {name: Module(name, file.read_text()) for package, folder in packages(root).items()
            for file in sorted(folder.glob("*.py")) for name in (f"{package}.{file.stem}",)}


def main() -> int:
    """Print what is wrong; exit 1 if anything is."""
    modules = read(ROOT)
    found = list(problems(modules))
    marked = sum(module.marked for module in modules.values())
    print(*(found or [f"{len(modules)} modules, {marked} of them do I/O and say so"]), sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
