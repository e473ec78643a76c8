"""I/O: the commands that only look: `status`, `doctor`, `version`, `dns`, `completion`.

Owns printing: data to stdout, talk to stderr. Leaves to others: facts (`control_client`, `doctor`), forms (`status`),
names (`kvpn_dns.commands`).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from typing import Any

from vpn_client.control_client import NotRunning, call, replies
from vpn_client.control_protocol import Method
from vpn_client.exit_codes import ExitCode, Failure
from vpn_client.output import Level, Talk
from vpn_client.status import document, exit_code, text
from vpn_directory.version import VERSION


def status(args: argparse.Namespace, talk: Talk) -> int:
    """Show the sessions; 0 when each has been proved, 3 otherwise."""
    if args.watch:
        return _watch(args)
    try:
        shown = _only(call(args.state_dir, Method.STATUS), args.session)
    except NotRunning as failure:
        shown = document([], None)
        if args.output == "text":
            sys.stdout.write(text(shown) + "\n")
            talk.hint(failure.fix)
            return int(ExitCode.NOT_CONNECTED)
    _print(shown, args.output)
    return int(exit_code(shown, args.session))


def _only(shown: Mapping[str, Any], session: str | None) -> Mapping[str, Any]:
    sessions = [each for each in shown["sessions"] if session in (None, each["session"])]
    return {**shown, "sessions": sessions}


def _print(shown: Mapping[str, Any], output: str) -> None:
    sys.stdout.write((json.dumps(shown) if output == "json" else text(shown)) + "\n")
    sys.stdout.flush()


def _watch(args: argparse.Namespace) -> int:
    """One status a second, as NDJSON or as screens, until the daemon goes."""
    for reply in replies(args.state_dir, Method.WATCH):
        if isinstance(reply, Failure):
            raise reply
        shown = _only(reply.body, args.session)
        if args.output == "text" and sys.stdout.isatty():
            sys.stdout.write("\x1b[H\x1b[J")
        _print(shown, args.output)
    return int(ExitCode.NOT_CONNECTED)


def doctor(args: argparse.Namespace, talk: Talk) -> int:
    """Run every check; 1 when one failed."""
    from vpn_client.doctor import run, worst

    findings = run(args.state_dir, args.profile)
    if args.output == "json":
        sys.stdout.write(json.dumps({"version": 1, "checks": [finding.to_json() for finding in findings]}) + "\n")
    else:
        for finding in findings:
            sys.stdout.write(f" {talk.mark(finding.level)} {finding.name:<20} {finding.evidence}\n")
            if finding.fix and finding.level is not Level.OK:
                sys.stdout.write(f"   fix: {finding.fix}\n")
    return int(ExitCode.FAILURE if worst(findings) is Level.FAIL else ExitCode.OK)


def version(args: argparse.Namespace, talk: Talk) -> int:
    """This program's version, the daemon's and each gateway's; a skew is said."""
    shown: dict[str, Any] = {"version": 1, "client": VERSION}
    if not args.client:
        shown |= _versions_elsewhere(args)
    if args.output == "json":
        sys.stdout.write(json.dumps(shown) + "\n")
    else:
        lines = [f"client   {VERSION}"]
        if not args.client:
            lines.append(f"daemon   {shown['daemon'] or 'not running'}")
            lines += [f"gateway  {found or 'unknown'} ({name})" for name, found in shown["gateways"].items()]
        sys.stdout.write("\n".join(lines) + "\n")
    others = {shown.get("daemon"), *shown.get("gateways", {}).values()} - {None, "", VERSION}
    if others:
        talk.hint(f"versions differ: {', '.join(sorted(others))}; restart kvpnd after an upgrade: kvpn down, kvpn up")
    return int(ExitCode.OK)


def _versions_elsewhere(args: argparse.Namespace) -> dict[str, Any]:
    try:
        found = call(args.state_dir, Method.STATUS)
    except NotRunning:
        return {"daemon": None, "gateways": {}}
    gateways = {each["session"]: (each.get("gateway") or {}).get("version") for each in found["sessions"]}
    return {"daemon": (found["daemon"] or {}).get("version"), "gateways": gateways}


def dns(args: argparse.Namespace, talk: Talk) -> int:
    """`kvpn dns serve|query|dump`, which works with no daemon and no cluster."""
    from kvpn_dns import commands

    return commands.run(dns_parser().parse_args(args.words))


def dns_parser() -> argparse.ArgumentParser:
    """The parser of `kvpn dns`; built only when it is needed, for its modules start slowly."""
    from kvpn_dns import commands
    from vpn_client.cli import Parser

    parser = Parser(prog="kvpn dns", description="Serve, query or dump names from Kubernetes object files.")
    commands.add_arguments(parser)
    return parser


def complete(args: argparse.Namespace, talk: Talk) -> int:
    """Print one shell's script."""
    from vpn_client.cli import build_parser
    from vpn_client.completion import commands, render

    found = commands(build_parser())
    found |= {f"dns {path}".strip(): command for path, command in commands(dns_parser()).items()}
    sys.stdout.write(render(args.shell, "kvpn", found))
    return int(ExitCode.OK)
