"""From a task's death to the last node that knows of it: by three nodes, and by twenty."""

import asyncio
import time
from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from covey.model.objects import Task
from covey.model.specs import NetworkSpec, Placement, RestartPolicy
from covey.model.states import TaskState
from tests.bench.deaths import Spot, Watch
from tests.bench.figures import QUICK, Figure, console, machine, show
from tests.bench.test_one_node import kill
from tests.bench.town import BOUND_S, Started, Town, raised, visiting

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]
DEATHS = 3 if QUICK else 10
_REST_NS = 3_000_000_000  # before a replacement, which would show in the tables as well


@pytest.mark.parametrize("nodes", [3, 20])
def test_deaths(nodes: int) -> None:
    console.print(f"\n{machine()}")
    with raised(workers=nodes - 1) as (place, names):

        async def main() -> None:
            async with visiting(place, names) as town:
                await die(town, nodes)

        asyncio.run(main())


async def die(town: Town, nodes: int) -> None:
    """Tasks on every node call a service; one of its tasks is killed, again and again."""
    everywhere = town.spec("callers", nodes)
    task = replace(everywhere.task, placement=Placement(max_replicas_per_node=1))
    callers = await town.start(replace(everywhere, task=task))
    spots = _spots(town, callers)
    replicas = max(nodes, DEATHS)  # one for each death: who dies again and again is started ever later
    spec = town.spec("served", replicas)
    restart = RestartPolicy(delay_ns=_REST_NS)
    served = await town.start(replace(spec, task=replace(spec.task, restart=restart)))
    virtual_ip = await town.virtual_ip(served.service_id)
    unled, gone, dead = list[float](), list[float](), set[int]()
    for _ in range(DEATHS):
        seen = await town.until(
            served.service_id, lambda now: len(_running(now.tasks)) == replicas, f"{replicas} tasks"
        )
        await asyncio.sleep(0.5)  # until tables stand still
        victim = next(task for task in _running(seen.tasks) if task.slot not in dead)
        dead.add(victim.slot)
        number = await _number(town, victim)
        watch = Watch(spots, virtual_ip, number)
        pid = town.container(town.names[victim.node_id], victim.id) / "pid"
        watch.start()
        began = time.monotonic()
        kill(pid)
        await asyncio.to_thread(watch.end, BOUND_S)
        unled.append((max(watch.unled.values()) - began) * 1000)
        gone.append((max(watch.gone.values()) - began) * 1000)
    created = [await _create_network(town, number) for number in range(2 * DEATHS)]
    show(
        f"{len(spots)} nodes: a network is made; a task is killed",
        [
            Figure("create a network, the call", created, "ms"),
            Figure("no node leads a new connection to it", unled, "ms"),
            Figure("no node knows a way to it", gone, "ms"),
        ],
    )


async def _create_network(town: Town, number: int) -> float:
    before = time.monotonic()
    await town.client.create_network(NetworkSpec(name=f"another{number}"))
    return (time.monotonic() - before) * 1000


def _running(tasks: Sequence[Task]) -> list[Task]:
    return [task for task in tasks if task.status.state == TaskState.RUNNING]


def _spots(town: Town, callers: Started) -> list[Spot]:
    found = {}
    for task in callers.tasks:
        node = town.names[task.node_id]
        found[node] = Spot(node, town.place.run(node) / "netns", task.id, town.network_id)
    assert len(found) == len(town.nodes), "callers on every node"
    return list(found.values())


async def _number(town: Town, task: Task) -> int:
    detail = await town.client.get_network(town.network_id)
    return next(each.number for each in detail.endpoints if each.task_id == task.id)
