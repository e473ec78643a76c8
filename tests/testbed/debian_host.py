"""I/O: a host in a namespace with Debian packages laid over it that this machine does not have: real resolvers.

Owns the mounts: /run is empty, /etc can be written, /usr has the packages' files on top; all of it is private to the
namespace's processes and gone with them. Leaves to others: unpacking (`scripts/lib/debs.sh`).
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.testbed import needs
from tests.testbed.netns import Namespace, run, stop, wait_until

BUS_CONFIG = """<busconfig><type>system</type><listen>unix:path=/run/dbus/system_bus_socket</listen>
<auth>EXTERNAL</auth><policy context="default"><allow user="*"/><allow own="*"/><allow send_type="method_call"/>
<allow send_destination="*"/><allow receive_sender="*"/></policy></busconfig>"""


class DebianHost:
    """The processes of one namespace, with `packages` (a set that debs.sh unpacks) over this machine's files."""

    def __init__(self, namespace: Namespace, packages: str, folder: Path) -> None:
        root = needs.cached(f"debs/{packages}").resolve()
        folder.mkdir(exist_ok=True)
        script = f"""set -e
            mount -t tmpfs tmpfs /run; mount -t tmpfs tmpfs {folder}; mkdir {folder}/upper {folder}/work
            mount -t overlay overlay -o lowerdir={root}/etc:/etc,upperdir={folder}/upper,workdir={folder}/work /etc
            mount -t overlay overlay -o lowerdir={root}/usr:/usr /usr
            mkdir -p /run/systemd /run/ready; exec sleep infinity"""
        self.namespace = namespace
        self.log = folder.with_suffix(".log")
        holder = namespace.start(["unshare", "-m", "--propagation", "private", "sh", "-c", script], log=self.log)
        self._enter = ["nsenter", "-t", str(holder.pid), "-m"]
        wait_until(lambda: run([*self._enter, "test", "-d", "/run/ready"], check=False).returncode == 0,
                   what=f"the mounts; see {self.log}")

    def run(self, words: Sequence[str], *, check: bool = True, stdin: str | None = None,
            env: Mapping[str, str] | None = None) -> str:
        """Run a command on the host to its end; returns what it printed."""
        return self.namespace.run([*self._enter, *words], check=check, stdin=stdin, env=env).stdout

    def start(self, words: Sequence[str], *, log: Path | None = None,
              env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start a process on the host; it ends with the namespace."""
        return self.namespace.start([*self._enter, *words], log=log or self.log, env=env)

    def write(self, path: str, text: str) -> None:
        """Write a file of the host."""
        self.run(["sh", "-c", f"mkdir -p $(dirname {path}); rm -f {path}; cat > {path}"], stdin=text)

    def start_bus(self) -> None:
        """A system bus that lets root and everyone do everything."""
        self.write("/run/dbus/system.conf", BUS_CONFIG)
        self._bus = self.start(["dbus-daemon", "--config-file=/run/dbus/system.conf", "--nofork", "--nopidfile"])
        self._wait_for("/run/dbus/system_bus_socket")

    def start_resolved(self, server: str) -> None:
        """systemd-resolved asking `server`, with its stub in resolv.conf, as Debian and Ubuntu set it up."""
        needs.tool("dbus-daemon")
        self.run(["sh", "-c", "grep -q ^systemd-resolve: /etc/passwd || "
                  "echo systemd-resolve:x:64001:64001::/:/usr/sbin/nologin >> /etc/passwd; "
                  "grep -q ^systemd-resolve: /etc/group || echo systemd-resolve:x:64001: >> /etc/group"])
        self.write("/etc/systemd/resolved.conf", f"[Resolve]\nDNS={server}\nFallbackDNS=\nMulticastDNS=no\nLLMNR=no\n")
        self.start_bus()
        self._resolved = self.start(["/lib/systemd/systemd-resolved"], env={"SYSTEMD_LOG_LEVEL": "info"})
        self._wait_for("/run/systemd/resolve/stub-resolv.conf")
        self.run(["ln", "-sf", "../run/systemd/resolve/stub-resolv.conf", "/etc/resolv.conf"])
        wait_until(lambda: self.run(["resolvectl", "domain"], check=False), what="systemd-resolved on the bus")

    def stop_resolved(self) -> None:
        """Stop systemd-resolved and the bus; its state in /run stays."""
        for process in (self._resolved, self._bus):
            stop(process)
        self.run(["rm", "-f", "/run/dbus/system_bus_socket", "/run/systemd/resolve/stub-resolv.conf"])

    def _wait_for(self, path: str) -> None:
        wait_until(lambda: self.run(["sh", "-c", f"test -e {path} && echo yes"], check=False), what=path)
