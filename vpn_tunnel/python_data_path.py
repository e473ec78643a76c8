"""`DataPath` in Python: the reference that a native core is held to, and what runs without one.

Owns the order of checks on receive (paper §5.4.6): index, keypair's age and counter, tag, replay,
confirmation, endpoint, inner packet, source ownership. Per packet it reads no clock and logs nothing.
"""

from __future__ import annotations

import struct
from collections import Counter, deque
from collections.abc import Sequence
from math import inf

from vpn_tunnel.allowed_ips import AllowedIps
from vpn_tunnel.config import Network
from vpn_tunnel.constants import (
    DEFAULT_MTU,
    KEEPALIVE_TIMEOUT,
    MAX_DATAGRAM,
    MAX_STAGED_PACKETS,
    MESSAGE_TRANSPORT,
    REJECT_AFTER_MESSAGES,
    REJECT_AFTER_TIME,
    REKEY_AFTER_MESSAGES,
    REKEY_AFTER_TIME,
    REKEY_TIMEOUT,
    TRANSPORT_OVERHEAD,
)
from vpn_tunnel.data_path import Fact, FactKind, JitterSource, OutgoingBatch, Packet, PeerTraffic, ReceivedDatagram
from vpn_tunnel.deadlines import DeadlineQueue
from vpn_tunnel.endpoint import Endpoint
from vpn_tunnel.errors import DropCounters, DropReason
from vpn_tunnel.ip_packet import decapsulate_ecn, destination, source_untrusted, unreachable
from vpn_tunnel.keypair import Keypair, Keypairs
from vpn_tunnel.noise import SessionKeys
from vpn_tunnel.primitives import BadTag

_HEADER = struct.Struct("<IIQ")  # type(1) reserved(3) receiver(4) counter(8)
_NONCE = struct.Struct("<4xQ")
_ZEROS = bytes(16)
MAX_ROUTE_CACHE = 4096  # destinations; the cache is emptied when full
REKEY_ON_RECEIVE_AFTER = REJECT_AFTER_TIME - KEEPALIVE_TIMEOUT - REKEY_TIMEOUT  # seconds


class _Peer:
    """A peer's sessions, counters and packet timers; a timer at `inf` is off."""

    __slots__ = ("another_keepalive", "endpoint", "ident", "keepalive_at", "keypairs", "last_received", "persistent",
                 "persistent_at", "rx_bytes", "silence_at", "silent_since", "staged", "tx_bytes")

    def __init__(self, ident: int) -> None:
        self.ident = ident
        self.endpoint: Endpoint | None = None
        self.keypairs = Keypairs()
        self.staged: deque[Packet] = deque()
        self.rx_bytes = self.tx_bytes = 0
        self.last_received: float | None = None
        self.silent_since: float | None = None
        self.persistent = 0
        self.persistent_at = inf
        self.silence_at = inf
        self.keepalive_at = inf
        self.another_keepalive = False

    def earliest(self) -> float:
        """The first timer that is on."""
        return min(self.persistent_at, self.silence_at, self.keepalive_at)


