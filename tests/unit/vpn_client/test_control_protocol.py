"""Lines of the control socket: round trips, and one exception for everything else."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpn_client.control_protocol import (
    MAX_LINE,
    BadMessage,
    Method,
    Request,
    Result,
    Step,
    decode_reply_untrusted,
    decode_request_untrusted,
    encode_reply,
    encode_request,
)
from vpn_client.exit_codes import ExitCode, Failure


@pytest.mark.parametrize("method", Method)
def test_requests_round_trip(method: Method) -> None:
    request = Request(method, {"a": [1, "ü"]})
    line = encode_request(request)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert decode_request_untrusted(line) == request


@pytest.mark.parametrize("reply", [Step({"name": "dns"}), Result({"sessions": []})])
def test_replies_round_trip(reply: Step | Result) -> None:
    assert decode_reply_untrusted(encode_reply(reply)) == reply


@pytest.mark.parametrize("code", ExitCode)
def test_failures_keep_their_code_and_words(code: ExitCode) -> None:
    got = decode_reply_untrusted(encode_reply(Failure(code, "a", "b", "c")))
    assert isinstance(got, Failure)
    assert (got.code, got.what, got.why, got.fix) == (code, "a", "b", "c")


def test_a_code_of_a_newer_daemon_is_a_plain_failure() -> None:
    got = decode_reply_untrusted(b'{"error":{"code":"eclipse"}}')
    assert isinstance(got, Failure)
    assert got.code is ExitCode.FAILURE


@pytest.mark.parametrize(("line", "why"), [
    (b"", "not JSON"), (b"[]", "not an object"), (b"\xff", "not JSON"), (b"[" * 100000, "not JSON"),
    (b'{"method":"up"}', "version None"), (b'{"version":2,"method":"up"}', "version 2"),
    (b'{"version":1,"method":"shell"}', "unknown method 'shell'"), (b'{"version":1,"method":[]}', "unknown method"),
    (b'{"version":1,"method":"up","params":[]}', "params"), (b" " * (MAX_LINE + 1), "longer")])
def test_bad_requests(line: bytes, why: str) -> None:
    with pytest.raises(BadMessage, match=why):
        decode_request_untrusted(line)


def test_a_reply_without_a_known_kind() -> None:
    with pytest.raises(BadMessage, match="neither"):
        decode_reply_untrusted(b'{"step":7}')


_names = st.sampled_from(["version", "method", "params", "error", "step", "code"])
_json = st.recursive(st.none() | st.integers() | st.text(max_size=8), lambda inner: st.lists(inner, max_size=3)
                     | st.dictionaries(_names, inner), max_leaves=8)


@given(st.binary(max_size=200) | _json.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_raise_the_one_exception(line: bytes) -> None:
    for decode in (decode_request_untrusted, decode_reply_untrusted):
        with contextlib.suppress(BadMessage):
            decode(line)
