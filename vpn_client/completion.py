"""Shell completion for bash, zsh and fish, generated from the parser itself so that it cannot fall behind.

Owns the three shells' ways. Leaves to others: the words (`cli`). Reads argparse's actions, which have no public
listing.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

SHELLS: Final = ("bash", "zsh", "fish")


@dataclass(frozen=True, slots=True)
class Option:
    """One flag of a command."""

    names: tuple[str, ...]
    help: str
    takes_value: bool
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Command:
    """One command: its flags and the words it takes."""

    help: str
    options: tuple[Option, ...]
    words: tuple[str, ...] = ()


def commands(parser: argparse.ArgumentParser) -> dict[str, Command]:
    """Every command by its path: "" is the program itself, then `up`, `dns`, `dns serve`, …"""
    return dict(_walk(parser, "", parser.description or ""))


def _walk(parser: argparse.ArgumentParser, path: str, help_: str) -> Iterator[tuple[str, Command]]:
    options, words = [], []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            words += list(action.choices)
            for name, child in action.choices.items():
                yield from _walk(child, f"{path} {name}".strip(), helps.get(name, ""))
        elif action.option_strings:
            options.append(Option(tuple(action.option_strings), _plain(action.help), action.nargs != 0,
                                  tuple(map(str, action.choices or ()))))
        else:
            words += map(str, action.choices or ())
    yield path, Command(help_, tuple(options), tuple(words))


def _plain(help_: str | None) -> str:
    return (help_ or "").replace("%%", "%").replace("'", "’").replace('"', "”")


def render(shell: str, program: str, found: Mapping[str, Command]) -> str:
    """The script for one shell."""
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](program, found)


def _candidates(command: Command) -> str:
    return " ".join((*command.words, *(name for option in command.options for name in option.names)))


def _bash(program: str, found: Mapping[str, Command]) -> str:
    cases = "\n".join(f"    {path!r}) words={_candidates(command)!r} ;;" for path, command in found.items())
    values = "\n".join(f"    {path + ' ' + name!r}) words={' '.join(option.choices)!r} ;;"
                       for path, command in found.items() for option in command.options if option.choices
                       for name in option.names)
    paths = " ".join(f"[{path!r}]=1" for path in found if path)
    return f"""# bash completion for {program}; use: source <({program} completion bash)
_{program}() {{
  local path="" words="" word cur="${{COMP_WORDS[COMP_CWORD]}}" prev="${{COMP_WORDS[COMP_CWORD-1]}}"
  declare -A known=({paths})
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    local next="${{path:+$path }}$word"
    [[ -n "$word" && -n "${{known[$next]:-}}" ]] && path="$next"
  done
  case "$path $prev" in
{values}
    *)
  case "$path" in
{cases}
  esac ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
  [[ -z "$words" || "$prev" == *-file || "$prev" == --profile ]] && COMPREPLY=($(compgen -f -- "$cur"))
}}
complete -F _{program} {program}
"""


def _zsh(program: str, found: Mapping[str, Command]) -> str:
    cases = "\n".join(f"    {path!r}) words=({_candidates(command)}) ;;" for path, command in found.items())
    paths = " ".join(repr(path) for path in found if path)
    return f"""#compdef {program}
# zsh completion for {program}; use: source <({program} completion zsh)
_{program}() {{
  local at="" word
  local -a known words
  known=({paths})
  for word in ${{words[2,CURRENT-1]}}; do
    local next="${{at:+$at }}$word"
    (( ${{known[(Ie)$next]}} )) && at="$next"
  done
  local -a words
  case "$at" in
{cases}
  esac
  compadd -- $words || _files
}}
(( $+functions[compdef] )) && compdef _{program} {program}
"""


def _fish(program: str, found: Mapping[str, Command]) -> str:
    lines = [f"# fish completion for {program}; use: {program} completion fish | source"]
    for path, command in found.items():
        condition = f"__fish_seen_subcommand_from {path.split()[-1]}" if path else "__fish_use_subcommand"
        for word in command.words:
            about = found.get(f"{path} {word}".strip(), Command("", ())).help
            lines.append(f"complete -c {program} -f -n '{condition}' -a '{word}' -d '{about}'")
        lines += [_fish_option(program, condition, option) for option in command.options]
    return "\n".join(lines) + "\n"


def _fish_option(program: str, condition: str, option: Option) -> str:
    names = " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names)
    value = f" -x -a '{' '.join(option.choices)}'" if option.choices else " -r" if option.takes_value else ""
    return f"complete -c {program} -n '{condition}' {names}{value} -d '{option.help}'"
