"""I/O: a profile file (TOML) and the key files it names, read as the user who asked, made into an intent.

Owns the file's layout and its errors, which name file, field and fix. Leaves to others: what the values may be
(`intent`), where a profile comes from (`kvpn-gateway profile`; later an enrolment).
"""

from __future__ import annotations

import contextlib
import os
import pwd
import socket
import stat
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from vpn_client.exit_codes import ExitCode, Failure
from vpn_client.intent import BadIntent, Intent, join_endpoint, parse_endpoint, parse_intent_untrusted

MAX_PROFILE: Final = 64 * 1024
"""Bytes of a profile, and of a key file: both are written by people."""

FIELDS: Final[Mapping[str, Mapping[str, str]]] = {
    "interface": {"private_key_file": "private_key", "addresses": "addresses", "mtu": "mtu"},
    "gateway": {"public_key": "gateway_public_key", "preshared_key_file": "preshared_key", "endpoints": "endpoints",
                "address": "gateway_address", "persistent_keepalive": "persistent_keepalive"},
    "dns": {"cluster_domain": "cluster_domain", "clusterset_domain": "clusterset_domain"},
    "routes": {"include": "include", "exclude": "exclude"},
}
"""Section → field in the file → field of the intent."""
_PLACES: Final = {inner: f"{section}.{outer}" for section, fields in FIELDS.items() for outer, inner in fields.items()}


def bad_profile(path: Path, why: str, fix: str) -> Failure:
    """The one kind of error that this module raises."""
    return Failure(ExitCode.USAGE, f"profile {path}", why, fix)


def invoking_user(environment: Mapping[str, str]) -> int | None:
    """The uid behind `sudo`, or None when this process acts for itself."""
    uid = environment.get("SUDO_UID", "")
    return int(uid) if os.geteuid() == 0 and uid.isdecimal() and uid != "0" else None


@contextlib.contextmanager
def acting_as(uid: int | None) -> Iterator[None]:
    """Open files with the rights of `uid`: root must not read for a user what the user may not read."""
    if uid is None:
        yield
        return
    entry = pwd.getpwuid(uid)
    saved = os.getgroups(), os.getegid()
    os.setgroups(os.getgrouplist(entry.pw_name, entry.pw_gid))
    os.setegid(entry.pw_gid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(saved[1])
        os.setgroups(saved[0])


def load_profile(path: Path, session: str, *, user: int | None = None,
                 resolve: Callable[[str], list[str]] | None = None) -> Intent:
    """The intent that `path` asks for; Failure that names file, field and fix. Endpoint names are resolved once."""
    with acting_as(user):
        raw = _read_toml(path)
        flat = _flatten(path, raw)
        for name in ("private_key", "preshared_key"):
            if flat.get(name):
                flat[name] = _read_key(path, _PLACES[name], str(flat[name]))
    if isinstance(flat.get("endpoints"), list):
        flat["endpoints"] = _resolve_all(path, flat["endpoints"], resolve or _addresses_of)
    try:
        return parse_intent_untrusted({"session": session, "profile": path.name, **flat})
    except BadIntent as error:
        raise bad_profile(path, f"{_PLACES.get(error.name, error.name)}: {error.why}", error.fix) from None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_bytes()[:MAX_PROFILE + 1]
    except OSError as error:
        raise bad_profile(path, error.strerror or str(error), "check the path and its permissions") from None
    if len(text) > MAX_PROFILE:
        raise bad_profile(path, f"longer than {MAX_PROFILE} bytes", "this is not a profile; see kvpn-gateway profile")
    try:
        return tomllib.loads(text.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise bad_profile(path, f"not TOML: {error}", "correct that line") from None


def _flatten(path: Path, raw: Mapping[str, Any]) -> dict[str, Any]:
    """The intent's fields from the file's sections; an unknown section or field is an error, not a guess."""
    flat: dict[str, Any] = {}
    for section, values in raw.items():
        if section not in FIELDS or not isinstance(values, dict):
            raise bad_profile(path, f"unknown section [{section}]", f"use {', '.join(f'[{name}]' for name in FIELDS)}")
        for name, value in values.items():
            if name not in FIELDS[section]:
                raise bad_profile(path, f"unknown field {section}.{name}", f"use {', '.join(FIELDS[section])}")
            flat[FIELDS[section][name]] = value
    for needed in ("private_key", "addresses", "gateway_public_key", "gateway_address", "endpoints"):
        if needed not in flat:
            raise bad_profile(path, f"{_PLACES[needed]} is missing", "add it; kvpn-gateway profile prints a whole one")
    return flat


def _read_key(profile: Path, place: str, name: str) -> str:
    """The base64 key in the file that the profile names; refused when others may read it."""
    path = profile.parent / Path(name).expanduser()
    try:
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(MAX_PROFILE)
    except OSError as error:
        raise bad_profile(profile, f"{place}: {path}: {error.strerror}",
                          f"make one: kvpn keygen --private-key-file {path}") from None
    if stat.S_IMODE(mode) & 0o077:
        raise bad_profile(profile, f"{place}: {path} has mode {stat.S_IMODE(mode):04o}: others may read the key",
                          f"chmod 600 {path}")
    return text.decode("ascii", "replace").strip()


def _resolve_all(path: Path, endpoints: list[Any], resolve: Callable[[str], list[str]]) -> list[Any]:
    """Names become addresses here, as the user and outside the tunnel: kvpnd takes literal addresses only."""
    found: list[Any] = []
    for text in endpoints:
        try:
            host, port = parse_endpoint(text) if isinstance(text, str) else ("", 0)
        except ValueError:
            host, port = "", 0
        if not host or not host.strip("0123456789.") or ":" in host:
            found.append(text)
            continue
        try:
            found.extend(join_endpoint(address, port) for address in resolve(host))
        except OSError as error:
            raise Failure(ExitCode.UNREACHABLE, f"endpoint {text}", f"the name does not resolve: {error.strerror}",
                          f"check the name, or write an address in gateway.endpoints of {path}") from None
    return found


def _addresses_of(host: str) -> list[str]:
    return list(dict.fromkeys(str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)))
