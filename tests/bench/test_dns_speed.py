"""What a node's DNS process answers a second, how soon, at what cost; and what a change of a large table costs it."""

import asyncio
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from random import Random

import dnslib
import pytest
from msgspec.structs import replace

from agent.dns.client import DnsFeed
from agent.dns.feed import Resolver, ResolverNetwork
from covey import limits
from covey.io import netns
from covey.model.objects import ClusterVersion
from covey.model.specs import PortConfig
from covey.model.states import EndpointMode, EndpointState
from covey.model.tables import EndpointRow, NetworkTable, ServiceRow
from tests.bench.figures import QUICK, REPEATS, Figure, show
from tests.bench.latency import queries_us
from tests.integration.dns.test_dns_server import Node, node

pytestmark = pytest.mark.root
__all__ = ["node"]

QUERIES = 20_000 if QUICK else 200_000
ROWS = 10_000
WINDOW = 32
PROTOTYPE = "76 to 107 k/s with dnsperf, bytes by hand, one process"

HTTP = PortConfig(name="http", target_port=80)


def table(rows: int) -> NetworkTable:
    """A service for every five tasks; the first by its tasks' addresses."""
    return NetworkTable(
        network_id="net1",
        version=ClusterVersion(1),
        endpoints=tuple(
            EndpointRow(
                endpoint_id=f"e{n:024d}",
                addresses=(f"10.{64 + n // 62_500}.{n // 250 % 250}.{n % 250 + 1}",),
                state=EndpointState.ACTIVE,
                service_id=f"s{n // 5:024d}",
                task_id=f"{n:012d}{'t' * 13}",
                task_name=f"web{n // 5}.{n % 5 + 1}.{n:012d}{'t' * 13}",
                hostname=f"{n:012d}",
            )
            for n in range(rows)
        ),
        services=tuple(
            ServiceRow(
                service_id=f"s{n:024d}",
                name=f"web{n}",
                mode=EndpointMode.VIP if n else EndpointMode.DNSRR,
                virtual_ips=(f"10.200.{n // 250}.{n % 250 + 1}",) if n else (),
                ports=(HTTP,),
            )
            for n in range(rows // 5)
        ),
    )


def maker(path: Path, name: str, qtype: str, count: int) -> subprocess.Popen[str]:
    """A process that asks `count` times, `WINDOW` questions under way at once, and says how many seconds it took."""
    words = [str(path), name, qtype, str(count)]
    return subprocess.Popen([sys.executable, __file__, *words], stdout=subprocess.PIPE, text=True)


def make_load(path: Path, name: str, qtype: str, count: int) -> float:
    query = bytes(dnslib.DNSRecord.question(name, qtype).pack())
    with netns.socket_inside(path, socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        sock.connect((limits.dns_address, 53))
        send, receive = sock.send, sock.recv
        send(query)
        assert dnslib.DNSRecord.parse(receive(4096)).header.a > 0, f"{name} {qtype} is not known"
        began = time.perf_counter()
        for _ in range(WINDOW):
            send(query)
        for _ in range(count - WINDOW):
            receive(4096)
            send(query)
        for _ in range(WINDOW):
            receive(4096)
        return time.perf_counter() - began


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.fixture
def serving(node: Node) -> tuple[int, list[Path]]:
    node.start()
    assert node.process is not None
    paths = [node.container(f"c{n}") for n in range(2)]

    async def feed() -> None:
        async with DnsFeed(node.run / "dns.sock", Random(1)) as names, asyncio.timeout(60):
            resolvers = [Resolver(p.name, str(p), (ResolverNetwork("net1", "net1"),)) for p in paths]
            names.reset([table(100)], resolvers)
            for path in paths:
                await names.ready(path.name)

    asyncio.run(feed())
    return node.process.pid, paths


QUESTIONS = (
    ("a service, one address", "web1", "A"),
    ("a service of 5 addresses (dnsrr)", "web0", "A"),
    ("an address backwards", "1.0.200.10.in-addr.arpa", "PTR"),
    ("a port by its name", "_http._tcp.web1", "SRV"),
)


def test_queries_a_second(serving: tuple[int, list[Path]]) -> None:
    pid, paths = serving
    found = []
    for what, name, qtype in QUESTIONS:
        name = "2.0.200.10.in-addr.arpa" if qtype == "PTR" else name
        rates, costs = [], []
        for _ in range(REPEATS):
            before = cpu_s(pid)
            makers = [maker(path, name, qtype, QUERIES // len(paths)) for path in paths]
            seconds = [float(each.communicate(timeout=300)[0]) for each in makers]
            rates.append(QUERIES / max(seconds) / 1000)
            costs.append((cpu_s(pid) - before) / QUERIES * 1e6)
        found.append(Figure(what, rates, "k/s", note=f"{statistics.median(costs):.1f} us of processor each"))
    found.append(
        Figure(
            "one at a time, there and back",
            queries_us(paths[0], "web1", QUERIES // 10),
            "us",
            note="A, no load",
        )
    )
    show(f"DNS queries, two containers that ask without a pause ({PROTOTYPE})", found)


def test_a_change_of_a_large_table(node: Node) -> None:
    node.start()
    path = node.container("c0")
    whole: list[float] = []
    changes: list[float] = []
    waits: list[float] = []
    big = table(ROWS)
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            waits.extend(us / 1000 for us in queries_us(path, "web1", 20))

    async def play() -> None:
        async with DnsFeed(node.run / "dns.sock", Random(1)) as names, asyncio.timeout(120):
            names.reset([table(100)], [Resolver("c0", str(path), (ResolverNetwork("net1", "net1"),))])
            await names.ready("c0")
            began = time.perf_counter()
            names.set_table(replace(big, version=ClusterVersion(2)))
            await names.follows("net1", 60_000)
            whole.append((time.perf_counter() - began) * 1000)
            asking = threading.Thread(target=ask)
            asking.start()
            try:
                await change(names)
            finally:
                over.set()
                await asyncio.to_thread(asking.join)

    async def change(names: DnsFeed) -> None:
        rows = list(big.endpoints)
        for n in range(100):
            rows[n * 7] = replace(rows[n * 7], state=EndpointState.DRAINING)
            newer = replace(big, version=ClusterVersion(3 + n), endpoints=tuple(rows))
            began = time.perf_counter()
            names.set_table(newer)
            await names.follows("net1")
            changes.append((time.perf_counter() - began) * 1000)
            await asyncio.sleep(0.01)

    asyncio.run(play())
    waits.sort()
    show(
        f"A table of {ROWS:,} rows, from the agent to answers that follow it",
        [
            Figure("the whole of it", whole, "ms"),
            Figure("one row changed", changes, "ms"),
            Figure("a query meanwhile, worst of a hundred", waits[len(waits) * 99 // 100 :], "ms"),
        ],
    )


if __name__ == "__main__":
    print(make_load(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])))
