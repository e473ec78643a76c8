"""Scripts that the shells themselves accept, with every word of the parser."""

from __future__ import annotations

import subprocess

import pytest

from tests.testbed import needs
from vpn_client.cli import build_parser
from vpn_client.completion import SHELLS, commands, render

FOUND = commands(build_parser())


def test_every_command_and_flag_is_found() -> None:
    assert {"", "up", "down", "status", "doctor", "version", "keygen", "dns", "completion"} == set(FOUND)
    assert {"--profile", "--foreground", "--switch"} <= {name for option in FOUND["up"].options for name in option.names}
    assert FOUND["completion"].words == ("bash", "zsh", "fish")
    output = next(option for option in FOUND["status"].options if "-o" in option.names)
    assert (output.takes_value, output.choices) == (True, ("text", "json"))
    assert not next(option for option in FOUND["down"].options if "--force" in option.names).takes_value


@pytest.mark.parametrize("shell", SHELLS)
def test_every_word_is_in_the_script(shell: str) -> None:
    script = render(shell, "kvpn", FOUND)
    for word in ("up", "--foreground" if shell != "fish" else "-l foreground", "completion", "doctor"):
        assert word in script


@pytest.mark.parametrize(("line", "expected"), [
    ("kvpn st", {"status"}), ("kvpn up --f", {"--foreground"}), ("kvpn down --f", {"--force"}),
    ("kvpn status -o j", {"json"}), ("kvpn -q up --sw", {"--switch"}), ("kvpn completion z", {"zsh"})])
def test_bash_completes(line: str, expected: set[str]) -> None:
    words = line.split(" ")
    quoted = " ".join(f"'{word}'" for word in words)
    script = (render("bash", "kvpn", FOUND) + f"\nCOMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _kvpn; "
              'printf "%s\\n" "${COMPREPLY[@]}"')
    done = subprocess.run([needs.tool("bash"), "-c", script], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == expected
    assert done.stderr == ""


def test_help_texts_cannot_break_out_of_their_quotes() -> None:
    import argparse
    parser = argparse.ArgumentParser(prog="x")
    parser.add_argument("--flag", help="it's 100%% \"so\"")
    script = render("fish", "x", commands(parser))
    assert "it’s 100% ”so”" in script
