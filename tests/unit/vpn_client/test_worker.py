"""One session on fake parts: the order of things, what each failure undoes, repair while connected."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from ipaddress import ip_network
from typing import Any

import pytest

from tests.unit.vpn_client.fakes import ANSWER, GATEWAY_ROUTE, ITEMS, WARNING, FakeParts, World
from tests.unit.vpn_client.samples import INTENT, KEY
from vpn_client.exit_codes import ExitCode, Failure
from vpn_client.host_plan import Note
from vpn_client.intent import parse_intent_untrusted
from vpn_client.linux_host import HostError
from vpn_client.output import Level
from vpn_client.session import Phase, Say, State
from vpn_client.worker import SessionWorker
from vpn_directory.model import Service, ServiceKind, Zone, ZoneKind


class Run:
    """A worker in a world, with what it said."""

    def __init__(self, world: World, *, timeout: float = 20.0, **changes: Any) -> None:
        self.world = world
        self.said: list[Say] = []
        self.worker = SessionWorker(parse_intent_untrusted({**INTENT, **changes}), FakeParts(world), owner=1000,
                                    timeout=timeout)
        self.worker.on_say = self.said.append


def drive(world: World, then: Callable[[Run], Awaitable[None]], **options: Any) -> Run:
    """Bring a session up, do `then`, take it down."""
    async def go() -> Run:
        run = Run(world, **options)
        running = asyncio.ensure_future(run.worker.run())
        ready = {asyncio.ensure_future(each.wait()) for each in (run.worker.connected, run.worker.finished)}
        await asyncio.wait({running, *ready}, return_when=asyncio.FIRST_COMPLETED)
        for each in ready:
            each.cancel()
        await then(run)
        run.worker.stop()
        await asyncio.wait_for(running, 20)
        return run
    return asyncio.run(go())


async def nothing(run: Run) -> None:
    """Nothing in between."""


async def until(condition: Callable[[], object]) -> None:
    """Wait for something that happens in this loop."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


def test_up_in_order_then_down_in_reverse() -> None:
    world = World()
    run = drive(world, nothing)
    assert world.log == ["will open kvpn9", "open tunnel", "apply", "names start", "ask gateway", "update",
                         "tunnel mtu 1420", "undo", "names stopped", "tunnel closed"]
    assert [said.name for said in run.said] == ["host clean", "transport", "address", "gateway", "mtu", "policy",
                                                "directory", "routes", "probe"]
    assert [said.level for said in run.said if said.name != "policy"] == [Level.OK] * 8
    assert run.said[5].level is Level.WARN
    assert run.worker.failure is None
    assert run.worker.undone == world.undo_notes


def test_leftovers_of_an_earlier_run_are_said() -> None:
    async def go() -> list[Say]:
        worker = SessionWorker(parse_intent_untrusted(INTENT), FakeParts(World()), owner=0, timeout=20,
                               clean=[Note("routes", "10.96.0.0/16 removed")])
        said: list[Say] = []
        worker.on_say = said.append
        running = asyncio.ensure_future(worker.run())
        await worker.connected.wait()
        worker.stop()
        await running
        return said
    assert asyncio.run(go())[0].text == "restored from an earlier run: 10.96.0.0/16 removed"


def test_plans_follow_the_directory_and_nothing_else_may_come_out_of_the_tunnel() -> None:
    async def then(run: Run) -> None:
        tunnel = run.world.tunnel
        assert tunnel is not None
        assert set(tunnel.allowed) == {GATEWAY_ROUTE, ip_network("10.96.0.0/16")}
    world = World()
    drive(world, then)
    first, whole = world.plans
    assert (first.routes, first.resolver) == ((GATEWAY_ROUTE,), None)
    assert whole.resolver is not None
    assert (whole.resolver.server, whole.resolver.namespaces) == ("198.18.0.2", ("shop",))
    assert whole.suffixes == ("cluster.local",)
    assert world.names is not None
    assert world.names.upstreams == ("192.0.2.53",)


def test_later_changes_reach_names_at_once_and_the_host_soon() -> None:
    async def then(run: Run) -> None:
        assert run.world.directory is not None
        assert run.world.names is not None
        far = Service("cluster.local", "shop", "far", ServiceKind.CLUSTER_IP, ("10.97.0.1",), ("10.97.0.1",))
        run.world.notes = [WARNING]
        run.world.directory.push(*ITEMS, far)
        assert any(getattr(change, "item", None) == far for change in run.world.names.changes)
        await until(lambda: len(run.world.plans) == 3)
        assert ip_network("10.97.0.1/32") in run.world.plans[-1].routes
        await until(lambda: run.worker.facts()["notes"])
        assert run.worker.facts()["notes"] == [{"name": "routes", "level": "warn", "text": "10.1.0.0/16 is taken"}]
    drive(World(), then)


def test_a_change_that_needs_nothing_of_the_host_leaves_it_alone() -> None:
    async def then(run: Run) -> None:
        assert run.world.directory is not None
        near = Service("cluster.local", "shop", "near", ServiceKind.EXTERNAL_NAME, external_name="x.example")
        run.world.directory.push(*ITEMS, near)
        await asyncio.sleep(0.3)
        assert len(run.world.plans) == 2
    drive(World(), then)


def test_a_host_that_cannot_follow_is_a_note_not_an_end() -> None:
    async def then(run: Run) -> None:
        run.world.fail_on["update"] = HostError("routes", "no memory", "free some")
        assert run.world.directory is not None
        run.world.directory.push(Zone("cluster.local", ZoneKind.CLUSTER, ("10.99.0.0/16",)))
        await until(lambda: run.worker.facts()["notes"])
        assert run.worker.facts()["notes"][0]["text"] == "routes: no memory"
        assert run.worker.facts()["state"] == "up"
    drive(World(), then)


