"""`kvpn dns` by what it prints."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest
import yaml

from kvpn_dns import commands
from tests.unit.kvpn_dns.world import OBJECTS


@pytest.fixture
def objects(tmp_path: Path) -> Path:
    path = tmp_path / "dump.yaml"
    path.write_text(yaml.safe_dump({"kind": "List", "items": OBJECTS}))
    return path


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    commands.add_arguments(parser)
    return commands.run(parser.parse_args(words))


def test_query_from_files(objects: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("query", "--objects", str(objects), "web.shop.svc.cluster.local") == 0
    assert capsys.readouterr().out == "web.shop.svc.cluster.local. 5 IN A 10.96.0.1\n"
    assert run("query", "--objects", str(objects), "-o", "json", "db.shop", "srv") == 0
    body = json.loads(capsys.readouterr().out)
    assert (body["version"], body["rcode"], len(body["records"])) == (1, "NOERROR", 2)


@pytest.mark.parametrize(("words", "said"), [(["nope.shop.svc.cluster.local"], "NXDOMAIN"),
                                             (["www.example.org"], "no name of the cluster"),
                                             (["web.shop", "QQ"], "expected one of A"), (["a" * 70], "no DNS name")])
def test_query_without_an_answer_says_why(objects: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    assert run("query", "--objects", str(objects), *words) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err


def test_dump_is_zone_text(objects: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("dump", "--objects", str(objects), "--clusterset-domain", "clusterset.local") == 0
    lines = capsys.readouterr().out.splitlines()
    for line in ("web.shop.svc.cluster.local. 5 IN AAAA fd00::1", "db-0.db.shop.svc.cluster.local. 5 IN A 10.1.0.5",
                 "geo.shop.svc.clusterset.local. 5 IN A 10.7.0.1", "out.shop.svc.cluster.local. 5 IN CNAME www.example.org."):
        assert line in lines


def test_a_missing_path_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("dump", "--objects", "/nowhere") == 1
    assert "no such file or folder" in capsys.readouterr().err


def test_a_bad_file_keeps_the_last_good_state(objects: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    commands.add_arguments(parser)
    source = commands._Source(parser.parse_args(["dump", "--objects", str(objects)]))
    count = len(source.index.services)
    objects.write_text("{")
    source.reload()
    assert len(source.index.services) == count
    assert "last good content" in capsys.readouterr().err
    objects.write_text(yaml.safe_dump_all(OBJECTS[:3]))
    source.reload()
    assert len(source.index.services) == 1
