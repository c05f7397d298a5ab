"""Three nodes: starts across them, a node that dies, and names and virtual addresses between containers."""

import asyncio
import statistics
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace

from covey.client.views import Progress
from covey.model.objects import Task
from covey.model.specs import UpdateConfig
from covey.model.states import Availability, NodeState, TaskState, UpdateState
from devcluster import nodes as power
from tests.bench import latency, peers
from tests.bench.changing import change_size, roll
from tests.bench.figures import QUICK, REPEATS, Figure, console, machine, show
from tests.bench.starts import come_and_go
from tests.bench.town import Town, raised, visiting, wait_for, wait_for_answer

pytestmark = [pytest.mark.root, pytest.mark.timeout(3600)]
SIZES = (1, 10) if QUICK else (1, 10, 50, 100)
QUERIES = 200
_HERE, _THERE = "w1", "w2"


def test_three_nodes() -> None:
    console.print(f"\n{machine()}")
    with raised(workers=2) as (place, nodes):

        async def main() -> None:
            async with visiting(place, nodes) as town:
                await sizes(town)
                await names_and_addresses(town)
                await change_size(town, "Three nodes")
                await roll(town, "Three nodes")
                await drained_worker(town)
                await dead_worker(town)

        asyncio.run(main())


async def sizes(town: Town) -> None:
    """Create, and remove. A few tasks on every node first: pulls are measured apart."""
    await town.remove(await town.start(town.spec("cold", 9)))
    figures, removals = await come_and_go(town, SIZES, None, peers.CREATE_THREE_NODES_S, {}, {})
    show("Three nodes on this machine: create to all tasks running, overlay network", figures)
    show("Three nodes: remove to no container and no namespace", removals)


async def names_and_addresses(town: Town) -> None:
    """As a container on one node meets a service on another."""
    client = await town.start(town.pinned("client", _HERE))
    path = town.netns(_HERE, client.tasks[0].id)
    figures = [await new_name(town, path)]
    server = await town.start(town.pinned("server", _THERE))
    direct, virtual = await town.address_of(server.tasks[0]), await town.virtual_ip(server.service_id)
    await wait_for(lambda: latency.ask(path, "server") == [virtual], "the server's name")
    taken = latency.queries_us(path, "server.", QUERIES)
    figures.append(
        Figure(
            f"a DNS query, median of {QUERIES}",
            [statistics.median(taken)],
            "us",
            reference=peers.DNS_QUERY_US,
            note=f"nine of ten within {statistics.quantiles(taken, n=10)[-1]:.0f} us",
        )
    )
    with latency.echo(town.netns(_THERE, server.tasks[0].id)):
        to_direct, to_virtual = latency.round_trips_us(path, [direct, virtual], QUERIES)
    ratio = statistics.median(to_virtual) / statistics.median(to_direct)
    figures += [
        Figure("connect and one byte, task's address", [statistics.median(to_direct)], "us"),
        Figure(
            "connect and one byte, virtual address",
            [statistics.median(to_virtual)],
            "us",
            note=f"{ratio:.2f} times the task's own address",
        ),
    ]
    show("Three nodes: names and addresses, from a container on one node to one on another", figures)
    await town.remove(client)
    await town.remove(server)


async def new_name(town: Town, path: Path) -> Figure:
    """From a task's start on one node to its address in the answers on another."""
    taken = []
    for turn in range(2 * REPEATS):
        name = f"fresh{turn}"
        asking = latency.Resolving(path, f"tasks.{name}")
        asking.start()
        try:
            started = await town.start(town.pinned(name, _THERE))
            await wait_for(asking.answered, f"an answer for tasks.{name}")
        finally:
            await asyncio.to_thread(asking.give_up)
        taken.append((asking.first_ns - started.tasks[0].status.at_ns) / 1e9)
        await town.remove(started)
    what = "a new task's address is in the answers, after it runs"
    return Figure(what, taken, reference=peers.NAME_RESOLVES_S)


