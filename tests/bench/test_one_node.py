"""One node: how long services take to come and go, where that time goes, and what it costs in memory."""

import asyncio
import os
import signal
import statistics
import time
from functools import partial
from pathlib import Path

import pytest

from covey.client.views import Progress
from covey.model.states import TaskState
from devcluster import cluster
from tests.bench import costs, floors, peers
from tests.bench.changing import change_size, roll
from tests.bench.figures import QUICK, REPEATS, Figure, console, machine, show
from tests.bench.starts import come_and_go
from tests.bench.town import Town, raised, visiting

pytestmark = [pytest.mark.root, pytest.mark.timeout(3600)]
SIZES = (1, 10, 100) if QUICK else (1, 10, 50, 100)
LARGEST = max(SIZES)
IDLE_S = 5.0 if QUICK else 20.0


def test_one_node() -> None:
    console.print(f"\n{machine()}")
    bare = (floors.runtime(LARGEST), floors.network(LARGEST))
    with raised(workers=0) as (place, nodes):

        async def main() -> None:
            async with visiting(place, nodes) as town:
                idle = await at_rest(town)
                await sizes(town, bare)
                await calls(town)
                await change_size(town, "One node")
                await roll(town, "One node")
                await crash(town)
                await memory(town, idle)

        asyncio.run(main())


async def sizes(town: Town, bare: tuple[floors.Floor, floors.NetworkFloor]) -> None:
    """Create, and remove."""
    cold = await town.start(town.spec("cold", 1))
    await town.remove(cold)
    figures, removals = await come_and_go(
        town, SIZES, bare, peers.CREATE_ONE_NODE_S, peers.CREATE_ONE_NODE_CPU_S, peers.REMOVE_S
    )
    first = Figure("create 1 to running, image not here yet", [cold.seen_s], cpu_s=[cold.cpu.total])
    show(
        "One node: create to all tasks running, overlay network",
        [first, *figures, await by_command(town, 10)],
    )
    show("One node: remove to no container and no namespace", removals)


async def by_command(town: Town, size: int) -> Figure:
    """The same as a user does it, by `covey service create`: the start of a Python interpreter is part of it."""
    arguments = ["service", "create", "-d", "-q", "--name", "typed", "--replicas", str(size)]
    arguments += ["--network", town.network_id, "--stop-signal", "SIGKILL", "--entrypoint", "sleep"]
    arguments += [town.spec("", 1).task.container.image, "1000000"]
    began_ns, before = time.time_ns(), costs.cpu(town.place, town.nodes)
    out = await asyncio.to_thread(cluster.covey, town.place, town.nodes[0], *arguments)
    progress = await town.until(
        out.strip(), lambda seen: seen.detail.running == size, f"{size} tasks of the command"
    )
    taken_s = (max(task.status.at_ns for task in progress.tasks) - began_ns) / 1e9
    used = costs.cpu(town.place, town.nodes).since(before).total
    await town.client.remove_service(out.strip())
    return Figure(f"`covey service create` of {size} to the last running", [taken_s], cpu_s=[used])


async def calls(town: Town) -> None:
    """The API call alone: a service of no tasks, validated, durable, answered."""
    taken = []
    for number in range(20 if QUICK else 100):
        began = time.perf_counter()
        service_id, _ = await town.client.create_service(town.spec(f"call{number}", 0), resolve_image=False)
        taken.append((time.perf_counter() - began) * 1000)
        await town.client.remove_service(service_id)
    middle = statistics.median(taken)
    show("The API", [Figure("create call, median", [middle], "ms", reference=peers.CREATE_CALL_MS)])


async def crash(town: Town) -> None:
    """A container is killed, and another takes its place."""
    taken = []
    for turn in range(3 * REPEATS):
        started = await town.start(town.spec(f"crashed{turn}", 1))
        (task,) = started.tasks
        pid = town.container(town.nodes[0], task.id) / "pid"
        began = time.monotonic()
        kill(pid)
        await town.until(
            started.service_id,
            partial(replaced, old=task.id),
            "another task",
        )
        taken.append(time.monotonic() - began)
        await town.remove(started)
    note = "without the restart delay (the reference: less its 5 s)"
    show(
        "One node: a container is killed",
        [Figure("its replacement running", taken, reference=peers.CRASHED_S, note=note)],
    )


def replaced(seen: Progress, old: str) -> bool:
    """Whether another task than `old` runs."""
    return any(task.status.state == TaskState.RUNNING and task.id != old for task in seen.tasks)


def kill(pid_file: Path) -> None:
    """Kill the process that the file names."""
    os.kill(int(pid_file.read_text()), signal.SIGKILL)


async def at_rest(town: Town) -> tuple[float, dict[str, float]]:
    """Percent of a core used by the nodes with nothing to do, and their memory."""
    await asyncio.sleep(1)
    before = costs.cpu(town.place, town.nodes).total
    await asyncio.sleep(IDLE_S)
    used = costs.cpu(town.place, town.nodes).total - before
    return 100 * used / IDLE_S, costs.pss_mb(town.place, town.nodes)


async def memory(town: Town, idle: tuple[float, dict[str, float]]) -> None:
    """Memory and processor time at rest, with no tasks and with 100."""
    started = await town.start(town.spec("resting", 100))
    await asyncio.sleep(2)
    busy = await at_rest(town)
    await town.remove(started)
    figures = []
    for count, (_, shares), reference in (
        (0, idle, None),
        (100, busy, peers.PSS_100_TASKS_MB),
    ):
        parts = ", ".join(f"{kind} {shares[kind]:.0f}" for kind in sorted(shares) if kind != "conmon")
        ours = sum(used for kind, used in shares.items() if kind != "conmon")
        figures.append(Figure(f"memory (PSS), {count} tasks: ours", [ours], "MB", note=parts))
        if count:
            conmon = shares["conmon"]
            figures.append(Figure(f"memory (PSS), {count} tasks: conmon", [conmon], "MB"))
            figures.append(
                Figure(f"memory (PSS), {count} tasks: all", [ours + conmon], "MB", reference=reference)
            )
    figures += [
        Figure("processor at rest, 0 tasks", [idle[0]], "% of a core", reference=peers.IDLE_CPU_PERCENT),
        Figure(
            "processor at rest, 100 tasks",
            [busy[0]],
            "% of a core",
            reference=peers.IDLE_CPU_100_TASKS_PERCENT,
        ),
    ]
    show("One node, a manager: at rest", figures)