class PythonDataPath:
    """See `DataPath`."""

    def __init__(self, jitter: JitterSource, mtu: int = DEFAULT_MTU) -> None:
        self.counters: DropCounters = Counter()
        self._jitter = jitter
        self._mtu = mtu
        self._peers: dict[int, _Peer] = {}
        self._by_index: dict[int, Keypair] = {}
        self._allowed: AllowedIps[int] = AllowedIps()
        self._routes: dict[bytes, _Peer | None] = {}
        self._deadlines = DeadlineQueue()
        self._batches: list[OutgoingBatch] = []
        self._packets: list[bytes] = []
        self._facts: list[Fact] = []

    # --- configuration ---

    def add_peer(self, peer: int) -> None:
        self._peers[peer] = _Peer(peer)

    def remove_peer(self, peer: int) -> None:
        self.expire(peer)
        self._allowed.remove_peer(peer)
        self._routes.clear()
        self._deadlines.forget(peer)
        del self._peers[peer]

    def allow(self, network: Network, peer: int) -> None:
        self._allowed.insert(network, peer)
        self._routes.clear()

    def disallow(self, network: Network, peer: int) -> None:
        self._allowed.remove(network, peer)
        self._routes.clear()

    def allowed_ips(self, peer: int) -> tuple[Network, ...]:
        return self._allowed.of(peer)

    def set_mtu(self, mtu: int) -> None:
        self._mtu = mtu

    def set_endpoint(self, peer: int, endpoint: Endpoint | None) -> None:
        self._peers[peer].endpoint = endpoint

    def endpoint(self, peer: int) -> Endpoint | None:
        return self._peers[peer].endpoint

    def set_persistent_keepalive(self, peer: int, seconds: int, now: float) -> None:
        state = self._peers[peer]
        state.persistent = seconds
        state.persistent_at = now if seconds else inf
        self._arm(state)

    # --- sessions ---

    def install(self, peer: int, keys: SessionKeys, now: float) -> list[int]:
        state = self._peers[peer]
        pair = Keypair(keys, peer, now)
        fallen = self._forget(state.keypairs.install(pair))
        self._by_index[keys.local_index] = pair
        if keys.initiator:
            if not self._flush(state, now):
                self._emit(state, b"", now)  # the responder may not send before it has heard us use the key
            self._arm(state)
        return fallen

    def expire(self, peer: int) -> list[int]:
        state = self._peers[peer]
        state.silence_at = state.keepalive_at = inf
        state.silent_since = None
        return self._forget(state.keypairs.clear())

    def _forget(self, pairs: list[Keypair]) -> list[int]:
        for pair in pairs:
            self._by_index.pop(pair.local_index, None)
        return [pair.local_index for pair in pairs]

    def drop_staged(self, peer: int) -> int:
        staged = self._peers[peer].staged
        count = len(staged)
        staged.clear()
        return count

    def has_session(self, peer: int, now: float) -> bool:
        pair = self._peers[peer].keypairs.current
        return pair is not None and pair.may_send(now)

    def handshake_sent(self, peer: int, size: int, now: float) -> None:
        state = self._peers[peer]
        state.tx_bytes += size
        state.keepalive_at = inf
        self._traversed(state, now)

    def handshake_received(self, peer: int, size: int, now: float) -> None:
        state = self._peers[peer]
        state.rx_bytes += size
        self._heard(state, now)

    def silent_since(self, peer: int) -> float | None:
        return self._peers[peer].silent_since

    # --- from the network ---

    def receive_transport(self, batch: Sequence[ReceivedDatagram], now: float) -> None:
        touched: dict[_Peer, bool] = {}
        for datagram in batch:
            self._receive(datagram, now, touched)
        for state, carried_data in touched.items():
            self._received(state, carried_data, now)

    def _receive(self, datagram: ReceivedDatagram, now: float, touched: dict[_Peer, bool]) -> None:
        data, source, ecn = datagram
        _, index, counter = _HEADER.unpack_from(data)
        pair = self._by_index.get(index)
        if pair is None:
            self.counters[DropReason.UNKNOWN_INDEX] += 1
            return
        if now - pair.born >= REJECT_AFTER_TIME or counter >= REJECT_AFTER_MESSAGES:
            self.counters[DropReason.SESSION_EXPIRED] += 1
            return
        try:
            plain = pair.receiving.decrypt(_NONCE.pack(counter), data[16:], None)
        except BadTag:
            self.counters[DropReason.BAD_TAG] += 1
            return
        if not pair.replay.accept(counter):
            self.counters[DropReason.REPLAYED] += 1
            return
        state = self._peers[pair.owner]
        if pair is state.keypairs.next:
            self._confirm(state, pair, now)
        if source is not state.endpoint and source != state.endpoint:
            self._roam(state, source)
        state.rx_bytes += len(data)
        if plain:
            touched[state] = self._deliver(state, plain, ecn) or touched.get(state, False)
        else:
            touched.setdefault(state, False)

    def _deliver(self, state: _Peer, plain: bytes, ecn: int) -> bool:
        """Hand an authenticated packet up; True for anything that claims to be data, which is what timers ask for."""
        parsed = source_untrusted(plain)
        if parsed is None:
            self.counters[DropReason.BAD_PACKET] += 1
            return True
        source, total = parsed
        if self._route(source) is not state:
            self.counters[DropReason.BAD_SOURCE] += 1
            return True
        packet = plain if len(plain) == total else plain[:total]
        if ecn == 3:
            marked = decapsulate_ecn(packet, ecn)
            if marked is None:
                self.counters[DropReason.BAD_ECN] += 1
                return True
            packet = marked
        self._packets.append(packet)
        return True

    def _confirm(self, state: _Peer, pair: Keypair, now: float) -> None:
        self._forget(state.keypairs.confirm(pair))
        self._facts.append(Fact(FactKind.CONFIRMED, state.ident))
        self._flush(state, now)

    def _roam(self, state: _Peer, source: Endpoint) -> None:
        before, state.endpoint = state.endpoint, source
        if before is None or not before.same_address(source):
            self._facts.append(Fact(FactKind.ROAMED, state.ident))

    def _received(self, state: _Peer, carried_data: bool, now: float) -> None:
        self._heard(state, now)
        pair = state.keypairs.current
        if (pair is not None and pair.initiator and not pair.rekey_asked
                and now - pair.born >= REKEY_ON_RECEIVE_AFTER):
            pair.rekey_asked = True
            self._facts.append(Fact(FactKind.WANTS_HANDSHAKE, state.ident))
        if carried_data:
            if state.keepalive_at == inf:
                state.keepalive_at = now + KEEPALIVE_TIMEOUT
            else:
                state.another_keepalive = True
        self._arm(state)

    def _heard(self, state: _Peer, now: float) -> None:
        state.last_received = now
        state.silent_since = None
        state.silence_at = inf
        self._traversed(state, now)

    def _traversed(self, state: _Peer, now: float) -> None:
        if state.persistent:
            state.persistent_at = now + state.persistent
            self._arm(state)

    # --- from the host ---

    def send_packets(self, batch: Sequence[Packet], now: float) -> None:
        touched: dict[_Peer, None] = {}
        for packet in batch:
            parsed = destination(packet)
            if parsed is None:
                self.counters[DropReason.BAD_PACKET] += 1
                continue
            state = self._route(parsed[0])
            if state is None:
                self._refuse(packet)
                continue
            pair = state.keypairs.current
            if pair is None or not pair.may_send(now) or state.endpoint is None:
                self._stage(state, packet)
                continue
            if len(packet) + TRANSPORT_OVERHEAD > MAX_DATAGRAM:
                self.counters[DropReason.TOO_BIG] += 1
                continue
            self._seal(state, pair, packet, parsed[1])
            touched[state] = None
        for state in touched:
            self._sent_data(state, now)

    def _route(self, address: bytes) -> _Peer | None:
        try:
            return self._routes[address]
        except KeyError:
            peer = self._allowed.lookup(address)
            state = None if peer is None else self._peers[peer]
            if len(self._routes) >= MAX_ROUTE_CACHE:
                self._routes.clear()
            self._routes[address] = state
            return state

    def _refuse(self, packet: Packet) -> None:
        self.counters[DropReason.NO_PEER_FOR_DESTINATION] += 1
        answer = unreachable(bytes(packet))
        if answer is not None:
            self._packets.append(answer)

    def _stage(self, state: _Peer, packet: Packet) -> None:
        if state.endpoint is None:
            self.counters[DropReason.NO_ENDPOINT] += 1
        if len(state.staged) >= MAX_STAGED_PACKETS:
            state.staged.popleft()
            self.counters[DropReason.STAGING_OVERFLOW] += 1
        state.staged.append(bytes(packet))
        self._facts.append(Fact(FactKind.WANTS_HANDSHAKE_FOR_TRAFFIC, state.ident))

    def _flush(self, state: _Peer, now: float) -> bool:
        """Send what was staged, if there is something to send it with; True when anything went out."""
        pair = state.keypairs.current
        if not state.staged or pair is None or not pair.may_send(now) or state.endpoint is None:
            return False
        staged, state.staged = state.staged, deque()
        for packet in staged:
            parsed = destination(packet)
            self._seal(state, pair, packet, parsed[1] if parsed else 0)
        self._sent_data(state, now)
        return True

    def _seal(self, state: _Peer, pair: Keypair, packet: Packet, ecn: int) -> None:
        counter = pair.send_counter
        pair.send_counter = counter + 1
        size = len(packet)
        padding = self._padding(size)
        plain = bytes(packet) + _ZEROS[:padding] if padding else packet
        sealed = _HEADER.pack(MESSAGE_TRANSPORT, pair.remote_index, counter) + pair.sending.encrypt(
            _NONCE.pack(counter), plain, None)
        state.tx_bytes += len(sealed)
        endpoint = state.endpoint
        assert endpoint is not None  # callers have looked
        batches = self._batches
        if batches and batches[-1].endpoint is endpoint and batches[-1].tos == ecn:
            batches[-1].datagrams.append(sealed)
        else:
            batches.append(OutgoingBatch(endpoint, ecn, [sealed]))

    def _padding(self, size: int) -> int:
        """Bytes up to a multiple of 16, but never beyond the MTU, which the last unit of a larger packet is held to."""
        last = size % self._mtu if size > self._mtu else size
        return min(self._mtu, (last + 15) & ~15) - last

    def _sent_data(self, state: _Peer, now: float) -> None:
        if state.silence_at == inf:
            state.silence_at = now + KEEPALIVE_TIMEOUT + REKEY_TIMEOUT + self._jitter()
        if state.silent_since is None:
            state.silent_since = now
        self._sent_anything(state, now)

    def _sent_anything(self, state: _Peer, now: float) -> None:
        state.keepalive_at = inf
        pair = state.keypairs.current
        if pair is not None and (pair.send_counter > REKEY_AFTER_MESSAGES
                                 or (pair.initiator and now - pair.born >= REKEY_AFTER_TIME)):
            self._facts.append(Fact(FactKind.WANTS_HANDSHAKE, state.ident))
        self._traversed(state, now)
        self._arm(state)

    def _emit(self, state: _Peer, packet: bytes, now: float) -> None:
        pair = state.keypairs.current
        if state.endpoint is None:
            return
        if pair is None or not pair.may_send(now):
            self._facts.append(Fact(FactKind.WANTS_HANDSHAKE, state.ident))
            return
        self._seal(state, pair, packet, 0)
        self._sent_anything(state, now)

    # --- time ---

    def _arm(self, state: _Peer) -> None:
        self._deadlines.schedule(state.ident, state.earliest())

    def next_deadline(self) -> float | None:
        return self._deadlines.next()

    def handle_deadline(self, now: float) -> None:
        for ident in self._deadlines.due(now):
            state = self._peers[ident]
            self._handle_timers(state, now)
            self._arm(state)

    def _handle_timers(self, state: _Peer, now: float) -> None:
        if state.silence_at <= now:
            state.silence_at = inf
            if state.endpoint is not None:
                state.endpoint = state.endpoint.without_source()
            self._facts.append(Fact(FactKind.WANTS_HANDSHAKE, state.ident))
        if state.keepalive_at <= now:
            another, state.another_keepalive = state.another_keepalive, False
            self._emit(state, b"", now)
            state.keepalive_at = now + KEEPALIVE_TIMEOUT if another else inf
        if state.persistent_at <= now:
            state.persistent_at = now + state.persistent
            self._emit(state, b"", now)

    # --- out ---

    def take_batches(self) -> list[OutgoingBatch]:
        taken, self._batches = self._batches, []
        return taken

    def take_packets(self) -> list[bytes]:
        taken, self._packets = self._packets, []
        return taken

    def take_facts(self) -> list[Fact]:
        taken, self._facts = self._facts, []
        return taken

    def traffic(self, peer: int) -> PeerTraffic:
        state = self._peers[peer]
        return PeerTraffic(state.rx_bytes, state.tx_bytes, state.last_received)
