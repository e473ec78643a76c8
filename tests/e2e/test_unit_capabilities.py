"""The daemon with exactly the capabilities of its systemd unit joins the cluster and restores the host."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.testbed import cluster_objects as objects
from tests.testbed import needs
from tests.testbed.netns import wait_until
from tests.testbed.unit_file import capabilities
from tests.testbed.world import World, snapshot

NUMBERS = {"net_bind_service": 10, "net_admin": 12}
"""linux/capability.h"""


def as_the_unit() -> list[str]:
    """setpriv words for what the unit gives."""
    caps = "".join(f",+{name}" for name in sorted(capabilities()))
    return [needs.tool("setpriv"), f"--bounding-set=-all{caps}", f"--inh-caps=-all{caps}", f"--ambient-caps=-all{caps}",
            "--no-new-privs"]


def effective(pid: int) -> int:
    """The capability set in force for a process, as a number."""
    match = re.search(r"^CapEff:\s*([0-9a-f]+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert match
    return int(match[1], 16)


@pytest.mark.root
@pytest.mark.slow
def test_end_to_end_with_the_units_capabilities() -> None:
    with World() as world:
        key = world.make_keys()
        world.write_cluster()
        world.write("laptop.yaml", objects.peer("laptop", key))
        world.start_gateway()
        profile = world.write_profile()
        before = snapshot(world.laptop)
        log = world.folder / "kvpnd.log"
        daemon = world.laptop.start([*as_the_unit(), "kvpnd"], log=log, env=world.environment)
        wait_until((world.state_dir / "kvpn.sock").exists, what=f"kvpnd listens: {log}")
        assert effective(daemon.pid) == sum(1 << NUMBERS[name] for name in capabilities())
        up = world.kvpn("up", "--profile", str(profile), check=False)
        assert up.returncode == 0, up.stderr + log.read_text()
        assert "hello from web-1" in world.laptop.run(["curl", "-sS", "-m", "5", "http://web.shop"]).stdout
        assert world.kvpn("status").returncode == 0
        assert world.kvpn("down").returncode == 0
        assert snapshot(world.laptop) == before
