"""Fifty clients and one gateway, half an hour of protocol time on one manual clock, with everything that goes wrong.

Invariants, checked where they could break: no packet reaches or leaves a wrong peer; no nonce is used twice; every live
client has a working session within the timers' bound; every replica equals the source when nothing moves.
"""

from __future__ import annotations

from functools import partial

import pytest

from tests.simulation.directory_streams import SETTLE, Source, plan_changes, streams_of
from tests.simulation.fleet import SESSION_BOUND, Client, Fleet
from tests.simulation.wire import NonceReused
from vpn_tunnel.data_path import OutgoingBatch

CLIENTS = 50
ROUNDS = 10
ROUND = 180.0
"""Seconds: restarts, moves and removals in the first part, then quiet."""
CHURN = 60.0
SEEDS = (1, 2)
DAY = 24 * 3600.0


class Churn:
    """Restarts the gateway, moves and removes clients, at times that the seed chooses."""

    def __init__(self, fleet: Fleet, source: Source) -> None:
        self.fleet, self.source = fleet, source
        self.restarts = self.moves = 0

    def plan(self, start: float, seconds: float) -> None:
        """One restart, thirty moves, five removals and fifty changes of the cluster within `seconds`."""
        plan_changes(self.source, start, seconds, 50)
        rng, fleet = self.fleet.rng, self.fleet
        fleet.at(start + rng.uniform(0, seconds), self.restart)
        for client in rng.sample(fleet.clients, 30):
            fleet.at(start + rng.uniform(0, seconds), partial(self.move, client))
        for client in rng.sample(fleet.clients, 5):
            gone = start + rng.uniform(0, seconds - 20)
            fleet.at(gone, partial(fleet.remove, client))
            fleet.at(gone + rng.uniform(1, 19), partial(fleet.restore, client))

    def restart(self) -> None:
        """The gateway's process ends and another begins."""
        self.restarts += 1
        self.fleet.gateway.restart()
        self.source.boot()

    def move(self, client: Client) -> None:
        """The laptop is on another network now."""
        self.moves += 1
        client.move(client.somewhere(self.fleet))


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_fifty_clients_and_everything_that_goes_wrong(seed: int) -> None:
    print(f"seed {seed}")
    fleet = Fleet(seed, CLIENTS)
    source, streams = streams_of(fleet)
    churn = Churn(fleet, source)
    for _ in range(ROUNDS):
        churn.plan(fleet.now, CHURN)
        fleet.run_until(fleet.now + ROUND)
        for client in fleet.clients:
            assert fleet.now - client.last_answer <= SESSION_BOUND
        assert ROUND - CHURN > SESSION_BOUND + SETTLE
        for stream in streams:
            stream.check_quiet()
    assert (churn.restarts, churn.moves) == (ROUNDS, 30 * ROUNDS)
    sent, answered = (sum(getattr(client, name) for client in fleet.clients) for name in ("sent", "answered"))
    assert answered > 0.7 * sent
    assert fleet.wire.lost > 0.04 * sent
    assert all(stream.resumes and stream.lists > 1 for stream in streams)
    assert source.boots == ROUNDS + 1


@pytest.mark.slow
def test_a_day() -> None:
    fleet = Fleet(24, 1)
    fleet.run_until(fleet.now + DAY)
    (client,) = fleet.clients
    assert client.sent >= DAY - 1
    assert client.answered > 0.85 * client.sent


def test_a_reused_nonce_would_be_seen() -> None:
    fleet = Fleet(1, 2)
    fleet.run_until(fleet.now + 5)
    client = fleet.clients[0]
    client.device.send_packets([bytes([0x45]) + bytes(19)], fleet.now)
    batch = OutgoingBatch(client.place, 0, [b"\x04\0\0\0" + bytes(28)])
    fleet.wire.send("x", client.place, [batch], fleet.now)
    with pytest.raises(NonceReused, match="x used counter 0 twice"):
        fleet.wire.send("x", client.place, [batch], fleet.now)


def test_a_dead_gateway_would_be_seen() -> None:
    fleet = Fleet(1, 2)
    fleet.gateway.leave()
    with pytest.raises(AssertionError, match="has had no working session"):
        fleet.run_until(fleet.now + 2 * SESSION_BOUND)


def test_a_replica_that_drifts_would_be_seen() -> None:
    fleet = Fleet(1, 2)
    source, streams = streams_of(fleet)
    fleet.run_until(fleet.now + 10)
    streams[0].check_quiet()
    source.truth.popitem()
    with pytest.raises(AssertionError, match="client-0: live"):
        streams[0].check_quiet()


def test_a_packet_for_another_peer_would_be_seen() -> None:
    fleet = Fleet(1, 2)
    one, other = fleet.clients
    one.address, other.address = other.address, one.address
    with pytest.raises(AssertionError, match="a packet"):
        fleet.run_until(fleet.now + 60)
