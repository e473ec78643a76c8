"""The daemon's methods on fake parts: sessions, owners, switching, hang-ups."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.unit.vpn_client.fakes import FakeParts, World
from tests.unit.vpn_client.samples import INTENT, KEY
from tests.unit.vpn_client.test_worker import until
from vpn_client import service as service_module
from vpn_client.control_protocol import Method, Request
from vpn_client.control_socket import Caller
from vpn_client.exit_codes import ExitCode, Failure
from vpn_client.host_plan import Note
from vpn_client.service import DaemonService

ROOT, ALICE = Caller(1, 0, 0), Caller(2, 1001, 1001)


class Rig:
    """A service, the steps it told, and calls in short."""

    def __init__(self, folder: Path, world: World) -> None:
        self.world = world
        self.service = DaemonService(folder, FakeParts(world), [Note("routes", "gone")])
        self.steps: list[Mapping[str, Any]] = []

    async def tell(self, step: Mapping[str, Any]) -> None:
        self.steps.append(step)

    async def call(self, method: Method, caller: Caller = ROOT, **params: Any) -> Mapping[str, Any]:
        return await self.service.call(Request(method, params), caller, self.tell)

    async def up(self, caller: Caller = ROOT, **changes: Any) -> Mapping[str, Any]:
        options = {name: changes.pop(name) for name in ("switch", "owner", "timeout") if name in changes}
        return await self.call(Method.UP, caller, intent={**INTENT, **changes}, **{"timeout": 20, **options})


def run(folder: Path, then: Callable[[Rig], Awaitable[None]], **world: Any) -> Rig:
    async def go() -> Rig:
        rig = Rig(folder, World(**world))
        try:
            await then(rig)
        finally:
            await rig.service.stop()
        return rig
    return asyncio.run(go())


def test_up_status_down(tmp_path: Path) -> None:
    async def then(rig: Rig) -> None:
        assert rig.service.status()["sessions"] == []
        result = await rig.up()
        assert (result["already"], result["session"]["state"]) == (False, "up")
        assert [step["name"] for step in rig.steps][:2] == ["host clean", "transport"]
        assert rig.steps[0]["text"] == "restored from an earlier run: gone"
        assert KEY not in repr(result)
        assert (await rig.call(Method.STATUS))["sessions"][0]["session"] == "default"
        rig.steps.clear()
        assert await rig.call(Method.DOWN) == {"sessions": ["default"], "exiting": True, "left": []}
        assert [step["text"] for step in rig.steps] == ["routes", "dns"]
        assert rig.service.idle.is_set()
        assert await rig.call(Method.DOWN) == {"sessions": [], "exiting": True, "left": []}
    run(tmp_path, then)


def test_up_again_is_already_connected(tmp_path: Path) -> None:
    async def then(rig: Rig) -> None:
        await rig.up()
        assert (await rig.up(profile="same-under-another-name.toml"))["already"] is True
        assert rig.world.log.count("open tunnel") == 1
    run(tmp_path, then)


def test_two_who_ask_at_once_wait_for_one_session(tmp_path: Path) -> None:
    async def then(rig: Rig) -> None:
        first, second = await asyncio.gather(rig.up(), rig.up())
        assert (first["already"], second["already"]) == (False, True)
        assert rig.world.log.count("open tunnel") == 1
    run(tmp_path, then)


def test_another_profile_needs_switch(tmp_path: Path) -> None:
    async def then(rig: Rig) -> None:
        await rig.up()
        with pytest.raises(Failure, match="it is up with profile laptop") as caught:
            await rig.up(mtu=1300)
        assert caught.value.code is ExitCode.USAGE
        assert "--switch" in caught.value.fix
        await rig.up(mtu=1300, switch=True)
        assert rig.world.log.count("undo") == 1
        assert len(rig.service.status()["sessions"]) == 1
    run(tmp_path, then)


def test_sessions_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_module, "MAX_SESSIONS", 2)

    async def then(rig: Rig) -> None:
        await rig.up()
        await rig.up(session="ci")
        with pytest.raises(Failure, match="2 sessions are up"):
            await rig.up(session="third")
        assert (await rig.call(Method.DOWN, session="ci"))["exiting"] is False
        assert [each["session"] for each in rig.service.status()["sessions"]] == ["default"]
        assert not rig.service.idle.is_set()
    run(tmp_path, then)


def test_a_failed_up_rolls_back_says_so_and_is_gone(tmp_path: Path) -> None:
    async def then(rig: Rig) -> None:
        with pytest.raises(Failure, match="no answer from it") as caught:
            await rig.up(timeout=0.3)
        assert caught.value.code is ExitCode.UNREACHABLE
        assert [step["name"] for step in rig.steps][-3:] == ["transport", "undo restore", "undo restore"]
        await until(rig.service.idle.is_set)
        assert rig.service.status()["sessions"] == []
    run(tmp_path, then, answers=False)


def test_a_caller_who_hangs_up_takes_the_unfinished_session_with_him(tmp_path: Path) -> None:
    async def then(rig: Rig) -> None:
        waiting = asyncio.ensure_future(rig.up())
        await until(lambda: "open tunnel" in rig.world.log)
        waiting.cancel()
        await until(lambda: rig.world.log[-1] == "tunnel closed")
        await until(rig.service.idle.is_set)
    run(tmp_path, then, answers=False)


def test_down_while_connecting_ends_up(tmp_path: Path) -> None:
    async def then(rig: Rig) -> None:
        waiting = asyncio.ensure_future(rig.up())
        await until(lambda: "open tunnel" in rig.world.log)
        await rig.call(Method.DOWN)
        with pytest.raises(Failure, match="taken down meanwhile"):
            await waiting
    run(tmp_path, then, answers=False)


def test_a_bug_ends_the_session_not_the_daemon(tmp_path: Path) -> None:
    async def then(rig: Rig) -> None:
        with pytest.raises(Failure):
            await rig.up()
        await until(rig.service.idle.is_set)
        rig.world.fail_on.clear()
        assert (await rig.up())["session"]["state"] == "up"
    rig = run(tmp_path, then, fail_on={"ask gateway": ZeroDivisionError("bug")})
    assert rig.world.log.count("undo") == 2


def test_owners(tmp_path: Path) -> None:
    async def then(rig: Rig) -> None:
        await rig.up(owner=1000)
        await rig.up(ALICE, session="hers", owner=1000)
        def owner(**params: Any) -> int | None:
            return rig.service.owner_of(Request(Method.DOWN, params))
        assert owner(session="default") == 1000
        assert owner(session="hers") == 1001
        assert owner() is None
        assert owner(session="absent") is None
    run(tmp_path, then)


@pytest.mark.parametrize(("params", "why"), [
    ({"intent": None}, "missing"), ({"intent": {**INTENT, "mtu": 1}}, "out of range"), ({"timeout": 0}, "out of range"),
    ({"timeout": 1e9}, "out of range"), ({"timeout": True}, "out of range"), ({"timeout": "9"}, "out of range")])
def test_bad_params(tmp_path: Path, params: dict[str, Any], why: str) -> None:
    async def then(rig: Rig) -> None:
        with pytest.raises(Failure, match=why) as caught:
            await rig.call(Method.UP, **{"intent": INTENT, **params})
        assert caught.value.code is ExitCode.USAGE
    run(tmp_path, then)


def test_what_down_leaves_is_said(tmp_path: Path) -> None:
    async def then(rig: Rig) -> None:
        await rig.up()
        (tmp_path / "journal-default.json").touch()
        (tmp_path / "journal-other.json").touch()
        assert (await rig.call(Method.DOWN))["left"] == [f"journal {tmp_path / 'journal-default.json'}"]
    run(tmp_path, then)


def test_watch_tells_a_status_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_module, "WATCH_INTERVAL", 0.01)

    async def then(rig: Rig) -> None:
        watching = asyncio.ensure_future(rig.call(Method.WATCH))
        await until(lambda: len(rig.steps) > 2)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        assert rig.steps[0]["version"] == 1
    run(tmp_path, then)


def test_the_doctor_is_asked_in_the_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vpn_client import doctor
    from vpn_client.doctor_checks import Finding
    from vpn_client.output import Level
    monkeypatch.setattr(doctor, "examine", lambda folder, status: [Finding("a", Level.OK, "fine")])

    async def then(rig: Rig) -> None:
        assert await rig.call(Method.DOCTOR) == {"checks": [Finding("a", Level.OK, "fine").to_json()]}
    run(tmp_path, then)


def test_only_links_of_others_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "if_indextoname", lambda index: {7: "kvpn9", 8: "eth0"}[index])

    async def then(rig: Rig) -> None:
        await rig.up()
        assert rig.service.is_ours(7)
        assert not rig.service.is_ours(8)
        assert rig.world.tunnel is not None
        before = rig.world.tunnel.forced
        await asyncio.sleep(0.3)
        rig.service.link_changed()
        await until(lambda: rig.world.tunnel is not None and rig.world.tunnel.forced > before)
    run(tmp_path, then)
