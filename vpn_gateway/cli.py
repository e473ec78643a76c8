"""I/O: `kvpn-gateway`: arguments in, exit code out. stdout is data, stderr is talk."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from vpn_directory.version import VERSION
from vpn_gateway.config import (
    DEFAULT_POOL4,
    DEFAULT_POOL6,
    BadConfig,
    GatewayConfig,
    Network,
    domain,
    pool,
    prefix,
    require_policy,
)
from vpn_gateway.exit_codes import ExitCode


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    args = _parser().parse_args(argv)
    try:
        code: int = args.run(args)
        return code
    except BadConfig as error:
        return _fail(args, str(error), ExitCode.USAGE)


def _fail(args: argparse.Namespace, why: str, code: ExitCode, hint: str = "") -> int:
    print(f"kvpn-gateway: {args.command}: {why}" + (f"\nhint: {hint}" if hint else ""), file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="kvpn-gateway", description="The gateway that joins laptops to a Kubernetes network.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="serve peers")
    _add_common(run)
    run.add_argument("--open", action="store_true", help="without policies: let every peer reach the whole directory")
    run.add_argument("--listen-port", type=int, default=51820, metavar="PORT", help="UDP, default: %(default)s")
    run.add_argument("--interface", default="kvpn-gw", metavar="NAME", help="default: %(default)s")
    run.add_argument("--service-cidr", action="append", default=[], metavar="CIDR")
    run.add_argument("--pod-cidr", action="append", default=[], metavar="CIDR")
    run.add_argument("--never-reach", action="append", default=[], metavar="CIDR", help="refuse these whatever an object says")
    run.add_argument("--peer-to-peer", action="store_true", help="let peers reach each other")
    run.add_argument("--mtu", type=int, default=1420, metavar="BYTES", help="default: %(default)s")
    run.add_argument("-v", "--verbose", action="store_true")
    run.set_defaults(run=_run)
    profile = commands.add_parser("profile", help="print the profile of one peer, for kvpn up --profile")
    profile.add_argument("peer", metavar="PEER")
    _add_common(profile)
    profile.add_argument("--endpoint", action="append", required=True, metavar="ADDR:PORT", help="where peers reach the gateway")
    profile.set_defaults(run=_profile)
    peers = commands.add_parser("peers", help="list peers and their addresses")
    _add_common(peers, key=False)
    peers.set_defaults(run=_peers)
    commands.add_parser("version", help="print the version").set_defaults(run=_version)
    return parser


def _add_common(parser: argparse.ArgumentParser, *, key: bool = True) -> None:
    parser.add_argument("--objects", type=Path, required=True, metavar="PATH", help="a file or folder of Kubernetes objects")
    if key:
        parser.add_argument("--private-key-file", type=Path, required=True, metavar="FILE", help="made when missing")
    parser.add_argument("--pool4", default=DEFAULT_POOL4, metavar="CIDR", help="tunnel addresses, default: %(default)s")
    parser.add_argument("--pool6", default=DEFAULT_POOL6, metavar="CIDR", help="default: %(default)s")
    parser.add_argument("--cluster-domain", default="cluster.local", metavar="D", help="default: %(default)s")
    parser.add_argument("--clusterset-domain", metavar="D")


def _config(args: argparse.Namespace) -> GatewayConfig:
    def prefixes(name: str) -> tuple[str, ...]:
        given: list[Network] = [prefix(text, f"--{name}") for text in getattr(args, name.replace("-", "_"), [])]
        return tuple(map(str, given))

    return GatewayConfig(
        args.objects, getattr(args, "private_key_file", Path()), getattr(args, "open", True),
        getattr(args, "listen_port", 51820), getattr(args, "interface", "kvpn-gw"),
        pool(args.pool4, "--pool4", 4), pool(args.pool6, "--pool6", 6),  # type: ignore[arg-type]
        domain(args.cluster_domain, "--cluster-domain"),
        args.clusterset_domain and domain(args.clusterset_domain, "--clusterset-domain"),
        prefixes("service-cidr"), prefixes("pod-cidr"),
        prefixes("never-reach"), getattr(args, "peer_to_peer", False), getattr(args, "mtu", 1420))


def _run(args: argparse.Namespace) -> int:
    import asyncio

    from vpn_gateway.runner import Gateway
    from vpn_tunnel.errors import TunnelError
    from vpn_tunnel.host_commands import CommandError

    require_policy(args.open)
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s",
                        level=logging.DEBUG if args.verbose else logging.INFO)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    try:
        asyncio.run(Gateway(_config(args)).run())
    except CommandError as error:
        return _fail(args, str(error), ExitCode.NO_PERMISSION if "root" in error.fix else ExitCode.FAILURE, error.fix)
    except TunnelError as error:
        return _fail(args, str(error), ExitCode.FAILURE)
    return ExitCode.OK


def _peers(args: argparse.Namespace) -> int:
    for name, addresses in sorted(_live(args).items()):
        print(name, *addresses)
    return ExitCode.OK


def _live(args: argparse.Namespace) -> dict[str, tuple[str, str]]:
    """Addresses by peer name, as a gateway with the same arguments gives them."""
    from vpn_directory.object_files import ObjectFiles, ObjectsMissing
    from vpn_gateway.state import GatewayState

    try:
        loaded = ObjectFiles(args.objects).read()
    except ObjectsMissing as error:
        raise BadConfig(f"--objects {error}") from error
    state = GatewayState(_config(args), "", 0.0)
    state.replace_objects(loaded.objects, loaded.errors, 0.0, time.time_ns() / 1e9)
    for problem in state.problems:
        print(f"kvpn-gateway: {problem}", file=sys.stderr)
    return {live.peer.name: live.addresses for live in state.live}


def _profile(args: argparse.Namespace) -> int:
    from vpn_gateway.private_key import load_or_create
    from vpn_gateway.profile import render
    from vpn_tunnel.endpoint import BadEndpoint, Endpoint

    live = _live(args)
    if args.peer not in live:
        return _fail(args, f"no peer {args.peer} is in force", ExitCode.FAILURE,
                     f"peers in force: {', '.join(sorted(live)) or 'none'}")
    try:
        endpoints = [str(Endpoint.parse(text)) for text in args.endpoint]
    except BadEndpoint as error:
        raise BadConfig(f"--endpoint {error}") from error
    public = load_or_create(args.private_key_file).public_key()
    print(render(args.peer, live[args.peer], _config(args), str(public), endpoints), end="")
    return ExitCode.OK


def _version(args: argparse.Namespace) -> int:
    print(VERSION)
    return ExitCode.OK
