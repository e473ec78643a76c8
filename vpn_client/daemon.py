"""I/O: `kvpnd`: the supervisor's process, and the worker's process under it.

Owns the processes: one per state directory (a lock), into the background and ready, signals, exit codes, the log.
Leaves to others: restoring after a death (`supervisor`), requests (`control_socket`, `service`), sessions (`worker`).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import json
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from vpn_client.exit_codes import ExitCode, Failure
from vpn_client.intent import Intent, to_json
from vpn_client.output import Level, Talk
from vpn_client.place import LOCK_NAME, colour_wanted, default_state_dir, log_file

READY: Final = b"ready\n"
MAX_WORDS: Final = 1 << 20
"""Bytes read from another process of ours: an intent, or last words."""

log = logging.getLogger("kvpnd")


def main(argv: Sequence[str] | None = None) -> int:
    """`kvpnd`: supervise a worker until it ends; `--cleanup` only restores the host from journals."""
    args = _parser().parse_args(argv)
    try:
        if args.worker:
            return _worker(args)
        if args.cleanup:
            return _cleanup(args.state_dir)
        if args.background:
            return _into_background(args)
        return _supervise(args, inherited=())
    except Failure as failure:
        Talk(sys.stderr).failure(failure)
        return int(failure.code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="kvpnd", description="The kvpn daemon.")
    parser.add_argument("--state-dir", type=Path, default=default_state_dir(), help="socket, lock and journals")
    parser.add_argument("--background", action="store_true", help="return when it listens; log to a file")
    parser.add_argument("--exit-when-idle", action="store_true", help="end with the last session")
    parser.add_argument("--cleanup", action="store_true", help="restore the host from journals and end")
    parser.add_argument("-v", "--verbose", action="store_true", help="log every detail, never keys")
    for name in ("--ready-fd", "--up-fd"):
        parser.add_argument(name, type=int, default=None, help=argparse.SUPPRESS)
    parser.add_argument("--restored", default="[]", help=argparse.SUPPRESS)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    return parser


def run_foreground(state_dir: Path, intent: Intent, timeout: float, *, owner: int) -> int:
    """`kvpn up --foreground`: supervisor and worker in this process tree; the intent is in memory, not in argv."""
    args = _parser().parse_args(["--state-dir", str(state_dir), "--exit-when-idle"])
    args.up_fd = os.memfd_create("kvpn-intent", 0)
    with open(os.dup(args.up_fd), "wb") as file:
        file.write(json.dumps({"intent": to_json(intent), "timeout": timeout, "owner": owner}).encode())
    os.lseek(args.up_fd, 0, os.SEEK_SET)
    return _supervise(args, inherited=(args.up_fd,))


# --- the supervisor's process ---

def _supervise(args: argparse.Namespace, inherited: Sequence[int]) -> int:
    from vpn_client.supervisor import supervise

    _make_state_dir(args.state_dir)
    lock = _lock(args.state_dir)
    restored = _restore(args.state_dir)
    for fd in (lock, *inherited):
        os.set_inheritable(fd, True)
    words = [sys.executable, "-m", "vpn_client.daemon", "--worker", "--state-dir", str(args.state_dir),
             "--restored", json.dumps(restored)]
    words += [flag for flag, wanted in (("--exit-when-idle", args.exit_when_idle), ("-v", args.verbose)) if wanted]
    for flag, fd in (("--ready-fd", args.ready_fd), ("--up-fd", args.up_fd)):
        words += [flag, str(fd)] if fd is not None else []
    return supervise(words, args.state_dir)


def _make_state_dir(state_dir: Path) -> None:
    try:
        if not state_dir.is_dir():
            state_dir.mkdir(parents=True)
            state_dir.chmod(0o755)
    except OSError as error:
        raise Failure(ExitCode.NO_PERMISSION if isinstance(error, PermissionError) else ExitCode.FAILURE,
                      f"state directory {state_dir}", error.strerror or str(error), "run kvpnd as root") from None


def _lock(state_dir: Path) -> int:
    """A lock that both processes hold: a second kvpnd must not take a living one's journals for leftovers."""
    fd = os.open(state_dir / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise Failure(ExitCode.FAILURE, "kvpnd", f"another one runs on {state_dir}", "kvpn status") from None
    return fd


def _restore(state_dir: Path) -> list[list[str]]:
    """What an earlier run left and is undone now, as [step, level, text]."""
    from vpn_client.linux_host import LinuxHost

    return [[note.step, note.level.value, note.text] for note in LinuxHost.undo_leftovers(state_dir)]


def _cleanup(state_dir: Path) -> int:
    from vpn_client.leftovers import undo_all

    talk, failed = Talk(sys.stderr, colour=colour_wanted(sys.stderr)), False
    for name, level, text in undo_all(state_dir):
        talk.step(name, level, text)
        failed |= level is Level.FAIL
    return int(ExitCode.FAILURE if failed else ExitCode.OK)


def _into_background(args: argparse.Namespace) -> int:
    """Fork twice; return when the worker listens, or with its last words on stderr."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    if (child := os.fork()) != 0:
        os.close(writing)
        os.waitpid(child, 0)
        with open(reading, "rb") as pipe:
            said = pipe.readline(MAX_WORDS)
            if said == READY:
                return int(ExitCode.OK)
            sys.stderr.write((said + pipe.read(MAX_WORDS)).decode("utf-8", "replace"))
        return int(ExitCode.FAILURE)
    os.close(reading)
    os.setsid()
    if os.fork() != 0:
        os._exit(0)
    os._exit(_as_daemon(args, writing))


def _as_daemon(args: argparse.Namespace, writing: int) -> int:
    """The grandchild: no terminal, a log file, a pipe for the word `ready`."""
    try:
        os.chdir("/")
        os.umask(0o077)
        _make_state_dir(args.state_dir)
        _redirect(log_file(args.state_dir))
        args.ready_fd = writing
        return _supervise(args, inherited=(writing,))
    except Failure as failure:
        os.write(writing, f"{failure}; fix: {failure.fix}\n".encode())
        return int(failure.code)
    except OSError as error:
        os.write(writing, f"{error}\n".encode())
        return int(ExitCode.FAILURE)


def _redirect(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sink = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for fd, target in ((nothing, 0), (sink, 1), (sink, 2)):
        os.dup2(fd, target)


# --- the worker's process ---

def _worker(args: argparse.Namespace) -> int:
    from vpn_client.supervisor import end_with_supervisor

    end_with_supervisor()
    logging.basicConfig(stream=sys.stderr, level=logging.DEBUG if args.verbose else logging.INFO,
                        format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    if args.up_fd is not None and not args.verbose:
        logging.getLogger().setLevel(logging.ERROR)  # until connected the lines of `up` say it all
    try:
        return asyncio.run(_serve(args))
    except Failure as failure:
        if args.ready_fd is not None:
            os.write(args.ready_fd, f"{failure}; fix: {failure.fix}\n".encode())
        raise


async def _serve(args: argparse.Namespace) -> int:
    """Listen; end on a signal, or when idle if that is wanted."""
    from vpn_client.control_socket import ControlSocket
    from vpn_client.daemon_config import load
    from vpn_client.host_plan import Note
    from vpn_client.link_watch import LinkWatch
    from vpn_client.real_parts import RealParts
    from vpn_client.service import DaemonService

    clean = [Note(step, text, Level(level)) for step, level, text in json.loads(args.restored)]
    service = DaemonService(args.state_dir, RealParts(args.state_dir, load()), clean)
    door = ControlSocket(args.state_dir, service)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await door.start()
    links = LinkWatch(service.link_changed, service.is_ours)
    watchdog = asyncio.create_task(_sign_of_life())
    try:
        _say_ready(args.ready_fd)
        return await _until_end(args, service, stop)
    finally:
        watchdog.cancel()
        links.close()
        await service.stop()
        await door.stop()


async def _until_end(args: argparse.Namespace, service: Any, stop: asyncio.Event) -> int:
    from vpn_client.service import until

    if args.up_fd is not None:
        code = await _up_in_foreground(args.up_fd, service, stop)
        if code != ExitCode.OK:
            return code
    await until(stop, *([service.idle] if args.exit_when_idle else []))
    ended = not stop.is_set() and args.up_fd is not None
    return int(service.last_failure.code) if ended and service.last_failure else int(ExitCode.OK)


async def _up_in_foreground(fd: int, service: Any, stop: asyncio.Event) -> int:
    """Bring the one session up, lines to stderr; a signal meanwhile takes it down again."""
    from vpn_client.control_protocol import Method, Request
    from vpn_client.control_socket import Caller

    talk = Talk(sys.stderr, colour=colour_wanted(sys.stderr))

    async def tell(step: Any) -> None:
        talk.step(step["name"], Level(step["level"]), step["text"], step.get("seconds"))

    request = Request(Method.UP, _read_params(fd))
    working = asyncio.create_task(service.call(request, Caller(os.getpid(), os.getuid(), os.getgid()), tell))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not working.done():
        working.cancel()
        await asyncio.wait([working])
        return int(ExitCode.INTERRUPTED)
    try:
        session = working.result()["session"]
    except Failure as failure:
        talk.failure(failure)
        return int(failure.code)
    logging.getLogger().setLevel(logging.INFO)
    talk.line(f"Connected as {', '.join(session['host']['addresses'])}; down with Ctrl-C or: sudo kvpn down")
    return int(ExitCode.OK)


def _read_params(fd: int) -> dict[str, Any]:
    with open(fd, "rb") as file:
        return dict(json.loads(file.read(MAX_WORDS)))


def _say_ready(fd: int | None) -> None:
    from vpn_client.notify import notify

    notify("READY=1")
    if fd is not None:
        with contextlib.suppress(BrokenPipeError):
            os.write(fd, READY)
        os.close(fd)


async def _sign_of_life() -> None:
    from vpn_client.notify import notify, watchdog_interval

    interval = watchdog_interval()
    while interval is not None:
        notify("WATCHDOG=1")
        await asyncio.sleep(interval)


if __name__ == "__main__":
    sys.exit(main())