async def drained_worker(town: Town) -> None:
    """A worker with a third of the tasks is drained: when they run elsewhere, and when nothing is left on it."""
    share = 3 if QUICK else 30
    moved, empty = list[float](), list[float]()
    for turn in range(REPEATS):
        started = await town.start(town.spec(f"drained{turn}", 3 * share))
        there = [task for task in started.tasks if town.names[task.node_id] == _HERE]
        assert len(there) == share, f"{len(there)} of {3 * share} tasks are on {_HERE}"
        began = time.monotonic()
        await use(town, Availability.DRAIN)
        await town.until(
            started.service_id,
            lambda seen: (
                sum(runs(each) and town.names[each.node_id] != _HERE for each in seen.tasks) == 3 * share
            ),
            f"{3 * share} tasks elsewhere",
        )
        moved.append(time.monotonic() - began)
        gone = partial(none_stands, [town.container(_HERE, task.id) / "pid" for task in there])
        await wait_for(gone, f"nothing to run on {_HERE}")
        empty.append(time.monotonic() - began)
        await use(town, Availability.ACTIVE)
        await town.remove(started)
    show(
        f"Three nodes: a worker with {share} tasks is drained, their network's connections included",
        [
            Figure("all its tasks run elsewhere", moved, reference=None if QUICK else peers.DRAINED_S),
            Figure("none of its containers runs", empty, reference=None if QUICK else peers.DRAINED_S),
        ],
    )


def none_stands(pid_files: Sequence[Path]) -> bool:
    """Whether none of the containers' processes is there any more."""
    pids = [file.read_text().strip() for file in pid_files if file.exists()]
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


async def use(town: Town, availability: Availability) -> None:
    """Let the scheduler use the worker so."""
    node = next(n for n in await town.client.nodes() if n.description.hostname == _HERE)
    await town.client.update_node(node.id, node.meta.version, replace(node.spec, availability=availability))


async def dead_worker(town: Town) -> None:
    """A worker loses its power: when that is seen, and when its tasks run elsewhere."""
    down, elsewhere = list[float](), list[float]()
    await town.start(town.spec("mourned", 12, update=UpdateConfig(parallelism=0, monitor_ns=0)))
    for _ in range(REPEATS):
        seen_s, moved_s = await one_death(town)
        down.append(seen_s)
        elsewhere.append(moved_s)
        await asyncio.to_thread(power.boot, town.place, _HERE)
        await wait_for_answer(lambda: state_is(town, NodeState.READY), f"{_HERE} to be ready again")
    show(
        "Three nodes: a worker without power, with a third of 12 tasks",
        [
            Figure("the worker is known to be down", down, reference=peers.NODE_DOWN_S),
            Figure("all its tasks run elsewhere", elsewhere, reference=peers.TASKS_ELSEWHERE_S),
        ],
    )


async def one_death(town: Town) -> tuple[float, float]:
    """Seconds from the power loss to the state DOWN, and to 12 tasks on other nodes."""
    service = await town.client.get_service("mourned")
    # Tasks stay where they are when the worker is back: have some on it again.
    await town.change(
        service.service.id,
        lambda spec: replace(spec, task=replace(spec.task, force_update=spec.task.force_update + 1)),
    )
    await town.until(
        service.service.id, lambda seen: on_worker(town, seen) >= 3 and all_run(seen), "tasks on it"
    )
    began = time.monotonic()
    dying = asyncio.create_task(asyncio.to_thread(power.power_loss, town.place, _HERE))

    async def seen_down() -> float:
        await wait_for_answer(lambda: state_is(town, NodeState.DOWN), f"{_HERE} to be seen down")
        return time.monotonic() - began

    watching = asyncio.create_task(seen_down())
    await town.until(
        service.service.id,
        lambda seen: sum(runs(each) and town.names[each.node_id] != _HERE for each in seen.tasks) == 12,
        "12 tasks elsewhere",
    )
    moved_s = time.monotonic() - began
    await dying
    return await watching, moved_s


def runs(task: Task) -> bool:
    """Whether it runs, and is meant to."""
    return task.status.state == task.desired_state == TaskState.RUNNING


def all_run(seen: Progress) -> bool:
    """Whether there are 12 running tasks, and no update is under way."""
    updating = seen.detail.service.update_status.state == UpdateState.UPDATING
    return sum(map(runs, seen.tasks)) == 12 and not updating


def on_worker(town: Town, seen: Progress) -> int:
    """How many tasks run on the worker that is to die."""
    return sum(runs(each) and town.names[each.node_id] == _HERE for each in seen.tasks)


async def state_is(town: Town, state: NodeState) -> bool:
    """Whether the managers hold the worker to be so."""
    return any(
        node.description.hostname == _HERE and node.status.state == state
        for node in await town.client.nodes()
    )
