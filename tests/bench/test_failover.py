"""Several managers: what it takes to go on when the one that leads dies, and what they cost while nothing happens."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest

from covey.client.cluster import ClusterClient, connect
from covey.client.host import Host
from covey.client.views import ClusterStatus, Reachability
from covey.errors import AlreadyExists, NotFound, Unavailable
from covey.model.specs import ServiceSpec
from covey.model.states import TaskState
from devcluster import membership
from devcluster import nodes as power
from devcluster.place import Place
from tests.bench import costs, peers
from tests.bench.figures import QUICK, Figure, console, machine, show
from tests.bench.town import BOUND_S, Town, raised

pytestmark = [pytest.mark.root, pytest.mark.timeout(3600)]
SIZES = (3,) if QUICK else (3, 5)
ROUNDS = 3 if QUICK else 10
WRITES = 100 if QUICK else 400
IDLE_S = 5.0 if QUICK else 20.0
_PAUSE_S = 0.02

Kill = Callable[[Place, str], None]


@dataclass
class Waits:
    """Seconds from the death of the leader, a value each round."""

    accepted: list[float] = field(default_factory=list)
    running: list[float] = field(default_factory=list)


def kill_the_process(place: Place, node: str) -> None:
    """As a crash: its peers see the connections close, and coveyd starts another."""
    power.kill_process(place, node, "manager")


def test_leader_killed() -> None:
    console.print(f"\n{machine()}")
    for managers in SIZES:
        with raised(workers=1, managers=managers) as (place, nodes):
            asyncio.run(measure(place, nodes, managers))


async def measure(place: Place, nodes: list[str], managers: int) -> None:
    """Kill the leader again and again, in both ways; a worker runs what is asked for meanwhile."""
    figures = [await idle(place, nodes[:managers])]
    async with asking(place, nodes, nodes[0]) as town:
        await town.remove(await town.start(town.pinned("first", nodes[-1])))  # pulls are measured apart
    for node in (await leading(place, nodes[0], managers), None):
        figures += await writes(place, nodes, managers, node)
    for kill, what in ((power.power_loss, "its host lost its power"), (kill_the_process, "its process died")):
        waits = Waits()
        for number in range(ROUNDS):
            await one_round(place, nodes, managers, kill, f"{kill.__name__.replace('_', '-')}{number}", waits)
        figures += [
            Figure(
                f"leader gone ({what}) to next write accepted",
                waits.accepted,
                reference=peers.LEADER_KILLED_WRITE_S,
            ),
            Figure(
                f"leader gone ({what}) to that write's task running",
                waits.running,
                reference=peers.LEADER_KILLED_TASK_S,
            ),
        ]
    show(f"{managers} managers on this machine, {ROUNDS} rounds", figures)


async def idle(place: Place, managers: list[str]) -> Figure:
    """What the managers' processes use while nobody asks for anything."""
    await asyncio.sleep(3.0)  # what joining has stirred up
    before, began = costs.cpu(place, managers), time.monotonic()
    await asyncio.sleep(IDLE_S)
    used = costs.cpu(place, managers).since(before).ours.get("manager", 0.0)
    percent = 100 * used / (time.monotonic() - began) / len(managers)
    return Figure("idle, processor used by each manager process", [percent], "%")


async def writes(place: Place, nodes: list[str], managers: int, leader: str | None) -> list[Figure]:
    """Writes through the control API, asked of the leader, or of a manager that passes them on."""
    first = await leading(place, nodes[0], managers)
    asked = leader or next(node for node in nodes[:managers] if node != first)
    figures = []
    async with asking(place, nodes, asked) as town:
        for at_once in (1, 20):
            names = [f"w{at_once}-{number}-{asked}" for number in range(WRITES)]
            waiting, made = iter(names), list[str]()

            async def one_after_another(
                waiting: Iterator[str] = waiting, made: list[str] = made, town: Town = town
            ) -> None:
                for name in waiting:
                    made.append((await town.client.create_service(town.spec(name, 0)))[0])

            began = time.monotonic()
            await asyncio.gather(*(one_after_another() for _ in range(at_once)))
            rate = len(made) / (time.monotonic() - began)
            who = "the leader" if leader else "another manager"
            figures.append(Figure(f"services created, {at_once} at once, through {who}", [rate], "/s"))
            for service_id in made:
                await town.client.remove_service(service_id)
    return figures


async def one_round(
    place: Place, nodes: list[str], managers: int, kill: Kill, name: str, waits: Waits
) -> None:
    leader = await leading(place, nodes[0], managers)
    asked = next(node for node in nodes[:managers] if node != leader)
    async with asking(place, nodes, asked) as town:
        spec = town.pinned(name, nodes[-1])
        kill(place, leader)
        began = time.monotonic()
        service_id = await created(town.client, spec)
        waits.accepted.append(time.monotonic() - began)
        await running(town.client, service_id)
        waits.running.append(time.monotonic() - began)
        await town.client.remove_service(service_id)
    if not power.coveyd_runs(place, leader):
        await asyncio.to_thread(power.boot, place, leader)
        await asyncio.to_thread(power.wait_for_answer, place, leader)
    await asyncio.to_thread(membership.wait_until_ready, place, nodes)


@asynccontextmanager
async def asking(place: Place, nodes: list[str], node: str) -> AsyncIterator[Town]:
    """A town that is asked through one of the managers that stay."""
    async with connect(Host(place.socket(node))) as client:
        town = Town(place, nodes, client)
        with suppress(AlreadyExists):
            await town.settle_in()
        town.network_id = (await client.get_network("bench")).network.id
        yield town


async def leading(place: Place, node: str, managers: int) -> str:
    """The name of the leader, once all managers are there and reach each other."""
    deadline = time.monotonic() + BOUND_S
    seen: ClusterStatus | str = "no answer"
    while time.monotonic() < deadline:
        with suppress(Unavailable):
            async with connect(Host(place.socket(node))) as client:
                seen = await client.status()
                leaders = [each.hostname for each in seen.managers if each.leader]
                well = [m for m in seen.managers if m.voter and m.reachability is Reachability.REACHABLE]
                if len(well) == managers and len(leaders) == 1:
                    return leaders[0]
        await asyncio.sleep(0.1)
    raise AssertionError(f"{managers} managers were not all there within {BOUND_S:g} s: {seen}")


async def created(client: ClusterClient, spec: ServiceSpec) -> str:
    """Ask until the service is accepted; gives its id."""
    deadline = time.monotonic() + BOUND_S
    while True:
        try:
            return (await client.create_service(spec))[0]
        except AlreadyExists:  # an attempt whose answer was lost
            return (await client.get_service(spec.name)).service.id
        except Unavailable:
            assert time.monotonic() < deadline, f"no write was accepted within {BOUND_S:g} s"
            await asyncio.sleep(_PAUSE_S)


async def running(client: ClusterClient, service_id: str) -> None:
    """Wait until the service's one task runs."""
    deadline = time.monotonic() + BOUND_S
    while time.monotonic() < deadline:
        with suppress(Unavailable, NotFound):
            tasks = await client.tasks(service_id)
            if any(task.status.state is TaskState.RUNNING for task in tasks):
                return
        await asyncio.sleep(_PAUSE_S)
    raise AssertionError(f"the task did not run within {BOUND_S:g} s")
