"""I/O: `kvpn dns serve|query|dump`: the resolver from object files, with no cluster and no tunnel.

Owns arguments and printing; data on stdout, talk on stderr.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import socket
import sys
from pathlib import Path

from kvpn_dns.answer import Answerer, Reply
from kvpn_dns.dump import dump, readable
from kvpn_dns.forward import BadUpstream, Upstream, usable
from kvpn_dns.options import Options, PodMode
from kvpn_dns.server import DnsServer
from kvpn_dns.upstream_io import Forwarder
from kvpn_dns.wire import HEADER, Type, encode_name
from kvpn_dns.zone_index import Index
from vpn_directory.kube_objects import Inventory
from vpn_directory.model import Put
from vpn_directory.object_files import ObjectFiles, ObjectsMissing
from vpn_directory.replica import ReplicaState

POLL = 0.1  # seconds between looks at the files
QUERY_TIMEOUT = 5.0  # seconds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The sub-commands of `kvpn dns`."""
    commands = parser.add_subparsers(dest="dns_command", required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="answer cluster names from object files")
    _add_source(serve, required=True)
    serve.add_argument("--listen", default="127.0.0.1:5300", metavar="ADDR:PORT", help="default: %(default)s")
    serve.add_argument("--forward", action="append", default=[], metavar="ADDR", help="resolver for all other names")
    query = commands.add_parser("query", help="ask one name")
    query.add_argument("name", metavar="NAME")
    query.add_argument("type", nargs="?", default="A", metavar="TYPE", help="default: %(default)s")
    query.add_argument("--server", metavar="ADDR:PORT", help="ask this server instead of object files")
    query.add_argument("-o", "--output", choices=("text", "json"), default="text")
    _add_source(query, required=False)
    _add_source(commands.add_parser("dump", help="print every record as zone text"), required=True)


def _add_source(parser: argparse.ArgumentParser, *, required: bool) -> None:
    parser.add_argument("--objects", type=Path, required=required, metavar="PATH",
                        help="a file or folder of Kubernetes objects, as kubectl get -o yaml prints them")
    parser.add_argument("--cluster-domain", default="cluster.local", metavar="D", help="default: %(default)s")
    parser.add_argument("--clusterset-domain", metavar="D")
    parser.add_argument("--pods", choices=[mode.value for mode in PodMode], default=PodMode.VERIFIED.value)
    parser.add_argument("--ttl", type=int, default=5, metavar="SECONDS", help="default: %(default)s")


def run(args: argparse.Namespace) -> int:
    """Carry out the sub-command; returns the exit code."""
    try:
        if args.dns_command == "serve":
            return asyncio.run(_serve(args))
        return _query(args) if args.dns_command == "query" else _dump(args)
    except (ObjectsMissing, BadUpstream, OSError, ValueError) as error:
        print(f"kvpn: dns {args.dns_command}: {error}", file=sys.stderr)
        return 1


class _Source:
    """Object files kept in an index."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._files = ObjectFiles(args.objects)
        self._inventory = Inventory(args.cluster_domain, args.clusterset_domain)
        owned = tuple(d for d in (args.cluster_domain, args.clusterset_domain) if d)
        self.options = Options(PodMode(args.pods), args.ttl, args.ttl, owned)
        self.index = Index(self.options)
        self.index.apply(Put(item) for item in self._inventory.items.values())
        self._seen = self._files.fingerprint()
        self._load()

    def _load(self) -> None:
        loaded = self._files.read()
        changes, refusals = self._inventory.replace_all(loaded.objects)
        self.index.apply(changes)
        for problem in (*loaded.errors, *refusals):
            print(f"kvpn: {problem}", file=sys.stderr)

    def reload(self) -> None:
        """Read the files again if they changed; what cannot be read keeps its last good state."""
        with contextlib.suppress(OSError):
            seen = self._files.fingerprint()
            if seen != self._seen:
                self._seen = seen
                try:
                    self._load()
                except ObjectsMissing as error:
                    print(f"kvpn: {error}; the last good state stays in force", file=sys.stderr)

    def answerer(self) -> Answerer:
        """An answerer that serves what was read."""
        answerer = Answerer(self.index, self.options)
        answerer.state = ReplicaState.LIVE
        return answerer


async def _serve(args: argparse.Namespace) -> int:
    source = _Source(args)
    listen = Upstream.parse(args.listen)
    upstreams = usable([Upstream.parse(text) for text in args.forward], [(listen.host, listen.port)])
    server = DnsServer(source.answerer(), Forwarder(upstreams) if upstreams else None)
    await server.start([(listen.host, listen.port)])
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    print(f"serving {len(source.index.services)} services on {listen.host}:{listen.port}", file=sys.stderr)
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(POLL):
                await stop.wait()
        source.reload()
    await server.stop()
    return 0


def _query(args: argparse.Namespace) -> int:
    try:
        qtype = Type[args.type.upper()]
    except KeyError:
        raise ValueError(f"{args.type}: expected one of {', '.join(t.name for t in Type)}") from None
    packet = HEADER.pack(0x2A2A, 0x0100, 1, 0, 0, 0) + encode_name(args.name) + bytes([0, qtype, 0, 1])
    if args.server:
        reply = _ask(packet, Upstream.parse(args.server))
    elif args.objects:
        outcome = _Source(args).answerer().answer(packet, tcp=True)
        if not isinstance(outcome, Reply):
            raise ValueError(f"{args.name} is no name of the cluster; the host's own resolver answers it")
        reply = outcome.data
    else:
        raise ValueError("give --objects PATH or --server ADDR:PORT")
    rcode, records = readable(reply)
    if args.output == "json":
        print(json.dumps({"version": 1, "rcode": rcode, "records": records}))
    else:
        print(*records, sep="\n") if records else print(f"{args.name}: {rcode or 'NOERROR'}", file=sys.stderr)
    return 0 if rcode == "NOERROR" and records else 1


def _ask(packet: bytes, server: Upstream) -> bytes:
    """Over TCP, so that the answer is whole."""
    with socket.create_connection((server.host, server.port), QUERY_TIMEOUT) as sock, sock.makefile("rb") as file:
        sock.sendall(len(packet).to_bytes(2, "big") + packet)
        reply = file.read(int.from_bytes(file.read(2), "big"))
    if len(reply) < HEADER.size:
        raise OSError(f"{server.host}:{server.port} closed the connection without an answer")
    return reply


def _dump(args: argparse.Namespace) -> int:
    source = _Source(args)
    for line in dump(source.index, source.answerer()):
        print(line)
    return 0
