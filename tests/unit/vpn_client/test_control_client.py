"""What a caller makes of daemons that are absent, silent, rude or dead."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from vpn_client.control_client import SOCKET_NAME, NotRunning, call, replies
from vpn_client.control_protocol import Method, Result, Step
from vpn_client.exit_codes import ExitCode, Failure


@contextmanager
def daemon(folder: Path, answer: bytes | None) -> Iterator[None]:
    """A daemon for one call: it reads a line, sends `answer` and hangs up; None: it stays silent."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(folder / SOCKET_NAME))
        listener.listen(1)
        release = threading.Event()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, connection.makefile("rb") as lines:
                lines.readline()
                if answer is None:
                    release.wait(10)
                else:
                    connection.sendall(answer)
        thread = threading.Thread(target=serve)
        thread.start()
        yield
        release.set()
        thread.join()


def test_no_socket_means_not_running(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(NotRunning, match="nothing listens") as caught:
            call(folder, Method.STATUS)
        assert caught.value.code is ExitCode.NOT_CONNECTED
        assert "kvpn up" in caught.value.fix


def test_a_leftover_socket_means_not_running(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(tmp_path / SOCKET_NAME))
    with pytest.raises(NotRunning):
        call(tmp_path, Method.STATUS)


def test_steps_then_the_result(tmp_path: Path) -> None:
    steps: list[Mapping[str, Any]] = []
    with daemon(tmp_path, b'{"step":{"a":1}}\n{"step":{"a":2}}\n{"result":{"b":3}}\n'):
        assert call(tmp_path, Method.UP, on_step=steps.append) == {"b": 3}
    assert steps == [{"a": 1}, {"a": 2}]


def test_replies_go_on_until_the_daemon_hangs_up(tmp_path: Path) -> None:
    with daemon(tmp_path, b'{"step":{"a":1}}\n{"result":{}}\n'):
        assert list(replies(tmp_path, Method.WATCH)) == [Step({"a": 1}), Result({})]


@pytest.mark.parametrize(("answer", "why", "code"), [
    (b"", "closed the connection", ExitCode.FAILURE), (b'{"step":{}}\n', "closed the connection", ExitCode.FAILURE),
    (b"\x00\n", "its reply is not JSON", ExitCode.FAILURE), (b'{"resu', "its reply is not JSON", ExitCode.FAILURE),
    (b'{"error":{"code":"denied","what":"gateway","why":"no","fix":"ask"}}\n', "gateway: no", ExitCode.DENIED),
    (None, "no word for", ExitCode.TIMEOUT)])
def test_what_goes_wrong_is_a_failure(tmp_path: Path, answer: bytes | None, why: str, code: ExitCode) -> None:
    with daemon(tmp_path, answer), pytest.raises(Failure, match=why) as caught:
        call(tmp_path, Method.STATUS, timeout=0.2 if answer is None else 10)
    assert caught.value.code is code
    assert caught.value.fix


def test_a_path_that_is_too_long_is_said(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="too long"):
        call(tmp_path / ("x" * 200), Method.STATUS)
