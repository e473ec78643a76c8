"""I/O: `kvpn up`, `down` and `keygen`: the user's side of bringing a session up and taking it down.

Owns starting a kvpnd when none runs, reading the profile as the invoking user, and the words of each outcome. Leaves to
others: everything on the host (`daemon`, `worker`), the lines on the socket (`control_client`).
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from vpn_client.control_client import NotRunning, call
from vpn_client.control_protocol import Method
from vpn_client.exit_codes import ExitCode, Failure
from vpn_client.intent import BadIntent, Intent, parse_intent_untrusted, to_json
from vpn_client.output import Level, Talk, duration
from vpn_client.place import log_file
from vpn_client.profile import invoking_user, load_profile
from vpn_client.status import document
from vpn_directory.version import VERSION

SPAWN_TIMEOUT: Final = 15.0
"""Seconds for a new kvpnd to listen; it restores the host from leftovers first."""
EXIT_TIMEOUT: Final = 5.0
"""Seconds for a kvpnd that has nothing left to do to go."""
REPLY_MARGIN: Final = 20.0
"""Seconds beyond `--timeout` for the rollback."""


def up(args: argparse.Namespace, talk: Talk) -> int:
    """Connect; 0 when a probe has proved it, also when it was so before."""
    user = invoking_user(os.environ)
    intent = intent_from(args, user)
    talk.line(f"kvpn {VERSION} · profile {intent.profile} · session {intent.session}")
    if args.foreground:
        from vpn_client.daemon import run_foreground

        _need_root("up --foreground", "it changes this machine's network")
        return run_foreground(args.state_dir, intent, args.timeout, owner=user or os.getuid())
    began = time.monotonic()
    params = {"intent": to_json(intent), "timeout": args.timeout, "switch": args.switch, "owner": user}
    result = _call_or_spawn(args.state_dir, params, args.timeout, talk)
    _say_connected(result, talk, time.monotonic() - began)
    if args.output == "json":
        sys.stdout.write(json.dumps(document([result["session"]], result["daemon"])) + "\n")
    return int(ExitCode.OK)


def intent_from(args: argparse.Namespace, user: int | None) -> Intent:
    """What the flags ask for. A profile file is the one source so far; enrolment through Kubernetes is the next."""
    if args.profile is None:
        raise Failure(ExitCode.USAGE, "up", "no profile is given",
                      "name one with --profile FILE; kvpn-gateway profile PEER prints it")
    intent = load_profile(args.profile, args.session, user=user)
    return with_routes(intent, args.include, args.exclude)


def with_routes(intent: Intent, include: list[str], exclude: list[str]) -> Intent:
    """The intent with the flags' prefixes added to the profile's."""
    raw = to_json(dataclasses.replace(intent, include=(*intent.include, *include), exclude=(*intent.exclude, *exclude)))
    try:
        return parse_intent_untrusted(raw)
    except BadIntent as error:
        raise Failure(ExitCode.USAGE, f"--{error.name}", error.why, error.fix) from None


def _call_or_spawn(state_dir: Path, params: Mapping[str, Any], timeout: float, talk: Talk) -> Mapping[str, Any]:
    def step(body: Mapping[str, Any]) -> None:
        talk.step(str(body["name"]), Level(body["level"]), str(body["text"]), body.get("seconds"))

    wait = timeout + REPLY_MARGIN
    try:
        return call(state_dir, Method.UP, params, on_step=step, timeout=wait)
    except NotRunning:
        _need_root("up", "no kvpnd is running, and starting one needs root")
    spawn(state_dir)
    try:
        return call(state_dir, Method.UP, params, on_step=step, timeout=wait)
    except Failure as failure:
        if failure.code is not ExitCode.NO_PERMISSION:
            talk.hint(f"the daemon's log is {log_file(state_dir)}")
        raise


def _need_root(command: str, why: str) -> None:
    if os.geteuid() != 0:
        raise Failure(ExitCode.NO_PERMISSION, command, why,
                      f"sudo kvpn {command}, or install the kvpnd service and join group kvpn")


def spawn(state_dir: Path) -> None:
    """Start a kvpnd in the background; return when it listens, Failure with its last words otherwise."""
    words = [sys.executable, "-m", "vpn_client.daemon", "--background", "--exit-when-idle",
             "--state-dir", str(state_dir)]
    folders = [str(Path(__file__).resolve().parents[1]), *filter(None, sys.path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(dict.fromkeys(folders))}
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=SPAWN_TIMEOUT, env=environment,
                              cwd="/", check=False)
    except subprocess.TimeoutExpired:
        raise Failure(ExitCode.TIMEOUT, "kvpnd", f"not listening after {SPAWN_TIMEOUT:.0f} s",
                      f"see {log_file(state_dir)}") from None
    if done.returncode != 0:
        why = done.stderr.strip().splitlines() or [f"exit {done.returncode}"]
        raise Failure(ExitCode.FAILURE, "kvpnd", f"it did not start: {why[-1]}", f"see {log_file(state_dir)}")


def _say_connected(result: Mapping[str, Any], talk: Talk, took: float) -> None:
    session = result["session"]
    host = session.get("host") or {"addresses": [], "routes": []}
    words = f"{', '.join(host['addresses'])} · {len(host['routes'])} routes · {', '.join(session.get('suffixes', []))}"
    if result["already"]:
        talk.line(f"Already connected as {words}")
        return
    talk.line(f"Connected in {duration(took)} as {words}")
    talk.line("Stop: sudo kvpn down")


def down(args: argparse.Namespace, talk: Talk) -> int:
    """Disconnect and restore; 0 also when there was nothing to do."""
    def step(body: Mapping[str, Any]) -> None:
        talk.step(str(body["name"]), Level(body["level"]), str(body["text"]), body.get("seconds"))

    try:
        result = call(args.state_dir, Method.DOWN, {"session": args.session}, on_step=step)
    except NotRunning:
        return _restore_without_daemon(args.state_dir, talk)
    except Failure:
        if not args.force:
            raise
        return _restore_without_daemon(args.state_dir, talk)
    if result["exiting"]:
        _wait_for_exit(args.state_dir)
    if result["left"]:
        raise Failure(ExitCode.FAILURE, "down", f"still there: {', '.join(result['left'])}", "sudo kvpn down --force")
    talk.line("Disconnected." if result["sessions"] else "Already down.")
    return int(ExitCode.OK)


def _wait_for_exit(state_dir: Path) -> None:
    deadline = time.monotonic() + EXIT_TIMEOUT
    while time.monotonic() < deadline:
        try:
            call(state_dir, Method.STATUS, timeout=1)
        except Failure:
            return
        time.sleep(0.02)


def _restore_without_daemon(state_dir: Path, talk: Talk) -> int:
    """Undo whatever a killed daemon left in its journals."""
    from vpn_client.leftovers import journals, undo_all

    if not journals(state_dir):
        talk.line("Already down.")
        return int(ExitCode.OK)
    _need_root("down --force", f"no kvpnd is running, and {state_dir} holds a journal to undo")
    failed = False
    for name, level, text in undo_all(state_dir):
        failed |= level is Level.FAIL
        talk.step(name, level, text)
    talk.line("Restored." if not failed else "Not everything could be restored.")
    return int(ExitCode.FAILURE if failed else ExitCode.OK)


def make_key(args: argparse.Namespace, talk: Talk) -> int:
    """Print the public key of a new private key file."""
    from vpn_client.keygen import keygen

    sys.stdout.write(keygen(args.private_key_file, user=invoking_user(os.environ)) + "\n")
    talk.line(f"private key in {args.private_key_file} (mode 0600); the line above is for the Peer object")
    return int(ExitCode.OK)
