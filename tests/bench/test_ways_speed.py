"""What networks cost: throughput and round trips of each way, as shares of a bare veth's in the same run."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import pytest
from msgspec.structs import replace

from agent.tunnels.io.probe import find
from covey.model.specs import PortConfig
from covey.model.states import EndpointState, MeshMode
from tests.bench.figures import QUICK
from tests.bench.ways import SENT_BYTES, Way, compare, sink
from tests.support.network_bed import OUTSIDE, PUBLISHED, VIP, Bed, run_in
from tests.support.network_traffic import ask_tcp, seen_by
from tests.support.tunnel_bed import TunnelBed

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

TARGET, BARE = 5201, 5202
PORT = PortConfig(target_port=TARGET, published_port=PUBLISHED)
ASKED = PortConfig(target_port=80, published_port=PUBLISHED + 1)
AnyBed = TypeVar("AnyBed", bound=Bed)


@contextmanager
def built(make: type[AnyBed]) -> Iterator[AnyBed]:
    with TemporaryDirectory(prefix=f"cvb{os.getpid()}-") as directory:
        bed = make(Path(directory), hosts=2)
        try:
            bed.build()
            yield bed
        finally:
            bed.close()


def test_ways() -> None:
    with built(Bed) as bed:
        first, second = bed.hosts
        bed.attach(first, "t1", None)
        bed.attach(second, "t2", EndpointState.ACTIVE)
        near, far = first.task_path("t1"), second.task_path("t2")

        def publish(mesh: MeshMode) -> None:
            if bed.ports != (ports := tuple(replace(each, mesh=mesh) for each in (PORT, ASKED))):
                bed.ports = ports
                bed.push()

        for mesh in (MeshMode.MASQUERADE, MeshMode.PRESERVE):
            publish(mesh)
            seen = OUTSIDE if mesh is MeshMode.PRESERVE else first.ingress
            assert seen_by(ask_tcp(bed.outside, first.address, ASKED.published_port)) == {seen}

        def bridged(firewall: int) -> None:
            """Whether the hosts have their firewall look at frames that bridges carry, as Docker has it."""
            publish(MeshMode.PRESERVE)
            for host in bed.hosts:
                run_in(host.path, "sysctl", "-qw", f"net.bridge.bridge-nf-call-iptables={firewall}")

        with sink(far, TARGET), sink(second.path, BARE):
            compare(
                "Tasks on two nodes; a client outside, by node 1 to a task on node 2",
                Way(first.path, second.address, BARE),
                {
                    "overlay, task to task": Way(near, "10.7.0.2", TARGET),
                    "overlay, by the virtual address": Way(near, VIP, TARGET),
                    "mesh, the client's address kept": Way(
                        bed.outside, first.address, PUBLISHED, lambda: bridged(1)
                    ),
                    "the same, bridged frames not filtered": Way(
                        bed.outside, first.address, PUBLISHED, lambda: bridged(0)
                    ),
                    "mesh, masqueraded": Way(
                        bed.outside, first.address, PUBLISHED, lambda: publish(MeshMode.MASQUERADE)
                    ),
                },
            )


def test_encrypted() -> None:
    with TemporaryDirectory(prefix=f"cvb{os.getpid()}-") as directory:
        found, why = find(Path(directory), f"bench{os.getpid()}")
        if found is None:
            pytest.skip(why)
    with built(TunnelBed) as bed:
        first, second = bed.members
        bed.join(first, "t1")
        bed.join(second, "t2")
        bed.push()
        with sink(second.task_path("t2"), TARGET), sink(second.path, BARE):
            compare(
                f"An encrypted network, task to task, by {type(found).__name__}",
                Way(first.path, second.address, BARE),
                {
                    "encrypted": Way(
                        first.task_path("t1"),
                        "10.7.0.2",
                        TARGET,
                        sent_bytes=SENT_BYTES // (8 if QUICK else 4),
                    )
                },
                rounds=3,
            )
