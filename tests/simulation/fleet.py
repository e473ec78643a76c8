"""Clients and one gateway as whole tunnels on one manual clock; invariants are checked where they could break.

Owns who talks to whom and when; the network between them is `wire`, the directory on top of it is `directory_streams`.
"""

from __future__ import annotations

import heapq
import random
import struct
from collections.abc import Callable
from ipaddress import IPv4Address, ip_network

from tests.simulation.wire import Wire
from vpn_tunnel.config import PeerConfig
from vpn_tunnel.constants import KEEPALIVE_TIMEOUT, REKEY_TIMEOUT, REKEY_TIMEOUT_JITTER
from vpn_tunnel.data_path import ReceivedDatagram
from vpn_tunnel.device import Device
from vpn_tunnel.endpoint import Endpoint
from vpn_tunnel.keys import PrivateKey

EPOCH_NS = 1_700_000_000_000_000_000
GATEWAY = "gateway"
GATEWAY_PLACES = (Endpoint("192.0.2.1", 51820), Endpoint("192.0.2.2", 51820))
"""Where the gateway may come up; every client knows both as candidates."""
GATEWAY_ADDRESS = IPv4Address("198.18.0.1")
SPOOFED = 0.02
"""Share of packets that a client sends with another client's inner source."""
SEND_EVERY = 1.0
RETRIES = 6
"""Handshakes that may fail in a row at 5 % loss each way: all of them do once in a million times."""
SESSION_BOUND = KEEPALIVE_TIMEOUT + REKEY_TIMEOUT + RETRIES * (REKEY_TIMEOUT + REKEY_TIMEOUT_JITTER) + 5 * SEND_EVERY
"""Seconds in which the paper's timers bring a session back: silence noticed, retries, then a packet that arrives."""
_HEADER = struct.Struct(">BBHIBBH4s4s")
_BODY = struct.Struct(">HHI")


def packet(source: IPv4Address, destination: IPv4Address, sender: int, recipient: int, number: int) -> bytes:
    """An IPv4 packet whose payload says who really sent it and for whom it is."""
    size = _HEADER.size + _BODY.size
    return (_HEADER.pack(0x45, 0, size, 0, 64, 17, 0, source.packed, destination.packed)
            + _BODY.pack(sender, recipient, number))


def read(data: bytes) -> tuple[IPv4Address, IPv4Address, int, int]:
    """Inner source and destination, and what the payload says of sender and recipient."""
    fields = _HEADER.unpack_from(data)
    sender, recipient, _ = _BODY.unpack_from(data, _HEADER.size)
    return IPv4Address(fields[7]), IPv4Address(fields[8]), sender, recipient


class Party:
    """One tunnel at one place of the wire."""

    def __init__(self, name: str, key: PrivateKey, place: Endpoint, fleet: Fleet) -> None:
        self.name, self.key, self.fleet = name, key, fleet
        self.start(place)

    def start(self, place: Endpoint) -> None:
        """A new device with the same key, as after a restart."""
        self.device = Device(self.key, random_bytes=self.fleet.rng.randbytes, unix_time_ns=self.fleet.unix_ns)
        self.place = place
        self.fleet.wire.places[place.host, place.port] = self.name

    def move(self, place: Endpoint) -> None:
        """The same device at another address."""
        self.leave()
        self.place = place
        self.fleet.wire.places[place.host, place.port] = self.name

    def leave(self) -> None:
        """Nobody is at this place any more."""
        self.fleet.wire.places.pop((self.place.host, self.place.port), None)

    def take(self, datagram: ReceivedDatagram) -> None:
        """One datagram from the wire."""
        self.device.receive_datagrams([datagram], self.fleet.now)
        self.flush()

    def flush(self) -> None:
        """Everything that the device wants done, and its next deadline."""
        self.fleet.wire.send(self.name, self.place, self.device.batches_to_send(), self.fleet.now)
        for data in self.device.packets_to_write():
            self.deliver(data)
        while self.device.next_event():
            pass
        if (deadline := self.device.next_deadline()) is not None:
            self.fleet.at(deadline, self.wake)

    def wake(self) -> None:
        """A deadline; one that has moved is scheduled again by `flush`."""
        deadline = self.device.next_deadline()
        if deadline is not None and deadline <= self.fleet.now:
            self.device.handle_deadline(self.fleet.now)
            self.flush()

    def deliver(self, data: bytes) -> None:
        """A packet came out of the tunnel."""
        raise NotImplementedError


