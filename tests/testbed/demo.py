"""I/O: `scripts/demo`: what a user does, on real parts, and what it proves. Exits 1 if anything failed."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import sys
import time
import tomllib
from collections.abc import Callable, Sequence
from subprocess import CompletedProcess

from tests.testbed import cluster_objects as objects
from tests.testbed.netns import CommandFailed, Namespace
from tests.testbed.world import DB, OFFICE_NAME, World, snapshot

LOOP_SECONDS = 3
"""How long curl loops around a moving endpoint."""
NAME = "web.shop.svc.cluster.local"


class Demo:
    """Shows commands as a user would type them, checks what they print, and keeps what was proved and what failed."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.proved: list[str] = []
        self.failed: list[str] = []
        self.plain = f"wg{os.getpid()}"
        self._long = {f"{world.folder}/": "", self.plain: "wg0"}

    def title(self, words: str) -> None:
        """A heading."""
        print(f"\n# {words}", flush=True)

    def say(self, text: str) -> None:
        """Print, with the folder left out and the interface that is named after this process called wg0."""
        for long, short in self._long.items():
            text = text.replace(long, short)
        if text.strip():
            print(text.rstrip(), flush=True)

    def show(self, where: Namespace, command: str) -> CompletedProcess[str]:
        """Print and run one command line."""
        self.say(f"{where.name.rpartition('-')[2]}$ {command}")
        done = where.run(["bash", "-c", command], check=False, env=self.world.environment)
        self.say(done.stdout + done.stderr)
        return done

    def check(self, good: bool, words: str) -> None:
        """Keep the outcome."""
        (self.proved if good else self.failed).append(words)
        if not good:
            print(f"FAILED: {words}", flush=True)

    def prepare(self) -> None:
        """Objects, keys, the gateway, the profile."""
        world = self.world
        self.title("A cluster dump, a key for the laptop, a gateway that reads the dump")
        key = world.make_keys()
        world.write_cluster()
        world.write("laptop.yaml", objects.peer("laptop", key, username="ada@example.org"))
        print(f"laptop$ kvpn keygen --private-key-file laptop.key\n{key}")
        print("gateway$ kvpn-gateway run --open --objects objects/ --private-key-file gateway.key &")
        world.start_gateway()
        said = [line for line in (world.folder / "gateway.log").read_text().splitlines() if "policy: open" in line]
        print(*said[:1], sep="\n")
        self.check(bool(said), "the gateway says in its log that its policy is open")
        print("gateway$ kvpn-gateway profile laptop --objects objects/ --endpoint 192.0.2.1:51820 > laptop.toml")
        world.write_profile()

    def connect(self) -> bool:
        """`kvpn up`, and what is there now."""
        self.title("Connect")
        done = self.show(self.world.laptop, f"kvpn up --profile {self.world.folder}/laptop.toml")
        self.check(done.returncode == 0, "kvpn up connected and a probe proved it")
        return done.returncode == 0

    def names(self) -> None:
        """Resolve."""
        self.title("Names")
        laptop = self.world.laptop
        self.check("10.96.0.10" in self.show(laptop, f"getent ahostsv4 {NAME} | head -1").stdout,
                   f"getaddrinfo resolves {NAME}")
        self.check(set(self.show(laptop, "dig +short db.shop.svc.cluster.local | sort").stdout.split()) ==
                   set(DB.values()), "a headless service resolves to its pods")
        self.check("web" in self.show(laptop, "dig +short -x 10.96.0.10").stdout, "addresses resolve back to names")
        self.check("192.0.2.80" in self.show(laptop, f"getent ahostsv4 {OFFICE_NAME} | head -1").stdout,
                   "the office's names still resolve")

    def traffic(self) -> None:
        """HTTP, TCP, UDP and ping."""
        self.title("Traffic")
        laptop = self.world.laptop
        for url, words in ((f"http://{NAME}", "curl by full name"), ("http://web.shop", "curl by short name"),
                           ("-6 http://web.shop", "curl over IPv6")):
            self.check("hello from web-1" in self.show(laptop, f"curl -sS -m 5 {url}").stdout, words)
        pod = "db-0.db.shop.svc.cluster.local"
        tcp = f"exec 3<>/dev/tcp/{pod}/5432; echo select 1 >&3; head -1 <&3"
        self.check("select 1" in self.show(laptop, tcp).stdout, "TCP to a pod of a headless service, by its own name")
        udp = "exec 3<>/dev/udp/clock.shop/7; echo tick >&3; head -1 <&3"
        self.check("tick" in self.show(laptop, f"timeout 5 bash -c {shlex.quote(udp)}").stdout, "UDP to a ClusterIP")
        self.check("latest handshake" in self.show(laptop, "wg show kvpn0").stdout, "wg show sees the tunnel")
        self.check(" 0% packet loss" in self.show(laptop, f"ping -c 3 -i 0.2 -W 2 {pod}").stdout, "ping to a pod")

    def wireguard(self) -> None:
        """The same gateway through the drop-in for wireguard-go, configured with the ordinary tools."""
        self.title("Plain WireGuard: kvpn-wg, configured with wg and ip from the same profile")
        world, name = self.world, self.plain
        profile = tomllib.loads((world.folder / "laptop.toml").read_text())
        (world.folder / "wg0.conf").write_text(
            f"[Interface]\nPrivateKey = {(world.folder / 'laptop.key').read_text()}[Peer]\n"
            f"PublicKey = {profile['gateway']['public_key']}\nEndpoint = {profile['gateway']['endpoints'][0]}\n"
            "AllowedIPs = 10.96.0.0/16\n")
        for command in (f"kvpn-wg {name}", f"wg setconf {name} {world.folder}/wg0.conf",
                        f"ip addr add {profile['interface']['addresses'][0]} dev {name}", f"ip link set {name} up",
                        f"ip route add 10.96.0.0/16 dev {name}"):
            self.show(world.laptop, command)
        self.check("hello" in self.show(world.laptop, "curl -sS -m 5 http://10.96.0.10").stdout,
                   "kvpn-wg, configured with wg, reaches a ClusterIP")
        shown = self.show(world.laptop, f"wg show {name}").stdout
        self.check("latest handshake" in shown, "wg show sees its handshake")
        self.show(world.laptop, f"ip link del {name}")

    def moving_endpoint(self) -> None:
        """Requests in a loop while the pod behind the service is replaced."""
        self.title("An endpoint moves from web-1 to web-2 while curl loops")
        loop = (f"end=$((SECONDS + {LOOP_SECONDS})); while ((SECONDS < end)); do "
                "curl -sS -m 2 http://web.shop || echo FAILED; sleep 0.02; done 2>&1 | cut -d, -f1 | uniq -c")
        world = self.world
        out = world.folder / "loop.txt"
        process = world.laptop.start(["bash", "-c", loop], log=out, env=world.environment)
        world.laptop.run(["sleep", "1"])
        world.write_cluster(web=["web-2"])
        process.wait(LOOP_SECONDS + 20)
        text = out.read_text()
        print(f"laptop$ while …; do curl http://web.shop; done | uniq -c\n{text.rstrip()}")
        self.check("FAILED" not in text and "curl:" not in text, "no request failed while the endpoint moved")
        self.check("web-1" in text and text.rstrip().endswith("web-2"),
                   "requests went to the new pod without a reconnect")

    def status(self) -> None:
        """What kvpn says of itself."""
        self.title("Status")
        done = self.show(self.world.laptop, "kvpn status")
        self.check(done.returncode == 0 and "open" in done.stdout,
                   "kvpn status is proved by a probe and names the policy")
        shown = json.loads(self.world.kvpn("status", "-o", "json", check=False).stdout)
        self.check(len(shown["sessions"]) == 1, "kvpn status -o json lists the session")

    def disconnect(self, before: dict[str, str]) -> None:
        """`kvpn down`, and the host as before."""
        self.title("Disconnect")
        done = self.show(self.world.laptop, "kvpn down")
        self.check(done.returncode == 0, "kvpn down")
        after = snapshot(self.world.laptop)
        for name, text in before.items():
            if after[name] != text:
                print(f"--- {name} before\n{text}\n--- {name} after\n{after[name]}")
            self.check(after[name] == text, f"the laptop is as before: {name}")

    def run(self, *, keep: bool) -> None:
        """Everything in order; a part that breaks does not stop `down`."""
        before = snapshot(self.world.laptop)
        self.prepare()
        self._part(self.wireguard)
        for part in (self.names, self.traffic, self.moving_endpoint, self.status) if self.connect() else ():
            self._part(part)
        if keep:
            self._wait()
        self.disconnect(before)

    def _part(self, part: Callable[[], None]) -> None:
        try:
            part()
        except (AssertionError, OSError, ValueError, LookupError) as error:
            self.check(False, f"{part.__name__}: {error}")

    def _wait(self) -> None:
        world = self.world
        self.title("Kept up. Look inside from another shell; Ctrl-C here ends and removes it")
        for where in (world.laptop, world.gateway, world.cluster):
            print(f"ip netns exec {where.name} env PATH={shlex.quote(world.environment['PATH'].split(':')[0])}:$PATH "
                  f"KVPN_STATE_DIR={world.state_dir} bash")
        print(f"objects: {world.objects}   logs: {world.folder}/*.log", flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; 0 when all was proved."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave everything up until Ctrl-C, with a shell hint")
    options = parser.parse_args(argv)
    if options.keep:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    began = time.monotonic()
    with World() as world:
        demo = Demo(world)
        try:
            demo.run(keep=options.keep)
        except CommandFailed as error:
            demo.check(False, str(error))
        for log in (world.folder / "gateway.log", world.state_dir / "kvpnd.log") if demo.failed else ():
            if log.exists():
                print(f"\n# {log.name}", log.read_text()[-3000:], sep="\n")
    print(f"\n# Proved in {time.monotonic() - began:.0f} s")
    print(*(f"  ok      {words}" for words in demo.proved), *(f"  FAILED  {words}" for words in demo.failed), sep="\n")
    return 1 if demo.failed else 0


if __name__ == "__main__":
    sys.exit(main())