@pytest.mark.parametrize(("spoil", "phase", "code"), [
    ({"fail_on": {"will open kvpn9": HostError("kvpn9", "it is there", "remove it")}}, Phase.TRANSPORT,
     ExitCode.FAILURE),
    ({"fail_on": {"open tunnel": Failure(ExitCode.FAILURE, "tun", "no", "yes")}}, Phase.TRANSPORT, ExitCode.FAILURE),
    ({"answers": False}, Phase.TRANSPORT, ExitCode.UNREACHABLE),
    ({"fail_on": {"apply": HostError("address", "no", "yes")}}, Phase.ADDRESS, ExitCode.FAILURE),
    ({"fail_on": {"names start": Failure(ExitCode.FAILURE, "dns", "no", "yes")}}, Phase.ADDRESS, ExitCode.FAILURE),
    ({"session": Failure(ExitCode.DENIED, "gateway", "403", "ask")}, Phase.GATEWAY, ExitCode.DENIED),
    ({"session": ANSWER.__class__("0.1.0", "e", "x", ("198.18.0.9",), "open", "cluster.local", "", 1420)},
     Phase.GATEWAY, ExitCode.DENIED),
    ({"lists": False}, Phase.DIRECTORY, ExitCode.TIMEOUT),
    ({"fail_on": {"update": HostError("routes", "no", "yes")}}, Phase.HOST, ExitCode.FAILURE),
    ({"probe_error": "silent"}, Phase.PROBE, ExitCode.TIMEOUT)])
def test_whatever_fails_is_named_and_everything_is_undone(spoil: dict[str, Any], phase: Phase, code: ExitCode) -> None:
    world = World(**spoil)
    run = drive(world, nothing, timeout=1.5)
    assert run.worker.failure is not None
    assert run.worker.failure.code is code
    assert run.said[-1].level is Level.FAIL
    assert run.said[-1].name == phase.value
    assert "undo" in world.log
    if "open tunnel" in world.log and world.tunnel is not None:
        assert world.log[-1] == "tunnel closed"


def test_a_path_that_carries_less_lowers_the_mtu_now_and_later() -> None:
    async def then(run: Run) -> None:
        assert run.world.plans[-1].mtu == 1380
        tunnel = run.world.tunnel
        assert tunnel is not None
        run.world.answers, run.world.path_mtu = False, 1300
        before = tunnel.forced
        await until(lambda: tunnel.forced > before)
        run.world.answers = True
        await until(lambda: run.world.plans[-1].mtu == 1300)
    drive(World(path_mtu=1380), then)


def test_a_domain_that_the_profile_does_not_approve_is_said() -> None:
    world = World(session=ANSWER.__class__("0.1.0", "e", "x", ANSWER.addresses, "open", "corp.example", "", 1420))
    run = drive(world, nothing)
    assert any("corp.example, which the profile does not approve" in said.text for said in run.said)


def test_a_silent_gateway_that_comes_back_is_repaired() -> None:
    async def then(run: Run) -> None:
        tunnel, directory = run.world.tunnel, run.world.directory
        assert tunnel is not None
        assert directory is not None
        run.world.answers = False
        before = tunnel.forced
        await until(lambda: tunnel.forced >= before + 2)
        assert run.worker.facts()["state"] == State.DEGRADED
        run.world.answers = True
        await until(lambda: directory.reconnects == 1)
        await until(lambda: run.worker.facts()["state"] == State.UP)
        assert run.worker.facts()["reconnects"] == 1
        await until(lambda: run.world.log.count("ask gateway") == 2)
    drive(World(), then)


def test_a_gateway_that_denies_us_later_ends_the_session() -> None:
    async def then(run: Run) -> None:
        tunnel = run.world.tunnel
        assert tunnel is not None
        run.world.answers = False
        before = tunnel.forced
        await until(lambda: tunnel.forced > before)
        run.world.session = Failure(ExitCode.DENIED, "gateway", "403", "ask")
        run.world.answers = True
        await until(run.worker.finished.is_set)
    run = drive(World(), then)
    assert run.worker.failure is not None
    assert run.worker.failure.code is ExitCode.DENIED


def test_an_interface_that_is_deleted_ends_the_session() -> None:
    async def then(run: Run) -> None:
        assert run.world.tunnel is not None
        run.world.tunnel.gone()
        await until(run.worker.finished.is_set)
    world = World()
    run = drive(world, then)
    assert run.worker.failure is not None
    assert "deleted" in run.worker.failure.why
    assert "undo" in world.log


def test_a_bug_in_a_part_still_restores_the_host() -> None:
    world = World(fail_on={"ask gateway": ZeroDivisionError("bug")})
    with pytest.raises(BaseExceptionGroup):
        drive(world, nothing)
    assert world.log[-3:] == ["undo", "names stopped", "tunnel closed"]


def test_status_shows_everything_but_keys() -> None:
    seen: dict[str, Any] = {}

    async def then(run: Run) -> None:
        seen.update(run.worker.facts())
    drive(World(), then, preshared_key=KEY)
    assert seen["state"] == "up"
    assert seen["tunnel"]["backend"] == "python"
    assert seen["directory"] == {"state": "live", "epoch": "e1", "rev": 12, "services": 1,
                                 "age": seen["directory"]["age"]}
    assert seen["dns"]["mode"] == "resolv.conf, all queries pass through us"
    assert seen["gateway"]["policy"] == "open"
    assert seen["drops"] == {"replayed": 1}
    assert seen["owner"] == 1000
    assert KEY not in repr(seen)
