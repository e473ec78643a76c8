"""I/O: the command line of `kvpn`: words and flags, nothing else.

Owns the parser and the mapping from an exception to an exit code. Leaves to others: every command, in a module that is
imported when it is asked for, so that `kvpn status` starts in the time of a bare interpreter and argparse.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from vpn_client.exit_codes import ExitCode, Failure
from vpn_client.intent import DEFAULT_SESSION
from vpn_client.output import Talk, parse_duration
from vpn_client.place import colour_wanted, default_state_dir


class Parser(argparse.ArgumentParser):
    """argparse that says usage errors the way we say all errors."""

    def error(self, message: str) -> NoReturn:
        """`kvpn: arguments: why` and a hint."""
        raise Failure(ExitCode.USAGE, self.prog, message, f"{self.prog} --help")


def build_parser() -> argparse.ArgumentParser:
    """Every command and flag. `run` is `module:function` of vpn_client, taking the parsed arguments."""
    parser = Parser(prog="kvpn", description="Join this machine to a Kubernetes network.")
    _global_flags(parser, default_state_dir())
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=Parser)
    for add in (_add_up, _add_down, _add_status, _add_doctor, _add_version, _add_keygen, _add_dns, _add_completion):
        add(commands)
    return parser


def _global_flags(parser: argparse.ArgumentParser, state_dir: object) -> None:
    parser.add_argument("--state-dir", type=Path, metavar="DIR", default=state_dir,
                        help="where kvpnd's socket and journal are (env KVPN_STATE_DIR)")
    parser.add_argument("-q", "--quiet", action="store_true", default=argparse.SUPPRESS, help="say only failures")


def _add(commands: argparse._SubParsersAction[Parser], name: str, run: str, help_: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=help_, description=help_[0].upper() + help_[1:] + ".")
    _global_flags(parser, argparse.SUPPRESS)
    parser.set_defaults(run=run)
    return parser


def _output_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text", help="format of stdout")


def _duration(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _add_up(commands: argparse._SubParsersAction[Parser]) -> None:
    parser = _add(commands, "up", "commands_connect:up", "connect, and return when a probe has proved it")
    parser.add_argument("--profile", type=Path, metavar="FILE", help="the profile: keys, gateway, suffixes (TOML)")
    parser.add_argument("--session", default=DEFAULT_SESSION, metavar="NAME", help="name of this session")
    parser.add_argument("--timeout", type=_duration, default=30.0, metavar="TIME", help="give up after this, e.g. 30s")
    parser.add_argument("--foreground", action="store_true", help="stay, log to stderr, go down on SIGTERM or SIGINT")
    parser.add_argument("--switch", action="store_true", help="replace a session that has another profile")
    parser.add_argument("--include", action="append", default=[], metavar="CIDR", help="route this prefix too")
    parser.add_argument("--exclude", action="append", default=[], metavar="CIDR", help="never route this prefix")
    _output_flag(parser)


def _add_down(commands: argparse._SubParsersAction[Parser]) -> None:
    parser = _add(commands, "down", "commands_connect:down", "disconnect and restore the host")
    parser.add_argument("--session", metavar="NAME", help="only this session; all without it")
    parser.add_argument("--force", action="store_true", help="restore the host from the journal, with no daemon")


def _add_status(commands: argparse._SubParsersAction[Parser]) -> None:
    parser = _add(commands, "status", "commands_show:status", "show what the last probe proved; exit 0 if connected")
    parser.add_argument("--session", metavar="NAME", help="only this session")
    parser.add_argument("--watch", action="store_true", help="go on, one status a second")
    _output_flag(parser)


def _add_doctor(commands: argparse._SubParsersAction[Parser]) -> None:
    parser = _add(commands, "doctor", "commands_show:doctor", "check this machine, each finding with its fix")
    parser.add_argument("--profile", type=Path, metavar="FILE", help="check the way to this profile's gateway too")
    _output_flag(parser)


def _add_version(commands: argparse._SubParsersAction[Parser]) -> None:
    parser = _add(commands, "version", "commands_show:version", "show the versions of client, daemon and gateways")
    parser.add_argument("--client", action="store_true", help="only this program's")
    _output_flag(parser)


def _add_keygen(commands: argparse._SubParsersAction[Parser]) -> None:
    parser = _add(commands, "keygen", "commands_connect:make_key", "make a private key, print its public key")
    parser.add_argument("--private-key-file", type=Path, required=True, metavar="FILE", help="made with mode 0600")


def _add_dns(commands: argparse._SubParsersAction[Parser]) -> None:
    parser = commands.add_parser("dns", help="serve, query or dump names from object files", add_help=False)
    parser.add_argument("words", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    parser.set_defaults(run="commands_show:dns")


def _add_completion(commands: argparse._SubParsersAction[Parser]) -> None:
    parser = _add(commands, "completion", "commands_show:complete", "print a shell's completion script")
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), help="the shell")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; every expected failure ends as its exit code, said on stderr."""
    talk = Talk(sys.stderr, colour=colour_wanted(sys.stderr))
    try:
        args = build_parser().parse_args(argv)
        module, _, function = args.run.partition(":")
        run: Callable[[argparse.Namespace, Talk], int] = getattr(import_module(f"vpn_client.{module}"), function)
        return int(run(args, Talk(sys.stderr, colour=colour_wanted(sys.stderr), quiet=getattr(args, "quiet", False))))
    except Failure as failure:
        talk.failure(failure)
        return int(failure.code)
    except KeyboardInterrupt:
        talk.line("interrupted")
        return int(ExitCode.INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        return int(ExitCode.FAILURE)
