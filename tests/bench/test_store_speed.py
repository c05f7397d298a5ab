"""How quick the store is: commits, applying, restart with 100,000 objects, and what a snapshot costs the loop."""

import asyncio
import gc
import time
from pathlib import Path

from covey.model.objects import Endpoint, Task, TaskStatus
from covey.model.states import TaskState
from manager.store.driver import Store
from tests.support.store_alone import open_alone

OBJECTS = 100_000
PER_COMMIT = 2_000
TASKS = 100_000


def task(n: int) -> Task:
    return Task(
        id=f"{n:025}",
        service_id=f"{n % 300:025}",
        revision_id=f"{n % 300:025}",
        slot=n,
        node_id=f"{n % 1000:025}",
        status=TaskStatus(state=TaskState.RUNNING, message="started", at_ns=time.time_ns(), pid=n),
    )


def endpoint(n: int) -> Endpoint:
    return Endpoint(
        id=f"{n:025}",
        network_id=f"{n % 50:025}",
        node_id=f"{n % 1000:025}",
        task_id=f"{n:025}",
        service_id=f"{n % 300:025}",
        number=n,
        addresses=(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}",),
    )


async def fill(store: Store) -> None:
    for first in range(0, OBJECTS // 2, PER_COMMIT // 2):
        draft = store.draft()
        for n in range(first, first + PER_COMMIT // 2):
            draft.put(task(n))
            draft.put(endpoint(n))
        await store.commit(draft.transaction())


async def commits_per_s(store: Store, at_once: int, count: int = 2_000) -> float:
    todo = iter(range(count))

    async def one_after_another() -> None:
        for n in todo:
            draft = store.draft()
            draft.put(Task(id=f"b{at_once}-{n}", service_id="x" * 700))
            await store.commit(draft.transaction())

    started = time.perf_counter()
    await asyncio.gather(*(one_after_another() for _ in range(at_once)))
    return count / (time.perf_counter() - started)


async def longest_stall_ms(work: "asyncio.Task[None]") -> float:
    longest = 0.0
    while not work.done():
        before = time.perf_counter()
        await asyncio.sleep(0)
        longest = max(longest, time.perf_counter() - before)
    await work
    return longest * 1000


async def open_timed(state: Path, how: str) -> Store:
    started = time.perf_counter()
    store = await open_alone(state, "c1")
    print(f"  start from {how}: {time.perf_counter() - started:.2f} s")
    return store


async def measure(state: Path) -> None:
    store = await open_alone(state, "c1")
    print()
    for at_once in (1, 10, 100):
        print(f"  commits of 1 KiB, {at_once} at once: {await commits_per_s(store, at_once):,.0f}/s")
    started = time.perf_counter()
    await fill(store)
    print(f"  {OBJECTS:,} objects, {PER_COMMIT:,} a commit: {time.perf_counter() - started:.2f} s")
    await store.close()
    store = await open_timed(state, f"the log, {OBJECTS:,} objects")
    started = time.perf_counter()
    saving = asyncio.create_task(store.save_snapshot())
    stall = await longest_stall_ms(saving)
    print(
        f"  snapshot: {time.perf_counter() - started:.2f} s, the loop stood still for {stall:.0f} ms at most"
    )
    await store.close()
    store = await open_timed(state, f"a snapshot, {OBJECTS:,} objects")
    await store.close()


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


async def measure_tasks(state: Path) -> None:
    """What 100,000 tasks take while a manager runs, and to start with them."""
    store = await open_alone(state, "c1")
    before = resident_mb()
    for first in range(0, TASKS, PER_COMMIT):
        draft = store.draft()
        for n in range(first, first + PER_COMMIT):
            draft.put(task(n))
        await store.commit(draft.transaction())
    gc.collect()
    grown = resident_mb() - before
    print(f"\n  memory for {TASKS:,} tasks: {grown:.0f} MB with the log's tail", end="")
    await store.save_snapshot()
    await store.close()
    print()
    store = await open_timed(state, f"a snapshot, {TASKS:,} tasks")
    await store.close()


def test_memory_of_many_tasks(tmp_path: Path) -> None:
    asyncio.run(measure_tasks(tmp_path))  # first: later on, memory that is free already would be taken


def test_store_speed(tmp_path: Path) -> None:
    asyncio.run(measure(tmp_path))
