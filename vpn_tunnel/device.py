"""The face of the tunnel: one private key, many peers; packets and datagrams come in, packets, datagrams and events go out.

Owns the handshake's decisions: who may make us compute, when to initiate, when to give up (paper §6), what a key change
means. Leaves established sessions to the data path, and every socket, clock and device to the driver: `now` is seconds on a
clock that never goes back and counts suspend (CLOCK_BOOTTIME).

After any call: send `batches_to_send()`, write `packets_to_write()`, drain `next_event()`, re-arm at `next_deadline()`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from math import inf

from vpn_tunnel import noise
from vpn_tunnel.backend import make_data_path
from vpn_tunnel.config import Network, PeerConfig
from vpn_tunnel.constants import (
    DEFAULT_MTU,
    FORCED_INITIATION_INTERVAL,
    HANDSHAKE_TOS,
    INITIATION_FLOOD_INTERVAL,
    INITIATION_SIZE,
    MAX_CANDIDATE_ENDPOINTS,
    MAX_PEERS,
    MESSAGE_COOKIE_REPLY,
    MESSAGE_INITIATION,
    MESSAGE_TRANSPORT,
    REKEY_ATTEMPT_TIME,
    REKEY_TIMEOUT,
    REKEY_TIMEOUT_JITTER,
    RESPONSE_SIZE,
    ZERO_KEYS_AFTER,
)
from vpn_tunnel.cookies import CookieChecker, LoadMeter
from vpn_tunnel.data_path import DataPath, Fact, FactKind, OutgoingBatch, Packet, ReceivedDatagram
from vpn_tunnel.deadlines import DeadlineQueue
from vpn_tunnel.endpoint import Endpoint
from vpn_tunnel.errors import BadMessage, DropCounters, DropReason, LocalProtocolError
from vpn_tunnel.events import Event, HandshakeCompleted, HandshakeFailed, PeerRoamed, SessionExpired
from vpn_tunnel.keys import PresharedKey, PrivateKey, PublicKey
from vpn_tunnel.messages import (
    message_type_untrusted,
    parse_cookie_reply_untrusted,
    parse_initiation_untrusted,
    parse_response_untrusted,
)
from vpn_tunnel.peer import MAX_OPEN_INITIATIONS, Peer
from vpn_tunnel.peer import PeerStatus as PeerStatus
from vpn_tunnel.rate_limiter import RateLimiter
from vpn_tunnel.tai64n import Timestamps

MAX_ATTEMPTS = int(REKEY_ATTEMPT_TIME / REKEY_TIMEOUT)
LIVENESS_SILENCE = 1.0  # seconds without an authenticated message before an initiation may be forced


class Device:
    """See the module's docstring."""

    def __init__(self, private_key: PrivateKey | None, *, random_bytes: Callable[[int], bytes],
                 unix_time_ns: Callable[[], int], data_path: DataPath | None = None, mtu: int = DEFAULT_MTU) -> None:
        self._random_bytes = random_bytes
        self._unix_time_ns = unix_time_ns
        self.data_path: DataPath = data_path or make_data_path(self._jitter, mtu)
        self.counters: DropCounters = self.data_path.counters
        self._private_key: PrivateKey | None = None
        self._local: noise.LocalStatic | None = None
        self._checker: CookieChecker | None = None
        self._load = LoadMeter()
        self._limiter = RateLimiter()
        self._timestamps = Timestamps()
        self._peers: dict[PublicKey, Peer] = {}
        self._by_ident: dict[int, Peer] = {}
        self._next_ident = 1
        self._indices: set[int] = set()
        self._open: dict[int, Peer] = {}
        self._answered: dict[bytes, Peer] = {}
        self._responded: dict[int, Peer] = {}
        self._deadlines = DeadlineQueue()
        self._batches: list[OutgoingBatch] = []
        self._events: deque[Event] = deque()
        if private_key is not None:
            self.set_private_key(private_key, 0.0)

    # --- configuration ---

    @property
    def private_key(self) -> PrivateKey | None:
        """The key in force."""
        return self._private_key

    def set_private_key(self, key: PrivateKey | None, now: float) -> None:
        """Change or remove our key: every session and handshake ends, a peer with our own public key is removed."""
        self._private_key = key
        self._local = noise.LocalStatic(key) if key else None
        self._checker = CookieChecker(self._local.public, self._random_bytes) if self._local else None
        if self._local is not None and self._local.public in self._peers:
            self.remove_peer(self._local.public, now)
        for peer in self._peers.values():
            self._end_sessions(peer)
            self._meet(peer)

    def _meet(self, peer: Peer) -> None:
        peer.remote = noise.RemoteStatic(peer.public_key, self._local, peer.preshared_key) if self._local else None

    def set_peer(self, config: PeerConfig, now: float) -> None:
        """Create a peer, or give an existing one this configuration; its sessions live on."""
        if config.public_key not in self._peers and not self._create(config):
            return
        peer = self._peers[config.public_key]
        if peer.preshared_key != config.preshared_key:
            self.update_peer(config.public_key, now, preshared_key=config.preshared_key)
        peer.candidates = config.endpoints[:MAX_CANDIDATE_ENDPOINTS]
        if peer.candidates and self.data_path.endpoint(peer.ident) is None:
            self.data_path.set_endpoint(peer.ident, peer.candidates[0])
        self._set_allowed_ips(peer, config.allowed_ips)
        if peer.persistent_keepalive != config.persistent_keepalive or self._fresh(peer):
            self._set_keepalive(peer, config.persistent_keepalive, now)
        self._after_endpoint(peer, now)
        self._settle(now)

    def _fresh(self, peer: Peer) -> bool:
        return peer.initiated_at == -inf and peer.last_consumed == -inf

    def _create(self, config: PeerConfig) -> bool:
        if self._local is not None and config.public_key == self._local.public:
            return False  # as `wg`: one's own key is silently no peer
        if len(self._peers) >= MAX_PEERS:
            raise LocalProtocolError(f"a device holds at most {MAX_PEERS} peers")
        peer = Peer(self._next_ident, config)
        self._next_ident += 1
        self._peers[config.public_key] = self._by_ident[peer.ident] = peer
        self.data_path.add_peer(peer.ident)
        self._meet(peer)
        return True

    def _set_allowed_ips(self, peer: Peer, networks: Iterable[Network]) -> None:
        wanted = dict.fromkeys(networks)
        for network in self.data_path.allowed_ips(peer.ident):
            if network not in wanted:
                self.data_path.disallow(network, peer.ident)
        for network in wanted:
            self.data_path.allow(network, peer.ident)

    def _set_keepalive(self, peer: Peer, seconds: int, now: float) -> None:
        peer.persistent_keepalive = seconds
        self.data_path.set_persistent_keepalive(peer.ident, seconds, now)
        self.data_path.handle_deadline(now)

    def _after_endpoint(self, peer: Peer, now: float) -> None:
        if peer.waits_for_endpoint and self.data_path.endpoint(peer.ident) is not None:
            self._initiate(peer, now, for_traffic=True)

    def update_peer(self, public_key: PublicKey, now: float, *, preshared_key: PresharedKey | bool | None = False,
                    endpoint: Endpoint | None = None, persistent_keepalive: int | None = None,
                    replace_allowed_ips: bool = False, add_allowed_ips: Iterable[Network] = (),
                    remove_allowed_ips: Iterable[Network] = ()) -> None:
        """Change parts of a peer that exists, as `wg set` does; what is not given stays."""
        peer = self._peers[public_key]
        if not isinstance(preshared_key, bool):
            peer.preshared_key = None if preshared_key is None or preshared_key.is_zero else preshared_key
            self._meet(peer)
        if endpoint is not None:
            peer.candidates = (endpoint,)
            self.data_path.set_endpoint(peer.ident, endpoint)
        if replace_allowed_ips:
            self._set_allowed_ips(peer, ())
        for network in remove_allowed_ips:
            self.data_path.disallow(network, peer.ident)
        for network in add_allowed_ips:
            self.data_path.allow(network, peer.ident)
        if persistent_keepalive is not None:
            self._set_keepalive(peer, persistent_keepalive, now)
        self._after_endpoint(peer, now)
        self._settle(now)

    def remove_peer(self, public_key: PublicKey, now: float) -> None:
        """Forget a peer and its keys; unknown ones are ignored."""
        peer = self._peers.pop(public_key, None)
        if peer is None:
            return
        self._end_sessions(peer)
        self.data_path.remove_peer(peer.ident)
        del self._by_ident[peer.ident]
        self._deadlines.forget(peer.ident)

    def has_peer(self, public_key: PublicKey) -> bool:
        """Whether this peer is configured."""
        return public_key in self._peers

    def set_mtu(self, mtu: int) -> None:
        """Inner MTU in bytes."""
        self.data_path.set_mtu(mtu)

    def peers(self) -> list[PeerStatus]:
        """Every peer's state, in the order they were added."""
        return [self._status(peer) for peer in self._peers.values()]

    def _status(self, peer: Peer) -> PeerStatus:
        traffic = self.data_path.traffic(peer.ident)
        return PeerStatus(peer.public_key, peer.preshared_key, self.data_path.allowed_ips(peer.ident),
                          self.data_path.endpoint(peer.ident), peer.latest_handshake_ns, traffic.rx_bytes,
                          traffic.tx_bytes, peer.persistent_keepalive, traffic.last_received)

    # --- packets ---

    def receive_datagrams(self, batch: Sequence[ReceivedDatagram], now: float) -> None:
        """UDP payloads from anybody. Nothing in them makes this raise."""
        transport: list[ReceivedDatagram] = []
        for datagram in batch:
            try:
                kind = message_type_untrusted(datagram.data)
                if kind == MESSAGE_TRANSPORT:
                    transport.append(datagram)
                    continue
                if transport:  # keep the order of arrival
                    self.data_path.receive_transport(transport, now)
                    transport = []
                self._receive_handshake_untrusted(kind, datagram, now)
            except BadMessage as error:
                self.counters[error.reason] += 1
        if transport:
            self.data_path.receive_transport(transport, now)
        self._settle(now)

    def send_packets(self, batch: Sequence[Packet], now: float) -> None:
        """IP packets that the host routed into the tunnel."""
        self.data_path.send_packets(batch, now)
        self._settle(now)

    def batches_to_send(self) -> list[OutgoingBatch]:
        """Datagrams to send, drained; handshake messages first."""
        batches, self._batches = self._batches, []
        return batches + self.data_path.take_batches()

    def packets_to_write(self) -> list[bytes]:
        """IP packets to write to the TUN, drained."""
        return self.data_path.take_packets()

    def next_event(self) -> Event | None:
        """The oldest event, drained one by one."""
        return self._events.popleft() if self._events else None

    def next_deadline(self) -> float | None:
        """When `handle_deadline` wants to be called, seconds; None for never."""
        times = [when for when in (self._deadlines.next(), self.data_path.next_deadline()) if when is not None]
        return min(times) if times else None

    def handle_deadline(self, now: float) -> None:
        """Act on every timer that is due."""
        self.data_path.handle_deadline(now)
        for ident in self._deadlines.due(now):
            peer = self._by_ident[ident]
            if peer.zero_at <= now:
                peer.zero_at = inf
                self._end_sessions(peer)
                self._events.append(SessionExpired(peer.public_key))
            if peer.retransmit_at <= now:
                self._retransmit(peer, now)
            self._deadlines.schedule(ident, peer.earliest())
        self._settle(now)

    def _settle(self, now: float) -> None:
        """Act on what the data path found out."""
        for fact in self.data_path.take_facts():
            peer = self._by_ident.get(fact.peer)
            if peer is not None:
                self._learn(peer, fact, now)

    def _learn(self, peer: Peer, fact: Fact, now: float) -> None:
        if fact.kind is FactKind.WANTS_HANDSHAKE_FOR_TRAFFIC:
            self._initiate(peer, now, for_traffic=True)
        elif fact.kind is FactKind.WANTS_HANDSHAKE:
            self._initiate(peer, now)
        elif fact.kind is FactKind.CONFIRMED:
            peer.unproved = None
            self._forget_answer(peer)
            self._completed(peer, now)
        elif fact.kind is FactKind.ROAMED:
            endpoint = self.data_path.endpoint(peer.ident)
            if endpoint is not None:
                self._events.append(PeerRoamed(peer.public_key, endpoint))

    # --- initiating ---

    def force_initiation(self, public_key: PublicKey, now: float) -> bool:
        """Initiate although the timers would wait, for an owner whose liveness probe goes unanswered (DESIGN §4).

        At most every 250 ms, and only after a second without an authenticated message; False when it is too early."""
        peer = self._peers[public_key]
        heard = self.data_path.traffic(peer.ident).last_received
        if now - peer.initiated_at < FORCED_INITIATION_INTERVAL or (heard is not None and now - heard < LIVENESS_SILENCE):
            return False
        self._send_initiation(peer, now)
        return True

    def _initiate(self, peer: Peer, now: float, *, for_traffic: bool = False) -> None:
        if for_traffic:
            peer.attempts = 0
        if now - peer.initiated_at >= REKEY_TIMEOUT:
            self._send_initiation(peer, now)

    def _send_initiation(self, peer: Peer, now: float) -> None:
        if self._local is None or peer.remote is None:
            self.counters[DropReason.NO_PRIVATE_KEY] += 1
            return
        targets = peer.targets(self.data_path.endpoint(peer.ident))
        peer.waits_for_endpoint = not targets
        if not targets:
            return
        peer.initiated_at = now
        peer.retransmit_at = now + REKEY_TIMEOUT + self._jitter()
        self._deadlines.schedule(peer.ident, peer.earliest())
        timestamp = self._timestamps.next(self._unix_time_ns())
        try:
            message, state = noise.create_initiation(self._local, peer.remote, self._new_index(), timestamp,
                                                     self._random_bytes(32))
        except noise.NoStaticSecret:
            self.counters[DropReason.BAD_HANDSHAKE] += 1
            return
        self._remember(peer, state)
        datagram = peer.jar.add_macs(message.pack(), now)
        self._batches.extend(OutgoingBatch(target, HANDSHAKE_TOS, [datagram]) for target in targets)
        self.data_path.handshake_sent(peer.ident, len(datagram), now)

    def _remember(self, peer: Peer, state: noise.InitiatorState) -> None:
        peer.open[state.index] = state
        self._open[state.index] = peer
        while len(peer.open) > MAX_OPEN_INITIATIONS:
            self._close_initiation(peer, next(iter(peer.open)))

    def _close_initiation(self, peer: Peer, index: int) -> None:
        del peer.open[index], self._open[index]
        self._indices.discard(index)

    def _retransmit(self, peer: Peer, now: float) -> None:
        peer.retransmit_at = inf
        peer.attempts += 1
        if peer.attempts >= MAX_ATTEMPTS:
            self._give_up(peer, now)
            return
        endpoint = self.data_path.endpoint(peer.ident)
        if endpoint is not None:
            self.data_path.set_endpoint(peer.ident, endpoint.without_source())  # sticky, not too sticky
        self._send_initiation(peer, now)

    def _give_up(self, peer: Peer, now: float) -> None:
        peer.attempts = 0
        self.counters[DropReason.HANDSHAKE_GAVE_UP] += self.data_path.drop_staged(peer.ident)
        if peer.zero_at == inf:
            peer.zero_at = now + ZERO_KEYS_AFTER
        self._events.append(HandshakeFailed(peer.public_key))

    # --- handshake messages from the network ---

    def _receive_handshake_untrusted(self, kind: int, datagram: ReceivedDatagram, now: float) -> None:
        if self._local is None or self._checker is None:
            raise BadMessage(DropReason.NO_PRIVATE_KEY)
        data = bytes(datagram.data)
        if kind == MESSAGE_COOKIE_REPLY:
            self._consume_cookie_untrusted(data, now)
            return
        self._checker.check_mac1_untrusted(data)
        if self._load.note_handshake(now):
            self._demand_cookie_untrusted(self._checker, data, datagram.source, now)
        if kind == MESSAGE_INITIATION:
            self._consume_initiation_untrusted(self._local, data, datagram.source, now)
        else:
            self._consume_response_untrusted(self._local, data, datagram.source, now)

    def _demand_cookie_untrusted(self, checker: CookieChecker, data: bytes, source: Endpoint, now: float) -> None:
        address = source.mac_bytes()
        if not checker.has_valid_mac2(data, address, now):
            reply = checker.reply(data, int.from_bytes(data[4:8], "little"), address, now)
            self._batches.append(OutgoingBatch(source, HANDSHAKE_TOS, [reply.pack()]))
            raise BadMessage(DropReason.COOKIE_SENT)
        if not self._limiter.allow(source.host, now):
            raise BadMessage(DropReason.RATE_LIMITED)

    def _consume_cookie_untrusted(self, data: bytes, now: float) -> None:
        reply = parse_cookie_reply_untrusted(data)
        peer = self._open.get(reply.receiver) or self._responded.get(reply.receiver)
        if peer is None:
            raise BadMessage(DropReason.UNKNOWN_INDEX)
        peer.jar.consume_reply_untrusted(reply, now)

    def _consume_initiation_untrusted(self, local: noise.LocalStatic, data: bytes, source: Endpoint, now: float) -> None:
        self._answer_again_untrusted(data, source)
        state = noise.consume_initiation_untrusted(local, parse_initiation_untrusted(data), self._find)
        peer = self._peers[state.remote.public]
        if state.timestamp <= peer.last_timestamp:
            raise BadMessage(DropReason.OLD_TIMESTAMP)
        if now - peer.last_consumed < INITIATION_FLOOD_INTERVAL:
            raise BadMessage(DropReason.INITIATION_FLOOD)
        peer.last_timestamp, peer.last_consumed = state.timestamp, now
        self.data_path.handshake_received(peer.ident, INITIATION_SIZE, now)
        self._respond(peer, state, data, source, now)

    def _find(self, static: bytes) -> noise.RemoteStatic | None:
        peer = self._peers.get(PublicKey(static))
        return peer.remote if peer else None

    def _answer_again_untrusted(self, data: bytes, source: Endpoint) -> None:
        """The same initiation by another path, while our answer by the first is not confirmed: that path may be one-way.

        The bytes were authenticated when they came first. Answering again costs no computation and reuses no nonce;
        it ends with the confirmation, or when every candidate path has been answered."""
        peer = self._answered.get(data)
        if peer is None or peer.answered is None:
            return
        initiation, response, left = peer.answered
        if left and (peer.unproved is None or not peer.unproved.same_address(source)):
            peer.answered = (initiation, response, left - 1)
            self._batches.append(OutgoingBatch(source, HANDSHAKE_TOS, [response]))
        raise BadMessage(DropReason.OLD_TIMESTAMP)

    def _respond(self, peer: Peer, state: noise.ResponderState, data: bytes, source: Endpoint, now: float) -> None:
        message, keys = noise.create_response(state, self._new_index(), self._random_bytes(32))
        response = peer.jar.add_macs(message.pack(), now)
        self._let_go(self.data_path.install(peer.ident, keys, now))
        self._forget_answer(peer)
        peer.answered = (data, response, MAX_CANDIDATE_ENDPOINTS)
        self._answered[data] = peer
        self._responded[message.sender] = peer
        peer.unproved = source
        if self.data_path.endpoint(peer.ident) is None:
            self.data_path.set_endpoint(peer.ident, source)
        self._batches.append(OutgoingBatch(source, HANDSHAKE_TOS, [response]))
        self.data_path.handshake_sent(peer.ident, RESPONSE_SIZE, now)
        self._arm_zero(peer, now)

    def _forget_answer(self, peer: Peer) -> None:
        if peer.answered is not None:
            initiation, response, _ = peer.answered
            self._answered.pop(initiation, None)
            self._responded.pop(int.from_bytes(response[4:8], "little"), None)
            peer.answered = None

    def _consume_response_untrusted(self, local: noise.LocalStatic, data: bytes, source: Endpoint, now: float) -> None:
        message = parse_response_untrusted(data)
        peer = self._open.get(message.receiver)
        if peer is None or peer.remote is None:
            raise BadMessage(DropReason.UNEXPECTED_RESPONSE)
        keys = noise.consume_response_untrusted(local, peer.remote, peer.open[message.receiver], message)
        self._indices.add(keys.local_index)
        for index in list(peer.open):
            if index != keys.local_index:
                self._close_initiation(peer, index)
        del peer.open[keys.local_index], self._open[keys.local_index]
        before = self.data_path.endpoint(peer.ident)
        self.data_path.set_endpoint(peer.ident, source)
        if before is None or not before.same_address(source):
            self._events.append(PeerRoamed(peer.public_key, source))
        self.data_path.handshake_received(peer.ident, RESPONSE_SIZE, now)
        self._let_go(self.data_path.install(peer.ident, keys, now))
        self._completed(peer, now)

    def _completed(self, peer: Peer, now: float) -> None:
        peer.retransmit_at = inf
        peer.attempts = 0
        peer.latest_handshake_ns = self._unix_time_ns()
        self._arm_zero(peer, now)
        self._events.append(HandshakeCompleted(peer.public_key))

    def _arm_zero(self, peer: Peer, now: float) -> None:
        peer.zero_at = now + ZERO_KEYS_AFTER
        self._deadlines.schedule(peer.ident, peer.earliest())

    # --- shared ---

    def _end_sessions(self, peer: Peer) -> None:
        for index in list(peer.open):
            self._close_initiation(peer, index)
        self._forget_answer(peer)
        self._let_go(self.data_path.expire(peer.ident))
        peer.retransmit_at = peer.zero_at = inf
        peer.initiated_at = -inf
        peer.attempts = 0

    def _let_go(self, indices: Iterable[int]) -> None:
        self._indices.difference_update(indices)

    def _new_index(self) -> int:
        while True:
            index = int.from_bytes(self._random_bytes(4), "little")
            if index not in self._indices:
                self._indices.add(index)
                return index

    def _jitter(self) -> float:
        return int.from_bytes(self._random_bytes(2), "little") / 65536 * REKEY_TIMEOUT_JITTER
