"""Real parts that need no privilege: names of interfaces, the gateway's answer, the right source address."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import socket
from pathlib import Path

import pytest

from tests.unit.vpn_client.http_gateway import gateway, head
from tests.unit.vpn_client.samples import INTENT
from tests.unit.vpn_client.test_gateway_session import ANSWER
from vpn_client import real_parts
from vpn_client.daemon_config import DaemonConfig
from vpn_client.exit_codes import ExitCode, Failure
from vpn_client.gateway_session import GatewaySession
from vpn_client.http_client import Target
from vpn_client.intent import Intent, parse_intent_untrusted
from vpn_client.real_parts import RealParts


@pytest.fixture
def parts(tmp_path: Path) -> RealParts:
    return RealParts(tmp_path, DaemonConfig())


def test_the_first_free_name_is_taken(parts: RealParts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "if_nameindex", lambda: [(1, "lo"), (2, "kvpn0"), (3, "kvpn2")])
    assert parts.free_interface() == "kvpn1"
    monkeypatch.setattr(socket, "if_nameindex", lambda: [(at, f"kvpn{at}") for at in range(64)])
    with pytest.raises(Failure, match="64 of ours"):
        parts.free_interface()


def test_requests_leave_from_our_address_of_the_gateways_family() -> None:
    intent = parse_intent_untrusted(INTENT)
    assert real_parts._target(intent, "kvpn0") == Target("198.18.0.1", 4780, "kvpn0", "198.18.0.2")
    six = dataclasses.replace(intent, gateway_address="fd6b:7670:6e::1")
    assert real_parts._target(six, "kvpn0").source == "fd6b:7670:6e::2"


def ask(parts: RealParts, monkeypatch: pytest.MonkeyPatch, *answers: bytes) -> tuple[GatewaySession, int]:
    """(the answer, how many requests it took)."""
    async def go() -> tuple[GatewaySession, int]:
        left = list(answers)

        async def respond(path: str, writer: asyncio.StreamWriter) -> None:
            assert path == "/v1/session"
            writer.write(left.pop(0))
        async with gateway(respond) as (target, requests):
            def here(intent: Intent, interface: str) -> Target:
                return target
            monkeypatch.setattr(real_parts, "_target", here)
            return await parts.gateway_session(parse_intent_untrusted(INTENT), "lo"), len(requests)
    return asyncio.run(go())


GOOD = head(200) + json.dumps(ANSWER).encode()


def test_the_gateway_says_who_we_are(parts: RealParts, monkeypatch: pytest.MonkeyPatch) -> None:
    answer, requests = ask(parts, monkeypatch, GOOD)
    assert (answer.peer, requests) == ("laptop", 1)


def test_a_lost_answer_is_asked_for_again(parts: RealParts, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask(parts, monkeypatch, b"", head(500), GOOD)[1] == 3


@pytest.mark.parametrize(("answers", "code", "why"), [
    ((b"", b"", b""), ExitCode.UNREACHABLE, "hung up"), ((head(500),) * 3, ExitCode.UNREACHABLE, "answers 500"),
    ((head(403),), ExitCode.DENIED, "403"), ((head(200) + b"{}",), ExitCode.FAILURE, "version None")])
def test_what_is_no_answer(parts: RealParts, monkeypatch: pytest.MonkeyPatch, answers: tuple[bytes, ...],
                           code: ExitCode, why: str) -> None:
    with pytest.raises(Failure, match=why) as caught:
        ask(parts, monkeypatch, *answers)
    assert caught.value.code is code
    assert caught.value.fix


def test_the_clock_counts_suspend(parts: RealParts) -> None:
    import time
    assert abs(parts.now() - time.clock_gettime(time.CLOCK_BOOTTIME)) < 5
