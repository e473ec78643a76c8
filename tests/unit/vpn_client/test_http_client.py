"""One GET on a real connection: bodies, limits, silence, and everything that is not HTTP."""

from __future__ import annotations

import asyncio
import gzip
import zlib

import pytest

from tests.unit.vpn_client.http_gateway import gateway, head
from vpn_client import http_client
from vpn_client.http_client import HttpError, Target, get, inflate


def fetch(answer: bytes, *, hang: bool = False, timeout: float = 5.0, silence: float = 5.0) -> tuple[int, bytes, str]:
    """(status, body, request) of one GET that is answered with these bytes."""
    async def go() -> tuple[int, bytes, str]:
        async def respond(path: str, writer: asyncio.StreamWriter) -> None:
            writer.write(answer)
            await writer.drain()
            if hang:
                await asyncio.sleep(3600)
        async with gateway(respond) as (target, requests), get(target, "/x?y=1", timeout=timeout,
                                                             headers={"Accept-Encoding": "gzip"}) as response:
            body = await response.read(silence)
            return response.status, body, requests[0]
    return asyncio.run(go())


def test_status_body_and_the_request() -> None:
    status, body, request = fetch(head(200, "Content-Length: 5") + b"hello")
    assert (status, body) == (200, b"hello")
    assert request.startswith("GET /x?y=1 HTTP/1.1\r\nHost: 127.0.0.1:")
    assert "Accept-Encoding: gzip" in request


def test_chunked_bodies_and_interim_answers() -> None:
    answer = b"HTTP/1.1 103 Early Hints\r\n\r\n" + head(200, "Transfer-Encoding: chunked") + b"3\r\nabc\r\n0\r\n\r\n"
    assert fetch(answer)[1] == b"abc"


def test_gzip_bodies_are_inflated() -> None:
    assert fetch(head(200, "Content-Encoding: gzip") + gzip.compress(b"x" * 9000))[1] == b"x" * 9000


@pytest.mark.parametrize(("answer", "why"), [
    (b"", "hung up"), (b"SSH-2.0-OpenSSH\r\n\r\n", "not HTTP"), (head(200, "Content-Length: 9") + b"x", "not HTTP"),
    (head(200, "Content-Encoding: gzip") + b"not gzip", "bad gzip")])
def test_what_is_no_answer_is_an_error(answer: bytes, why: str) -> None:
    with pytest.raises(HttpError, match=why):
        fetch(answer)


def test_silence_before_and_in_the_body() -> None:
    with pytest.raises(HttpError, match=r"silent for 0\.1 s"):
        fetch(b"", hang=True, timeout=0.1)
    with pytest.raises(HttpError, match=r"silent for 0\.1 s"):
        fetch(head(200) + b"x", hang=True, silence=0.1)


def test_nobody_there() -> None:
    async def go() -> None:
        async with gateway(lambda path, writer: asyncio.sleep(0)) as (target, _):
            pass
        async with get(target, "/", timeout=1):
            pass
    with pytest.raises(HttpError, match="Connection refused"):
        asyncio.run(go())


def test_a_body_that_never_ends_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "MAX_BODY", 1000)
    with pytest.raises(HttpError, match="longer than 1000"):
        fetch(head(200) + b"x" * 5000)


def test_a_bomb_is_inflated_in_bounded_pieces() -> None:
    pieces = inflate(zlib.decompressobj(wbits=31), gzip.compress(bytes(3_000_000)))
    assert sum(map(len, pieces)) == 3_000_000
    assert max(map(len, pieces)) <= http_client.MAX_INFLATED


def test_hosts_in_the_authority() -> None:
    assert Target("fd00::1", 80).authority == "[fd00::1]:80"
    assert Target("192.0.2.1", 80).authority == "192.0.2.1:80"
