"""Services that change: scaled up and down, and updated, on however many nodes; draining and its waits included."""

import time

from msgspec.structs import replace

from covey.model.specs import ServiceMode, UpdateConfig
from covey.model.states import TaskState, UpdateOrder
from tests.bench import peers
from tests.bench.figures import REPEATS, Figure, show
from tests.bench.town import Started, Town


async def change_size(town: Town, where: str) -> None:
    """Scale from 10 to 50 and back."""
    up, down = list[float](), list[float]()
    for turn in range(REPEATS):
        started = await town.start(town.spec(f"scaled{turn}", 10))
        up.append(await scale(town, started, 50))
        down.append(await scale(town, started, 10))
        await town.remove(started)
    show(
        f"{where}: scale",
        [
            Figure("10 to 50 running", up, reference=peers.SCALE_UP_S),
            Figure("50 to 10, the others stopped", down, reference=peers.SCALE_DOWN_S),
        ],
    )


async def scale(town: Town, started: Started, size: int) -> float:
    """The seconds until `size` tasks run and no other does."""
    began = time.monotonic()
    await town.change(started.service_id, lambda spec: replace(spec, mode=ServiceMode(replicas=size)))

    await town.until(
        started.service_id,
        lambda seen: (
            seen.detail.desired == size
            and sum(task.status.state == TaskState.RUNNING for task in seen.tasks) == size
        ),
        f"scale to {size}",
    )
    return time.monotonic() - began


async def roll(town: Town, where: str) -> None:
    """Replace 20 tasks, 5 at a time."""
    orders = {
        UpdateOrder.STOP_FIRST: ("stop first", peers.UPDATE_STOP_FIRST_S),
        UpdateOrder.START_FIRST: ("start first", peers.UPDATE_START_FIRST_S),
    }
    figures = []
    for order, (words, reference) in orders.items():
        update = UpdateConfig(parallelism=5, order=order)
        taken = []
        for turn in range(REPEATS):
            spec = replace(town.spec(f"rolled-{order}-{turn}", 20), update=update)
            started = await town.start(spec)
            taken.append(await renew(town, started, 20))
            await town.remove(started)
        figures.append(
            Figure(f"20 tasks, 5 at a time, {words}, to all new running", taken, reference=reference)
        )
    show(f"{where}: rolling update, no delay", figures)


async def renew(town: Town, started: Started, size: int) -> float:
    """The seconds from an update call until every running task is a new one."""
    old = {task.id for task in started.tasks}
    began = time.monotonic()
    await town.change(started.service_id, lambda spec: replace(spec, task=replace(spec.task, force_update=1)))
    await town.until(
        started.service_id,
        lambda seen: (
            sum(task.status.state == TaskState.RUNNING and task.id not in old for task in seen.tasks) == size
        ),
        f"{size} new tasks",
    )
    return time.monotonic() - began
