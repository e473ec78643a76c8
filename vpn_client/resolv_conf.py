"""resolv.conf(5) as values: reading what is there, writing ours, and finding the original again.

Owns the format, and the marker that lets any later start restore the original from our file alone: /etc survives a
power cut, the journal in /run does not. Leaves to others: files (`resolver_file`), which mode is used
(`resolver_setup`).
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

MARKER: Final = "# kvpn: all queries pass through its resolver; `kvpn down --force` restores this file. Journal: "
_WAS_LINE: Final = "#kvpn= "
_WAS_LINE_OPEN: Final = "#kvpn- "
"""The original's last line, when it had no line end."""
_WAS_SYMLINK: Final = "#kvpn@ "
_WAS_MISSING: Final = "#kvpn?"


@dataclass(frozen=True, slots=True)
class ResolvConf:
    """The parts that matter to us."""

    nameservers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    header: str = ""
    """The comments before the first setting: who wrote the file."""


def parse(text: str) -> ResolvConf:
    """Never fails: a line that makes no sense counts for nothing, as in the C library. `#` and `;` start comments."""
    servers: list[str] = []
    search: tuple[str, ...] = ()
    options: list[str] = []
    header: list[str] = []
    for line in text.splitlines():
        words = line.split()
        if line[:1] in ("#", ";"):
            header += [line] if not (servers or search or options) else []
        elif len(words) < 2:
            continue
        elif words[0] == "nameserver" and _is_address(words[1]):
            servers.append(words[1])
        elif words[0] in ("search", "domain"):
            search = tuple(word.lower().rstrip(".") for word in words[1:] if word.strip("."))
        elif words[0] == "options":
            options += words[1:]
    return ResolvConf(tuple(dict.fromkeys(servers)), search, tuple(options), "\n".join(header))


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def render(before: str | None, *, server: str, search: tuple[str, ...], journal: str, symlink: str = "") -> str:
    """Our file: only our server, our search domains before the host's, its options kept, the original in comments.

    `before`: the original's text, None if there was no file; `symlink`: its target if it was a link.
    """
    was = parse(before or "")
    domains = tuple(dict.fromkeys((*search, *was.search)))
    lines = [MARKER + journal, *_embed(before, symlink)]
    lines += [f"search {' '.join(domains)}"] if domains else []
    lines += [f"nameserver {server}"]
    lines += [f"options {' '.join(was.options)}"] if was.options else []
    return "\n".join(lines) + "\n"


def _embed(before: str | None, symlink: str) -> list[str]:
    if symlink:
        return [_WAS_SYMLINK + symlink]
    if before is None:
        return [_WAS_MISSING]
    *whole, rest = before.split("\n")
    return [_WAS_LINE + line for line in whole] + ([_WAS_LINE_OPEN + rest] if rest else [])


@dataclass(frozen=True, slots=True)
class Original:
    """What our file replaced."""

    kind: str
    """`file`, `symlink` or `missing`."""
    content: str
    """The text, or the link's target."""
    journal: str
    """The journal of the session that replaced it."""


def original(text: str) -> Original | None:
    """What a file of ours replaced; None if the file is not ours."""
    lines = text.split("\n")
    if not lines[0].startswith(MARKER):
        return None
    journal = lines[0].removeprefix(MARKER)
    content = ""
    for line in lines[1:]:
        if line.startswith(_WAS_SYMLINK):
            return Original("symlink", line.removeprefix(_WAS_SYMLINK), journal)
        if line == _WAS_MISSING:
            return Original("missing", "", journal)
        if line.startswith(_WAS_LINE):
            content += line.removeprefix(_WAS_LINE) + "\n"
        elif line.startswith(_WAS_LINE_OPEN):
            content += line.removeprefix(_WAS_LINE_OPEN)
    return Original("file", content, journal)


def is_ours(text: str) -> bool:
    """Whether we wrote this file."""
    return text.startswith(MARKER)


def upstreams(text: str, own: tuple[str, ...]) -> tuple[str, ...]:
    """The resolvers that a file names, without our own: an answer of ours must never be asked of us again."""
    found = original(text)
    servers = parse(found.content if found is not None and found.kind == "file" else text).nameservers
    return tuple(server for server in servers if server not in own)
