"""`Peer` objects (kvpn.dev/v1alpha1) to peers, and who owns a key when two claim it (DESIGN §6). Pure.

Owns validation of our own kind, where an unknown field is an error, and the ownership rule: the oldest Peer owns a key, a
user has at most five, an expired one is none. Leaves addresses to `address_pool`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from vpn_directory.kube_fields import Fields, ObjectRefused
from vpn_directory.kube_objects import LocatedObject, Refusal
from vpn_tunnel.errors import BadKey
from vpn_tunnel.keys import PublicKey

API_VERSION: Final = "kvpn.dev/v1alpha1"
MAX_PEERS_PER_USER: Final = 5
_SPEC_FIELDS: Final = frozenset({"publicKey", "username", "groups", "ttlSeconds"})
_TOP_FIELDS: Final = frozenset({"apiVersion", "kind", "metadata", "spec", "status"})


@dataclass(frozen=True, slots=True)
class PeerObject:
    """One Peer as its object says."""

    namespace: str
    name: str
    uid: str
    created: str
    """RFC 3339, or empty in files."""
    public_key: PublicKey
    username: str
    expires: float | None
    """Unix seconds; None for never."""

    @property
    def age(self) -> tuple[str, str]:
        """What the older of two is told by: creation, then uid. Objects without a date count as newest."""
        return self.created or "9999", self.uid


def read_peer(obj: Mapping[str, Any]) -> PeerObject:
    """A Peer object; raises `ObjectRefused` naming the field."""
    top = Fields.of(obj)
    _only(top, obj, _TOP_FIELDS, "")
    spec = obj.get("spec")
    if not isinstance(spec, Mapping):
        raise top.refuse("spec", "is missing")
    _only(top, spec, _SPEC_FIELDS, "spec.")
    fields, meta = top.at("spec"), top.at("metadata")
    fields.texts("groups")
    try:
        key = PublicKey.from_base64(fields.text("publicKey", None))
    except BadKey as error:
        raise fields.refuse("publicKey", str(error)) from error
    namespace, name = meta.text("namespace"), meta.text("name", None)
    created = _date(obj, meta)
    ttl = fields.number("ttlSeconds", 60, 86_400)
    expires = (created + timedelta(seconds=ttl)).timestamp() if created and ttl else None
    stamp = created.isoformat() if created else ""
    return PeerObject(namespace, name, meta.text("uid") or f"{namespace}/{name}", stamp, key, fields.text("username"),
                      expires)


def _only(top: Fields, value: Mapping[str, Any], known: frozenset[str], path: str) -> None:
    for name in value:
        if name not in known:
            raise top.refuse(f"{path}{name}", f"is unknown; expected {', '.join(sorted(known))}")


def _date(obj: Mapping[str, Any], meta: Fields) -> datetime | None:
    value = obj["metadata"].get("creationTimestamp")
    if value is None or isinstance(value, datetime):  # YAML reads an unquoted date as one
        return value.replace(tzinfo=value.tzinfo or UTC) if value else None
    try:
        return datetime.fromisoformat(meta.text("creationTimestamp"))
    except ValueError as error:
        raise meta.refuse("creationTimestamp", "expected a date as in 2026-01-31T12:00:00Z") from error


def read_peers(objects: Iterable[LocatedObject], before: Mapping[str, PeerObject]) -> tuple[list[PeerObject], list[Refusal]]:
    """Every Peer among `objects`; a refused one keeps its state in `before` (by namespace/name) if it had one."""
    found: dict[str, PeerObject] = {}
    refused: list[Refusal] = []
    for located in objects:
        if located.obj.get("kind") != "Peer" or located.obj.get("apiVersion") != API_VERSION:
            continue
        try:
            peer = read_peer(located.obj)
            place = f"{peer.namespace}/{peer.name}"
            if place in found:
                raise ObjectRefused(f"Peer {place}", "metadata.name", "is defined twice")
            found[place] = peer
        except ObjectRefused as error:
            refused.append(Refusal(located.where, error))
            meta = located.obj.get("metadata")
            place = f"{meta.get('namespace') or ''}/{meta.get('name')}" if isinstance(meta, Mapping) else ""
            if place in before and place not in found:
                found[place] = before[place]
    return list(found.values()), refused


def owners(peers: Iterable[PeerObject], unix_now: float) -> tuple[list[PeerObject], list[str]]:
    """The peers in force, oldest first, and why the others are not, in words."""
    keys: dict[PublicKey, str] = {}
    of_user: Counter[str] = Counter()
    kept: list[PeerObject] = []
    denied: list[str] = []
    for peer in sorted(peers, key=lambda p: p.age):
        which = f"Peer {peer.namespace}/{peer.name}".replace(" /", " ")
        if peer.expires is not None and peer.expires <= unix_now:
            denied.append(f"{which}: expired")
        elif peer.public_key in keys:
            denied.append(f"{which}: its public key belongs to the older Peer {keys[peer.public_key]}")
        elif peer.username and of_user[peer.username] >= MAX_PEERS_PER_USER:
            denied.append(f"{which}: {peer.username} has {MAX_PEERS_PER_USER} older Peers already")
        else:
            keys[peer.public_key] = peer.name
            of_user[peer.username] += 1
            kept.append(peer)
    return kept, denied
