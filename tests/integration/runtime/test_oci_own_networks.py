"""Real containers in the node's own network namespace, and in one with nothing in it."""

import asyncio
import os
import socket

import pytest

from agent.runtime.seam import HOST_NETNS
from tests.support.container_bed import ContainerBed

pytestmark = pytest.mark.root


def seen(bed: ContainerBed, script: str, netns: str) -> tuple[list[str], bool]:
    """What a container says while it runs, and whether it is in our own network namespace."""

    async def main() -> tuple[str, bool]:
        await bed.runtime.open()
        pid = await bed.runtime.create(bed.container("a", "sh", "-c", script, netns=netns))
        ours = os.readlink(f"/proc/{pid}/ns/net") == os.readlink("/proc/self/ns/net")
        await bed.runtime.start("a")
        async with asyncio.timeout(30):
            await bed.runtime.wait("a")
        log = bed.runtime.log_path("a").read_text()
        await bed.runtime.remove("a")
        await bed.runtime.close()
        return log, ours

    log, ours = asyncio.run(main())
    return [line.split(" ", 3)[3] for line in log.splitlines()], ours


def test_a_container_in_the_nodes_network_listens_on_the_nodes_ports(bed: ContainerBed) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    try:
        lines, ours = seen(bed, f"netstat -ltn | grep -c 127.0.0.1:{port}", HOST_NETNS)
    finally:
        listener.close()
    assert ours
    assert lines == ["1"]
    assert bed.traces() == []


def test_a_container_without_a_network_has_loopback_alone(bed: ContainerBed) -> None:
    lines, ours = seen(bed, "ls /sys/class/net; ip route | wc -l", "")
    assert not ours
    assert lines == ["lo", "0"]
