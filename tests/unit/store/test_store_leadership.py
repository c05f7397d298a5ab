"""The store and who leads: refused writes, linearizable reads, snapshots that arrive whole."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

import pytest

from covey import errors
from covey.model.objects import Task
from manager.store import snapshot
from manager.store.driver import Store
from manager.store.log.fake import Disk, FakeLog
from manager.store.log.faulty import FaultyLog
from manager.store.log.seam import Log, Standing
from manager.store.transaction import Transaction
from manager.store.watch import Lagged


def run(test: Awaitable[None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await test

    asyncio.run(bounded())


@asynccontextmanager
async def started(log: Log) -> AsyncIterator[Store]:
    store = await Store.start(log, clock_ns=lambda: 5)
    try:
        yield store
    finally:
        await store.close()


def create(store: Store, id: str) -> Transaction:
    draft = store.draft()
    draft.put(Task(id=id))
    return draft.transaction()


def test_only_the_leader_takes_a_change() -> None:
    async def test() -> None:
        log = FakeLog(leads=False)
        async with started(log) as store:
            with pytest.raises(errors.NotLeader, match="nobody does"):
                await store.commit(create(store, "t"))
            log.lead()
            assert await store.commit(create(store, "t")) == 1

    run(test())


def test_whoever_waits_for_another_leader_hears_of_it() -> None:
    async def test() -> None:
        log = FakeLog(node_id="n1", address="a1:1")
        async with started(log) as store:
            await store.commit(create(store, "t"))
            known = store.standing
            assert known == Standing(1, "n1", "a1:1", leads=True, since=0)
            waiting = asyncio.create_task(store.standing_after(known))
            await asyncio.sleep(0)
            log.follow("n2", "a2:1")
            assert await waiting == Standing(2, "n2", "a2:1")
            log.lead()
            assert (await store.standing_after(await waiting)).since == 1

    run(test())


def test_a_follower_reads_what_the_leader_acknowledged() -> None:
    async def test() -> None:
        disk = Disk()
        follower = FakeLog(disk, leads=False)
        async with started(FakeLog(disk)) as leading, started(follower) as following:
            with pytest.raises(errors.Unavailable, match="no manager leads"):
                await following.barrier()
            follower.follow("fake-manager")
            await leading.commit(create(leading, "t"))
            assert await following.barrier() == 1
            assert following.get(Task, "t") is not None

    run(test())


def test_nothing_is_read_where_no_majority_answers() -> None:
    async def test() -> None:
        log = FaultyLog(FakeLog())
        async with started(log) as store:
            log.silent = True
            with pytest.raises(errors.Unavailable, match="no majority"):
                await store.barrier()

    run(test())


def test_waiting_for_what_never_comes_ends() -> None:
    async def test() -> None:
        async with started(FakeLog()) as store:
            with pytest.raises(errors.Unavailable, match="up to 0, and not yet up to 7"):
                await store.reach(7, timeout_s=0.01)

    run(test())


def test_a_snapshot_that_arrives_replaces_everything() -> None:
    async def test() -> None:
        source = FakeLog()
        async with started(source) as other:
            for n in range(5):
                await other.commit(create(other, f"new{n}"))
            chunks = list(snapshot.encode(other._tables.objects()))
        log = FakeLog()
        async with started(log) as store:
            await store.commit(create(store, "old"))
            watch = store.watch()
            log.install(5, chunks)
            await store.reach(5)
            assert [task.id for task in store.all(Task)] == [f"new{n}" for n in range(5)]
            with pytest.raises(Lagged, match="index 5 replaced"):
                await anext(watch)
            assert await store.commit(create(store, "after")) == 6

    run(test())


def test_after_a_snapshot_nobody_knows_of_what_was_under_way() -> None:
    class Losing(FakeLog):
        """A log that takes an entry and never shows it."""

        async def append(self, batch: object) -> None:
            """Take it."""

    async def test() -> None:
        log = Losing()
        async with started(log) as store:
            waiting = asyncio.create_task(store.commit(create(store, "t")))
            await asyncio.sleep(0)
            log.install(3, [])
            with pytest.raises(errors.Unavailable, match="nobody knows"):
                await waiting

    run(test())
