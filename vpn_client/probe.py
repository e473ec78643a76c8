"""I/O: the end-to-end proof: a name at our own resolver, then HTTP through the tunnel to the gateway.

Owns one question and one request, with their timeouts. Leaves to others: when to probe and what the outcome means
(`session`), the answer's meaning beyond one address (`kvpn_dns`).
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from vpn_client.http_client import HttpError, Target, get

DNS_TIMEOUT: Final = 1.0
"""Seconds for our own resolver, which is in this process."""
HTTP_TIMEOUT: Final = 2.0
"""Seconds for the gateway; above any sane round trip."""
_HEADER: Final = struct.Struct("!6H")
_RECORD: Final = struct.Struct("!HHIH")
_RD: Final = 0x0100
_A, _AAAA, _IN = 1, 28, 1


class ProbeFailed(Exception):
    """What was asked, and why nothing was proved."""


class BadAnswer(ValueError):
    """Bytes that do not answer our question."""


@dataclass(frozen=True, slots=True)
class ProbePlan:
    """What to ask: `name` at `resolver`, then GET `path` at its address through the tunnel."""

    name: str
    port: int
    resolver: tuple[str, int]
    interface: str = ""
    source: str = ""
    """Our tunnel address; its family decides whether A or AAAA is asked."""
    path: str = "/healthz"


async def probe(plan: ProbePlan, identifier: Callable[[], int]) -> str:
    """The evidence, in words; ProbeFailed otherwise. `identifier` gives the DNS question's 16 bits."""
    began = time.monotonic()
    address = await lookup(plan.name, ":" in plan.source, plan.resolver, identifier())
    target = Target(address, plan.port, plan.interface, plan.source)
    try:
        async with get(target, plan.path, timeout=HTTP_TIMEOUT, host=f"{plan.name}:{plan.port}") as response:
            body = await response.read(HTTP_TIMEOUT)
    except HttpError as error:
        raise ProbeFailed(f"GET http://{plan.name}:{plan.port}{plan.path}: {error}") from None
    if response.status != 200:
        raise ProbeFailed(f"GET http://{plan.name}:{plan.port}{plan.path} → {response.status}{_reasons(body)}")
    took = (time.monotonic() - began) * 1000
    return f"{plan.name} → {address} · GET {plan.path} → 200 in {took:.0f} ms"


def _reasons(body: bytes) -> str:
    """Why the gateway calls itself unwell, if it says so."""
    try:
        reasons = json.loads(body).get("reasons", [])
    except (ValueError, AttributeError, RecursionError):
        return ""
    return ": " + "; ".join(map(str, reasons[:3])) if isinstance(reasons, list) and reasons else ""


async def lookup(name: str, ipv6: bool, resolver: tuple[str, int], identifier: int) -> str:
    """The first address of `name` at `resolver`, over UDP; ProbeFailed otherwise."""
    family = socket.AF_INET6 if ":" in resolver[0] else socket.AF_INET
    loop = asyncio.get_running_loop()
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as asker:
        try:
            asker.connect(resolver)
            asker.send(question(name, ipv6, identifier))
            async with asyncio.timeout(DNS_TIMEOUT):
                return parse_answer_untrusted(await loop.sock_recv(asker, 4096), ipv6, identifier)
        except TimeoutError:
            why = f"no answer within {DNS_TIMEOUT:.0f} s"
        except OSError as error:
            why = error.strerror or str(error)
        except BadAnswer as error:
            why = str(error)
    raise ProbeFailed(f"{name} at our resolver {resolver[0]} port {resolver[1]}: {why}")


def question(name: str, ipv6: bool, identifier: int) -> bytes:
    """A query for one address record (RFC 1035 §4.1)."""
    labels = b"".join(bytes((len(label),)) + label for label in name.encode("ascii").rstrip(b".").split(b"."))
    return (_HEADER.pack(identifier, _RD, 1, 0, 0, 0) + labels
            + struct.pack("!BHH", 0, _AAAA if ipv6 else _A, _IN))


_RCODES: Final = {1: "FORMERR", 2: "SERVFAIL: no directory yet, or lost for too long", 3: "NXDOMAIN", 4: "NOTIMP",
                  5: "REFUSED"}


def parse_answer_untrusted(message: bytes, ipv6: bool, identifier: int) -> str:
    """The first address record in `message`; BadAnswer otherwise. The work is bounded by the message's length."""
    wanted = (_AAAA, 16) if ipv6 else (_A, 4)
    try:
        got, flags, questions, answers, _, _ = _HEADER.unpack_from(message)
        if got != identifier or not flags & 0x8000:
            raise BadAnswer("not an answer to our question")
        if flags & 15:
            raise BadAnswer(_RCODES.get(flags & 15, f"rcode {flags & 15}"))
        at = _HEADER.size
        for _ in range(questions):
            at = _skip_name(message, at) + 4
        for _ in range(answers):
            at = _skip_name(message, at)
            kind, _, _, length = _RECORD.unpack_from(message, at)
            at += _RECORD.size + length
            if (kind, length) == wanted and at <= len(message):
                return str(ipaddress.ip_address(message[at - length:at]))
    except (struct.error, IndexError):
        raise BadAnswer("a truncated answer") from None
    raise BadAnswer("it has no address")


def _skip_name(message: bytes, at: int) -> int:
    while (length := message[at]) != 0:
        if length & 0xC0:
            return at + 2
        at += 1 + length
    return at + 1
