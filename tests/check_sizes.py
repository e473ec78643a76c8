"""I/O: no function above 50 lines, no file of 500 lines or more: in the packages and in the tests.

The connection is the file that always gets away; this finds out on the day it does.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.check_test_files import ROOT, packages

FUNCTION_LINES = 50
FILE_LINES = 500


def too_large(file: Path, name: str) -> Iterator[str]:
    """One line for the file and for each function in it that is too large."""
    text = file.read_text()
    if (lines := text.count("\n")) >= FILE_LINES:
        yield f"{name} has {lines} lines; fix: split it by what it owns"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES:
                yield f"{name}:{node.lineno} {node.name} has {length} lines; fix: name its parts"


def files(root: Path) -> list[Path]:
    """Every Python file of the project."""
    folders = [*packages(root).values(), root / "tests"]
    return sorted(file for folder in folders for file in folder.rglob("*.py"))


def main() -> int:
    """Print what is too large; exit 1 if anything is."""
    all_files = files(ROOT)
    found = [line for file in all_files for line in too_large(file, str(file.relative_to(ROOT)))]
    print(*(found or [f"{len(all_files)} files of a size to read"]), sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
