"""The numbers of WireGuard (paper §5 and §6) in one block, our own limits in another. Owns no behaviour."""

from typing import Final

# --- from the paper ---
CONSTRUCTION: Final = b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"
IDENTIFIER: Final = b"WireGuard v1 zx2c4 Jason@zx2c4.com"
LABEL_MAC1: Final = b"mac1----"
LABEL_COOKIE: Final = b"cookie--"

REKEY_AFTER_MESSAGES: Final = 2**60
REJECT_AFTER_MESSAGES: Final = 2**64 - 2**13 - 1
REKEY_AFTER_TIME: Final = 120.0  # seconds
REJECT_AFTER_TIME: Final = 180.0  # seconds
REKEY_ATTEMPT_TIME: Final = 90.0  # seconds
REKEY_TIMEOUT: Final = 5.0  # seconds
KEEPALIVE_TIMEOUT: Final = 10.0  # seconds
COOKIE_SECRET_LIFETIME: Final = 120.0  # seconds
COOKIE_TRUST_TIME: Final = COOKIE_SECRET_LIFETIME - 5.0  # seconds a sender uses a cookie it was given

MESSAGE_INITIATION: Final = 1
MESSAGE_RESPONSE: Final = 2
MESSAGE_COOKIE_REPLY: Final = 3
MESSAGE_TRANSPORT: Final = 4

INITIATION_SIZE: Final = 148  # bytes
RESPONSE_SIZE: Final = 92  # bytes
COOKIE_REPLY_SIZE: Final = 64  # bytes
TRANSPORT_OVERHEAD: Final = 32  # bytes: header and authentication tag

# --- what every implementation chooses; values as in the kernel's -----------------------------------------------------
REKEY_TIMEOUT_JITTER: Final = 0.333  # seconds, upper bound
INITIATION_FLOOD_INTERVAL: Final = 0.02  # seconds between initiations consumed from one peer
HANDSHAKE_TOS: Final = 0x88  # DSCP AF41, for messages 1 to 3
REPLAY_WINDOW_BITS: Final = 8192
MAX_STAGED_PACKETS: Final = 128  # packets a peer may wait with for a session
ZERO_KEYS_AFTER: Final = 3 * REJECT_AFTER_TIME  # seconds after the last handshake

# --- ours ---
DEFAULT_MTU: Final = 1420  # bytes: 1500 less an IPv6 underlay's 80
FORCED_INITIATION_INTERVAL: Final = 0.25  # seconds (DESIGN §4)
MAX_CANDIDATE_ENDPOINTS: Final = 8  # per peer; every initiation goes to each of them
UNDER_LOAD_STICKY: Final = 1.0  # seconds that one overload stays in force
HANDSHAKE_CAPACITY: Final = 400  # handshake messages a second answered without asking for a cookie
MAX_RATE_LIMITER_ENTRIES: Final = 16_384  # source networks remembered
MAX_PEERS: Final = 1 << 20  # peers of one device
MAX_DATAGRAM: Final = 65_535  # bytes
