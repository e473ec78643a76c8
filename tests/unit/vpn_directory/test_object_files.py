"""Files, folders, dumps, and what a broken file does."""

from __future__ import annotations

from pathlib import Path

import pytest

from vpn_directory.object_files import ObjectFiles, ObjectsMissing

ONE = "kind: Namespace\nmetadata: {name: a}\n"


def names(files: ObjectFiles) -> list[str]:
    return [located.obj["metadata"]["name"] for located in files.read().objects]


def test_documents_lists_and_folders(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.yaml").write_text(f"{ONE}---\n{ONE.replace('name: a', 'name: b')}---\n")
    (tmp_path / "sub/c.json").write_text('{"kind": "List", "items": [{"kind": "Namespace", "metadata": {"name": "c"}}]}')
    (tmp_path / "notes.txt").write_text("not ours")
    files = ObjectFiles(tmp_path)
    assert names(files) == ["a", "b", "c"]
    assert [located.where.removeprefix(str(tmp_path)) for located in files.read().objects] == [
        "/a.yaml: document 1", "/a.yaml: document 2", "/sub/c.json: item 1"]
    assert names(ObjectFiles(tmp_path / "a.yaml")) == ["a", "b"]


@pytest.mark.parametrize("broken", ["{", "- just\n- a list", "text", "kind: List\nitems: [1]"])
def test_a_broken_file_keeps_its_last_good_content_and_is_named(tmp_path: Path, broken: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(ONE)
    files = ObjectFiles(tmp_path)
    assert names(files) == ["a"]
    path.write_text(broken)
    loaded = files.read()
    assert len(loaded.objects) == 1
    assert loaded.errors[0].startswith(str(path))
    assert "last good content" in loaded.errors[0]
    path.unlink()
    assert names(files) == []


def test_the_fingerprint_sees_every_change(tmp_path: Path) -> None:
    files, seen = ObjectFiles(tmp_path), []
    seen.append(files.fingerprint())
    (tmp_path / "a.yaml").write_text(ONE)
    seen.append(files.fingerprint())
    (tmp_path / "b.yaml").write_text(ONE)
    (tmp_path / "b.yaml").rename(tmp_path / "a.yaml")
    seen.append(files.fingerprint())
    (tmp_path / "a.yaml").unlink()
    seen.append(files.fingerprint())
    assert len(set(seen)) == 3
    assert seen[0] == seen[3]


def test_folders_that_a_configmap_swaps_are_read_once(tmp_path: Path) -> None:
    (tmp_path / "..data").mkdir()
    (tmp_path / "..data/a.yaml").write_text(ONE)
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")
    assert names(ObjectFiles(tmp_path)) == ["a"]


def test_a_missing_path_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ObjectsMissing, match="no such file or folder"):
        ObjectFiles(tmp_path / "nowhere").read()
