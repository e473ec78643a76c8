"""The house's own checks: each passes on this tree and fails on a tree that breaks its rule."""

from __future__ import annotations

from pathlib import Path

from tests import check_io_docstrings, check_sizes, check_test_files
from tests.check_io_docstrings import Module

SETUP = "[options]\npackages = one, kvpn_two\npackage_dir =\n    kvpn_two = two/kvpn_two\n"


def small_tree(root: Path) -> Path:
    (root / "setup.cfg").write_text(SETUP)
    for name in ("one/__init__.py", "one/a.py", "two/kvpn_two/b.py", "tests/unit/one/test_a.py",
                 "tests/unit/kvpn_two/test_b_more.py"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text('"""Words."""\n')
    return root


def test_each_source_file_has_its_test_file() -> None:
    assert check_test_files.main() == 0


def test_a_source_file_without_test_file_is_named(tmp_path: Path) -> None:
    assert check_test_files.untested(small_tree(tmp_path)) == [
        "kvpn_two/b.py has no tests/unit/kvpn_two/test_b.py"]


def test_a_test_file_without_source_is_named(tmp_path: Path) -> None:
    root = small_tree(tmp_path)
    assert check_test_files.orphans(root) == []
    (root / "tests/unit/one/test_gone.py").touch()
    assert "tests/unit/one/test_gone.py tests no module of one" in check_test_files.orphans(root)[0]


def test_modules_that_do_io_say_so() -> None:
    assert check_io_docstrings.main() == 0


def breaches(**texts: str) -> list[str]:
    return list(check_io_docstrings.problems({f"p.{name}": Module(f"p.{name}", text) for name, text in texts.items()}))


def test_an_unmarked_module_may_not_import_the_world() -> None:
    assert "p.a:2 imports socket" in breaches(a='"""Pure."""\nimport socket\n')[0]
    assert "p.a:3 imports time" in breaches(a='"""Pure."""\ndef f():\n    from time import monotonic\n')[0]
    assert "p.a:2 imports concurrent" in breaches(a='"""Pure."""\nimport concurrent.futures\n')[0]
    assert breaches(a='"""I/O: clocks."""\nimport time\n') == []


def test_only_a_simulation_may_import_random() -> None:
    text = '"""Pure."""\nfrom random import Random\n'
    assert "p.a:2 imports random" in breaches(a=text)[0]
    assert breaches(testing=text) == []


def test_an_unmarked_module_may_not_import_a_marked_one() -> None:
    marked = '"""I/O: sockets."""\n'
    for line in ("from p.b import x", "from p import b", "from . import b", "from .b import x", "import p.b"):
        assert "p.a:2 imports p.b" in breaches(a=f'"""Pure."""\n{line}\n', b=marked)[0], line


def test_imports_for_types_only_are_free() -> None:
    text = '"""Pure."""\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import socket\n'
    assert breaches(a=text) == []


def test_a_module_says_what_it_owns() -> None:
    assert "p.a has no docstring" in breaches(a="x = 1\n")[0]


def test_files_and_functions_have_a_size_to_read() -> None:
    assert check_sizes.main() == 0


def test_large_functions_and_files_are_named(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("def short():\n" + "    pass\n" * 49 + "def long():\n" + "    pass\n" * 50)
    assert [line.split(";")[0] for line in check_sizes.too_large(file, "a.py")] == ["a.py:51 long has 51 lines"]
    file.write_text("x = 1\n" * 500)
    assert [line.split(";")[0] for line in check_sizes.too_large(file, "a.py")] == ["a.py has 500 lines"]
