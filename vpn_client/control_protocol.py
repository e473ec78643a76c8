"""The control socket's language: one JSON object a line, both ways.

Owns the shape of requests and replies, and their limits. Leaves to others: sockets (`control_socket`,
`control_client`), who may call what (`control_socket`), what a method does (`worker`).

A request is `{"version":1,"method":M,"params":{…}}`. Replies to one request, in order: any number of `{"step":{…}}`,
then one of `{"result":{…}}` and `{"error":{"code","what","why","fix"}}`. A connection may carry several requests, one
at a time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from vpn_client.exit_codes import ExitCode, Failure

VERSION: Final = 1
MAX_LINE: Final = 256 * 1024
"""Bytes of one line, either way: an intent with all its routes, or the status of many sessions, fits."""


class Method(StrEnum):
    """What can be asked."""

    UP = "up"
    DOWN = "down"
    STATUS = "status"
    WATCH = "watch"
    """A status as a step once a second, until the caller hangs up."""
    DOCTOR = "doctor"


class BadMessage(ValueError):
    """Bytes that are no message of this protocol."""


@dataclass(frozen=True, slots=True)
class Request:
    """One call."""

    method: Method
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """Progress; what is inside belongs to the method."""

    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Result:
    """The call's outcome."""

    body: Mapping[str, Any]


Reply = Step | Result | Failure


def encode_request(request: Request) -> bytes:
    """The request as a line."""
    return _line({"version": VERSION, "method": request.method.value, "params": dict(request.params)})


def decode_request_untrusted(line: bytes) -> Request:
    """The request in a line; BadMessage otherwise."""
    raw = _object(line)
    if raw.get("version") != VERSION:
        raise BadMessage(f"version {raw.get('version')!r} is not {VERSION}")
    try:
        method = Method(str(raw.get("method")))
    except ValueError:
        raise BadMessage(f"unknown method {str(raw.get('method'))[:40]!r}") from None
    params = raw.get("params", {})
    if not isinstance(params, dict):
        raise BadMessage("params is not an object")
    return Request(method, params)


def encode_reply(reply: Reply) -> bytes:
    """The reply as a line."""
    if isinstance(reply, Failure):
        return _line({"error": {"code": reply.code.name.lower(), "what": reply.what, "why": reply.why,
                                "fix": reply.fix}})
    return _line({"step" if isinstance(reply, Step) else "result": dict(reply.body)})


def decode_reply_untrusted(line: bytes) -> Reply:
    """The reply in a line; BadMessage otherwise. An unknown code, as of a newer daemon, is a plain failure."""
    raw = _object(line)
    for name, kind in (("step", Step), ("result", Result)):
        if isinstance(raw.get(name), dict):
            return kind(raw[name])
    error = raw.get("error")
    if not isinstance(error, dict):
        raise BadMessage("neither step, result nor error")
    code = ExitCode.__members__.get(str(error.get("code")).upper(), ExitCode.FAILURE)
    return Failure(code, *(str(error.get(name, "")) for name in ("what", "why", "fix")))


def _line(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def _object(line: bytes) -> dict[str, Any]:
    if len(line) > MAX_LINE:
        raise BadMessage(f"longer than {MAX_LINE} bytes")
    try:
        raw = json.loads(line)
    except (ValueError, RecursionError):
        raise BadMessage("not JSON") from None
    if not isinstance(raw, dict):
        raise BadMessage("not an object")
    return raw