class Client(Party):
    """Sends one packet a second and wants each answered."""

    def __init__(self, number: int, key: PrivateKey, fleet: Fleet) -> None:
        self.number = number
        self.address = GATEWAY_ADDRESS + 1 + number
        self.sent = self.answered = 0
        self.live = True
        self.last_answer = fleet.now
        super().__init__(f"client-{number}", key, self.somewhere(fleet), fleet)

    def somewhere(self, fleet: Fleet) -> Endpoint:
        """A fresh outer address."""
        return Endpoint(f"203.0.113.{self.number + 1}", fleet.rng.randrange(1024, 65536))

    def join(self) -> None:
        """Begin to talk to the gateway."""
        self.device.set_peer(PeerConfig(self.fleet.gateway.key.public_key(), allowed_ips=(ip_network("198.18.0.0/16"),),
                                        endpoints=GATEWAY_PLACES, persistent_keepalive=25), self.fleet.now)
        self.fleet.at(self.fleet.now + self.fleet.rng.uniform(0, SEND_EVERY), self.tick)

    def tick(self) -> None:
        """One packet; then look whether the session is as good as the timers promise."""
        if not self.live:
            return
        fleet = self.fleet
        source = self.address
        if fleet.rng.random() < SPOOFED:
            source = fleet.rng.choice(fleet.clients).address
        self.sent += 1
        self.device.send_packets([packet(source, GATEWAY_ADDRESS, self.number, 0, self.sent)], fleet.now)
        self.flush()
        silent = fleet.now - self.last_answer
        assert silent <= SESSION_BOUND, f"{self.name} has had no working session for {silent:.1f} s at {fleet.now:.3f}"
        fleet.at(fleet.now + SEND_EVERY, self.tick)

    def deliver(self, data: bytes) -> None:
        """Only what the gateway sent to us may come out."""
        source, destination, sender, recipient = read(data)
        assert source == GATEWAY_ADDRESS, f"{self.name} got a packet from {source}"
        assert (destination, recipient) == (self.address, self.number), f"{self.name} got a packet for {recipient}"
        assert sender == 0xFFFF
        self.answered += 1
        self.last_answer = self.fleet.now


class Gateway(Party):
    """Answers every packet to whoever it came from."""

    def __init__(self, key: PrivateKey, fleet: Fleet) -> None:
        self.delivered = 0
        super().__init__(GATEWAY, key, GATEWAY_PLACES[0], fleet)

    def admit(self, client: Client) -> None:
        """A peer without an endpoint: clients come to us."""
        self.device.set_peer(PeerConfig(client.key.public_key(), allowed_ips=(ip_network(f"{client.address}/32"),)),
                             self.fleet.now)

    def restart(self) -> None:
        """A new process, perhaps elsewhere: all sessions are gone."""
        self.leave()
        self.start(self.fleet.rng.choice(GATEWAY_PLACES))
        for client in self.fleet.clients:
            if client.live:
                self.admit(client)
        self.flush()

    def deliver(self, data: bytes) -> None:
        """Cryptokey routing: the inner source is the sender's own, and the sender is still a peer."""
        source, destination, sender, _ = read(data)
        client = self.fleet.clients[sender]
        assert source == client.address, f"a packet of client {sender} came out with source {source}"
        assert destination == GATEWAY_ADDRESS
        assert client.live, f"a packet of removed client {sender} came out"
        self.delivered += 1
        self.device.send_packets([packet(GATEWAY_ADDRESS, source, 0xFFFF, sender, self.delivered)], self.fleet.now)
        self.flush()


class Fleet:
    """The clock, the wire, and everybody on it."""

    def __init__(self, seed: int, clients: int) -> None:
        self.rng = random.Random(seed)
        self.now = 1000.0
        self.steps = 0
        self.wire = Wire(self.rng)
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._added = 0
        self.gateway = Gateway(PrivateKey.generate(self.rng.randbytes), self)
        self.clients = [Client(number, PrivateKey.generate(self.rng.randbytes), self) for number in range(clients)]
        for client in self.clients:
            self.gateway.admit(client)
            client.join()

    def unix_ns(self) -> int:
        """The wall clock of everybody."""
        return EPOCH_NS + int(self.now * 1e9)

    def at(self, when: float, action: Callable[[], None]) -> None:
        """Do something later."""
        self._added += 1
        heapq.heappush(self._agenda, (max(when, self.now), self._added, action))

    def step(self) -> None:
        """Jump to the next thing that happens, and let it."""
        arrival = self.wire.next_arrival()
        if arrival is not None and arrival <= self._agenda[0][0]:
            self.now = arrival
            for name, datagram in self.wire.arrivals(arrival):
                self.party(name).take(datagram)
        else:
            self.now, _, action = heapq.heappop(self._agenda)
            action()
        self.steps += 1

    def party(self, name: str) -> Party:
        """By its name on the wire."""
        return self.gateway if name == GATEWAY else self.clients[int(name.rpartition("-")[2])]

    def run_until(self, end: float) -> None:
        """Step until the clock has reached `end`."""
        while self.now < end:
            self.step()

    def remove(self, client: Client) -> None:
        """Its Peer is deleted."""
        client.live = False
        self.gateway.device.remove_peer(client.key.public_key(), self.now)

    def restore(self, client: Client) -> None:
        """Its Peer is created again; the client talks on."""
        client.live = True
        client.last_answer = self.now
        self.gateway.admit(client)
        self.at(self.now, client.tick)
