"""What the DNS server serves, against what it was told: every difference is found, and put right."""

import asyncio
import socket
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from ipaddress import IPv4Address
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from msgspec.structs import replace

from agent.audit.look import Look
from agent.dns.client import DnsFeed
from agent.dns.codec import Records
from agent.dns.feed import Request, Resolver, ResolverNetwork, SetTable, frame
from agent.dns.server import DnsServer
from agent.dns.zone import Zone
from covey import limits
from covey.errors import Unavailable
from covey.io import netns
from covey.model.objects import ClusterVersion
from covey.model.states import EndpointState
from covey.model.tables import EndpointRow, NetworkTable, ServiceRow
from tests.support.leftovers import prefix

pytestmark = pytest.mark.root

ROW = EndpointRow(
    endpoint_id="e1",
    addresses=("10.7.0.1",),
    state=EndpointState.ACTIVE,
    service_id="web",
    task_id="t" * 25,
    task_name=f"web.1.{'t' * 25}",
    hostname="host1",
)
TABLE = NetworkTable(
    network_id="net1",
    version=ClusterVersion(1, 1),
    endpoints=(ROW,),
    services=(ServiceRow("web", "web", virtual_ips=("10.7.9.2",)),),
)


def inside(namespace: Path, *command: str) -> None:
    subprocess.run(["nsenter", f"--net={namespace}", *command], check=True)


@pytest.fixture
def run() -> Iterator[Path]:
    with TemporaryDirectory(prefix=f"{prefix()}-dns-audit-") as folder:
        path = Path(folder)
        netns.create(path / "box")
        inside(path / "box", "ip", "link", "set", "lo", "up")
        try:
            yield path
        finally:
            netns.delete(path / "box")


def served(run: Path, work: Callable[[DnsServer, DnsFeed], Awaitable[None]]) -> None:
    async def whole() -> None:
        server = DnsServer(run / "dns.sock", run / "dns", Random(1))
        await server.start()
        try:
            async with DnsFeed(run / "dns.sock", Random(1)) as names:
                resolver = Resolver("t1", str(run / "box"), (ResolverNetwork("net1"),))
                names.reset([TABLE], [resolver])
                await names.ready("t1")
                await work(server, names)
        finally:
            await server.stop()

    asyncio.run(whole())


def places(look: Look) -> list[tuple[str, str]]:
    return [(each.kind, each.place) for each in look.findings]


def test_nothing_is_amiss_also_after_changes(run: Path) -> None:
    async def work(server: DnsServer, names: DnsFeed) -> None:
        assert await names.audit() == Look(3)
        for index in range(2, 30):
            state = EndpointState.DRAINING if index % 2 else EndpointState.ACTIVE
            changed = replace(ROW, state=state, addresses=(f"10.7.0.{index}",))
            names.set_table(replace(TABLE, version=ClusterVersion(1, index), endpoints=(changed,)))
            assert (await names.audit()).findings == (), "asked right behind each change"

    served(run, work)


def lose(zone: Zone) -> None:
    del zone.names[next(iter(zone.names))]


def lose_address(zone: Zone) -> None:
    del zone.reverse[next(iter(zone.reverse))]


def keep_one_that_died(zone: Zone) -> None:
    name, records = next(iter(zone.names.items()))
    zone.names[name] = Records.of((*records.addresses, IPv4Address("10.7.0.99")), records.ttl_s)


def name_twice(zone: Zone) -> None:
    zone.names[b"\x03old"] = next(iter(zone.names.values()))


@pytest.mark.parametrize("meddle", [lose, lose_address, keep_one_that_died, name_twice])
def test_names_that_lead_elsewhere_are_found_and_worked_out_anew(
    run: Path, meddle: Callable[[Zone], None]
) -> None:
    async def work(server: DnsServer, names: DnsFeed) -> None:
        meddle(server._zones["net1"])
        assert places(await names.audit()) == [("DNS", "network net1")]
        assert places(await names.audit(repair=True)) == []
        assert places(await names.audit()) == []

    served(run, work)


def test_what_nobody_told_and_what_was_lost(run: Path) -> None:
    async def work(server: DnsServer, names: DnsFeed) -> None:
        server._set_zone(replace(TABLE, network_id="net2"))
        del server._zones["net1"]
        server._close("t1")
        found = await names.audit()
        assert places(found) == [("DNS", "network net1"), ("DNS", "network net2"), ("DNS", "t1")]
        assert places(await names.audit(repair=True)) == []

    served(run, work)


@pytest.mark.parametrize("command", ["delete table ip covey_dns", "add rule ip covey_dns output counter"])
def test_a_port_53_that_leads_elsewhere_is_led_back(run: Path, command: str) -> None:
    async def work(server: DnsServer, names: DnsFeed) -> None:
        inside(run / "box", "nft", *command.split())
        assert places(await names.audit()) == [("DNS", "t1")]
        assert places(await names.audit(repair=True)) == []

    served(run, work)


def test_a_server_that_does_not_answer_is_said_so(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "dns_audit_s", 0.05)

    async def work() -> None:
        async with DnsFeed(run / "nobody.sock", Random(1)) as names:
            with pytest.raises(Unavailable, match="did not say within"):
                await names.audit()

    asyncio.run(work())


def test_what_an_agent_said_last_is_kept_though_it_is_gone(run: Path) -> None:
    """It ends in the middle of its sentence: what was heard is served, and so must outlive this server."""

    async def work() -> None:
        server = DnsServer(run / "dns.sock", run / "dns", Random(1))
        await server.start()
        assert server._writing is not None
        await server._writing  # what it began with
        try:
            with socket.socket(socket.AF_UNIX) as agent:
                agent.connect(str(run / "dns.sock"))
                for number in range(20):
                    agent.sendall(
                        frame(Request(number + 1, SetTable(replace(TABLE, network_id=f"n{number}"))))
                    )
            while not server._zones:
                await asyncio.sleep(0.01)
            async with asyncio.timeout(30):
                while len(list((run / "dns").glob("*/*.msgpack"))) < len(server._zones):
                    await asyncio.sleep(0.01)
        finally:
            await server.stop()

    asyncio.run(work())
