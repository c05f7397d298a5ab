"""A node's networks with tables of thousands of rows: the real driver, alone in a network namespace.

Run as `python -m tests.bench.large_tables FOLDER ROWS TASKS` inside the namespace; the figures come as JSON.
"""

import asyncio
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec
from msgspec.structs import replace

from agent.network.driver import NetlinkNetworks
from agent.network.seam import Attachment, Sandbox
from agent.network.settings import Settings
from agent.session.tables import apply_delta
from covey.io import netns
from covey.model.objects import ClusterVersion, Endpoint, Network, Subnet
from covey.model.specs import NetworkSpec, PortConfig
from covey.model.states import EndpointState
from covey.model.tables import EndpointRow, NetworkTable, NetworkTableDelta, ServiceRow

BACKENDS = 50  # of each service
OWN = "192.0.2.1"
OVERLAY = Network(id="o" * 25, spec=NetworkSpec(name="big"), vni=5001, subnets=(Subnet(cidr="10.64.0.0/12"),))
INGRESS = Network(
    id="i" * 25,
    spec=NetworkSpec(name="ingress", ingress=True),
    vni=5000,
    subnets=(Subnet(cidr="10.32.0.0/12"),),
)
_BASE = {OVERLAY.id: 10 << 24 | 64 << 16, INGRESS.id: 10 << 24 | 32 << 16}


@dataclass
class Measured:
    """Milliseconds, each once but for attaches and changes."""

    created: float = 0.0  # the first task on a network: its sandbox, VXLAN device and namespace
    attached: tuple[float, ...] = ()
    whole: float = 0.0
    stood_still: float = 0.0  # the agent's loop meanwhile, at most
    whole_cpu: float = 0.0  # of processor time, which does not depend on what else runs
    changed_cpu: tuple[float, ...] = ()
    changed: tuple[float, ...] = ()  # a row that drains, goes, comes; from the message to the kernel
    published: float = 0.0  # the whole table of the ingress network
    published_changed: tuple[float, ...] = ()
    audited: float = 0.0
    findings: tuple[str, ...] = ()


def _address(network: Network, number: int) -> tuple[int, str]:
    whole = _BASE[network.id] + number
    return whole, ".".join(map(str, whole.to_bytes(4, "big")))


def _row(network: Network, place: int) -> EndpointRow:
    number, address = _address(network, 1000 + place)
    return EndpointRow(
        endpoint_id=f"e{place:024}",
        number=number,
        addresses=(address,),
        node_id=f"node{2 + place % 20}",
        vtep=f"192.0.2.{2 + place % 20}",
        state=EndpointState.ACTIVE,
        task_id=f"t{place:024}",
        task_name=f"web{place // BACKENDS}.{place % BACKENDS + 1}.t{place:024}",
        hostname=f"h{place}",
        service_id=f"s{place // BACKENDS:024}",
        keeps_client_address=True,
    )


def table(network: Network, rows: int) -> NetworkTable:
    """A service for every 50 rows, which publishes a port on the ingress network."""
    ingress = network is INGRESS
    number, address = _address(network, 5)
    own = EndpointRow(endpoint_id="own", number=number, addresses=(address,), node_id="node1", vtep=OWN)
    services = [
        ServiceRow(
            service_id=f"s{place:024}",
            name=f"web{place}",
            virtual_ips=() if ingress else (f"10.79.{place // 250}.{place % 250 + 1}",),
            ports=(PortConfig(target_port=80, published_port=20_000 + place),) if ingress else (),
        )
        for place in range(max(1, rows // BACKENDS))
    ]
    endpoints = [*(_row(network, place) for place in range(rows)), *([own] if ingress else [])]
    return NetworkTable(network.id, ClusterVersion(1, 1), tuple(endpoints), tuple(services))


def changes(whole: NetworkTable) -> Iterator[NetworkTableDelta]:
    """A row drains, goes, and comes again, some times over."""
    index = whole.version.index
    for turn in range(5):
        row = whole.endpoints[(turn * 7919 + 17) % (len(whole.endpoints) - 1)]
        for step in (
            NetworkTableDelta(endpoints=(replace(row, state=EndpointState.DRAINING),)),
            NetworkTableDelta(endpoints_removed=(row.endpoint_id,)),
            NetworkTableDelta(endpoints=(row,)),
        ):
            versions = ClusterVersion(1, index), ClusterVersion(1, index + 1)
            yield replace(step, network_id=whole.network_id, applies_to=versions[0], version=versions[1])
            index += 1


def sandbox(place: int) -> Sandbox:
    """A task on both networks."""
    attachments = []
    for network in (OVERLAY, INGRESS):
        number, address = _address(network, 10 + place)
        own = Endpoint(
            id=f"t{place}{network.id[0]}", network_id=network.id, number=number, addresses=(address,)
        )
        attachments.append(Attachment(network, own))
    return Sandbox(f"t{place}", tuple(attachments))


class _Stillness:
    """How long the loop stood still at most."""

    def __init__(self) -> None:
        self.worst_ms = 0.0
        self._task = asyncio.get_running_loop().create_task(self._watch())

    async def _watch(self) -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            self.worst_ms = max(self.worst_ms, _since_ms(before) - 1)

    def end(self) -> float:
        self._task.cancel()
        return self.worst_ms


def _since_ms(before: float) -> float:
    return (time.perf_counter() - before) * 1000


async def measure(folder: Path, rows: int, tasks: int) -> Measured:
    """Build everything in the namespace of this process, and take it away again."""
    networks = NetlinkNetworks(Settings(folder / "netns", "node1", OWN, keeps_client_address=True))
    found = Measured()
    try:
        await networks.reconcile([OVERLAY, INGRESS], [], [])
        attached = []
        for place in range(tasks):
            before = time.perf_counter()
            await networks.attach(sandbox(place))
            attached.append(_since_ms(before))
        found.created, found.attached = attached[0], tuple(attached[1:])
        stillness = _Stillness()
        before = time.perf_counter()
        whole = table(OVERLAY, rows)
        await asyncio.sleep(0)
        stillness.worst_ms, before, cpu = 0.0, time.perf_counter(), time.process_time()
        await networks.apply(whole)
        found.whole, found.stood_still = _since_ms(before), stillness.end()
        found.whole_cpu = (time.process_time() - cpu) * 1000
        found.changed, found.changed_cpu = await _change(networks, whole)
        whole = table(INGRESS, rows)
        before = time.perf_counter()
        await networks.apply(whole)
        found.published = _since_ms(before)
        found.published_changed, _ = await _change(networks, whole)
        before = time.perf_counter()
        look = await networks.audit()
        found.audited = _since_ms(before)
        found.findings = tuple(f"{each.kind} {each.place} {each.words}" for each in look.findings)
        return found
    finally:
        await networks.close()
        for each in (folder / "netns").iterdir():
            netns.delete(each)


async def _change(
    networks: NetlinkNetworks, whole: NetworkTable
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    taken, cpu = [], []
    for change in changes(whole):
        before, cpu_before = time.perf_counter(), time.process_time()
        whole = apply_delta(whole, change)
        await networks.apply(whole)
        taken.append(_since_ms(before))
        cpu.append((time.process_time() - cpu_before) * 1000)
    return tuple(taken), tuple(cpu)


if __name__ == "__main__":
    result = asyncio.run(measure(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
    print(msgspec.json.encode(asdict(result)).decode())
