"""Messages of the kernel about links and addresses; a real change in a namespace."""

import asyncio
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.testbed.netns import Testbed, inside
from vpn_client.link_watch import RTM_DELADDR, RTM_NEWLINK, LinkWatch, changed_interfaces


def message(kind: int, index: int, padding: int = 8) -> bytes:
    body = struct.pack("=4xi", index) + bytes(padding)
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body


def test_each_message_names_its_interface() -> None:
    data = message(RTM_NEWLINK, 7, padding=5) + bytes(3) + message(99, 8) + message(RTM_DELADDR, 9)
    assert list(changed_interfaces(data)) == [7, 9]


@given(st.binary(max_size=200))
def test_any_bytes_are_read_in_bounds(data: bytes) -> None:
    assert len(list(changed_interfaces(data))) <= len(data) // 16


@pytest.mark.root
def test_a_real_change_is_heard_unless_it_is_ours() -> None:
    async def run(namespace_path: str, change: list[list[str]]) -> None:
        heard = asyncio.Event()
        ours: set[int] = set()
        with inside(namespace_path):
            watch = LinkWatch(heard.set, ours.__contains__)
        try:
            namespace.ip(*change[0])
            await asyncio.wait_for(heard.wait(), 10)
            for _ in range(20):
                await asyncio.sleep(0.005)
            heard.clear()
            ours.add(int(namespace.ip_json("link", "show", "dev", "d0")[0]["ifindex"]))
            namespace.ip(*change[1])
            await asyncio.sleep(0.1)
            assert not heard.is_set()
            namespace.ip(*change[2])
            await asyncio.wait_for(heard.wait(), 10)
        finally:
            watch.close()
    with Testbed() as bed:
        namespace = bed.add("links")
        asyncio.run(run(namespace.path, [["link", "add", "d0", "type", "veth", "peer", "name", "d1"],
                                         ["addr", "add", "198.51.100.1/32", "dev", "d0"],
                                         ["addr", "add", "198.51.100.2/32", "dev", "lo"]]))
