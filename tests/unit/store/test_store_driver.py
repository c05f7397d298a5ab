"""The store in motion, over the fake log and the faulty one."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace

from covey import errors, limits
from covey.errors import LogFailed
from covey.model.objects import Node, Service, Task
from covey.model.specs import NodeSpec
from manager.store.draft import Draft
from manager.store.driver import Store
from manager.store.log.fake import Disk, FakeLog
from manager.store.log.faulty import FaultyLog
from manager.store.log.seam import Log
from manager.store.transaction import Change, Transaction
from manager.store.view import BY_NAME
from manager.store.watch import Lagged


def run(test: Awaitable[None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await test

    asyncio.run(bounded())


@asynccontextmanager
async def started(log: Log | None = None) -> AsyncIterator[Store]:
    store = await Store.start(log or FakeLog(), clock_ns=lambda: 5)
    try:
        yield store
    finally:
        await store.close()


def create(store: Store, *objects: Task | Service | Node) -> Transaction:
    draft = store.draft()
    for obj in objects:
        draft.put(obj)
    return draft.transaction()


def test_a_commit_is_seen_once_it_returns_and_after_a_restart() -> None:
    async def test() -> None:
        disk = Disk()
        async with started(FakeLog(disk)) as store:
            assert await store.commit(create(store, Task(id="t"))) == 1
            live = store.get(Task, "t")
            assert live is not None
            assert (live.meta.version, live.meta.created_at_ns) == (1, 5)
        async with started(FakeLog(disk)) as store:
            assert store.get(Task, "t") == live

    run(test())


def test_many_commits_in_flight_each_get_their_own_answer() -> None:
    async def test() -> None:
        async with started() as store:
            indexes = await asyncio.gather(
                *(store.commit(create(store, Task(id=f"t{n}"))) for n in range(50))
            )
            assert indexes == list(range(1, 51))
            assert len(list(store.all(Task))) == 50

    run(test())


def test_of_two_in_flight_on_the_same_version_one_loses() -> None:
    async def test() -> None:
        async with started() as store:
            await store.commit(create(store, Node(id="n")))
            node = store.get(Node, "n")
            assert node is not None
            results = await asyncio.gather(
                store.commit(create(store, replace(node, spec=NodeSpec(labels={"a": "1"})))),
                store.commit(create(store, replace(node, spec=NodeSpec(labels={"b": "1"})))),
                return_exceptions=True,
            )
            assert results[0] == 2
            assert isinstance(results[1], errors.Conflict)
            after = store.get(Node, "n")
            assert after is not None
            assert after.spec.labels == {"a": "1"}

    run(test())


def test_updates_of_one_object_all_get_through() -> None:
    async def test() -> None:
        def count(draft: Draft) -> int:
            service = draft.find(Service, BY_NAME, "web")[0]
            draft.put(replace(service, last_revision_number=service.last_revision_number + 1))
            return service.last_revision_number + 1

        async with started() as store:
            await store.commit(create(store, Service(id="s", name="web")))
            results = await asyncio.gather(*(store.update(count) for _ in range(60)))
            assert sorted(results) == list(range(1, 61))

    run(test())


def test_what_an_update_raises_itself_ends_it() -> None:
    async def test() -> None:
        calls = []

        def stale(draft: Draft) -> None:
            calls.append(draft)
            raise errors.Conflict("the version you named is not the present one")

        async with started() as store:
            with pytest.raises(errors.Conflict, match="you named"):
                await store.update(stale)
            assert len(calls) == 1

    run(test())


def test_an_empty_transaction_writes_nothing() -> None:
    async def test() -> None:
        async with started() as store:
            assert await store.commit(Transaction()) == 0
            assert await store.update(lambda draft: 7) == 7
            assert store.index == 0

    run(test())


def test_a_watch_gives_every_later_commit_and_ends_with_the_store() -> None:
    async def test() -> None:
        async with started() as store:
            await store.commit(create(store, Task(id="t0")))
            watch = store.watch()
            await asyncio.gather(*(store.commit(create(store, Task(id=f"t{n}"))) for n in range(1, 6)))
            await store.update(lambda draft: draft.delete(Task, "t0"))
        commits = [commit async for commit in watch]
        assert [commit.index for commit in commits] == [2, 3, 4, 5, 6, 7]
        deleted = commits[-1].changes
        assert [(change.kind, change.id, change.after) for change in deleted] == [(Task, "t0", None)]

    run(test())


def test_a_watch_is_told_when_it_lags() -> None:
    async def test() -> None:
        async with started() as store:
            watch, quick = store.watch(bound=3), store.watch()
            await asyncio.gather(*(store.commit(create(store, Task(id=f"t{n}"))) for n in range(9)))
            with pytest.raises(Lagged, match="read the store again"):
                await anext(watch)
            assert len(await quick.batch()) == 9

    run(test())


def test_a_closed_watch_costs_and_gives_nothing() -> None:
    async def test() -> None:
        async with started() as store:
            watch = store.watch()
            watch.close()
            await store.commit(create(store, Task(id="t")))
            assert await watch.batch() == []

    run(test())


def test_an_entry_too_large_is_refused_before_it_is_written() -> None:
    async def test() -> None:
        async with started() as store:
            huge = Task(id="t", service_id="x" * limits.entry_bytes_max)
            with pytest.raises(errors.ResourceExhausted, match="change fewer objects"):
                await store.commit(create(store, huge))
            assert store.index == 0

    run(test())


def test_an_object_with_a_value_of_the_wrong_type_never_reaches_the_log() -> None:
    async def test() -> None:
        async with started() as store:
            with pytest.raises(errors.Bug, match="stored task cannot be read"):
                await store.commit(create(store, Task(id="t", slot=None)))  # type: ignore[arg-type]
            assert store.index == 0

    run(test())


def test_a_full_disk_refuses_and_the_store_goes_on() -> None:
    async def test() -> None:
        log = FaultyLog(FakeLog())
        async with started(log) as store:
            log.full = True
            with pytest.raises(errors.ResourceExhausted, match="no space left"):
                await store.commit(create(store, Task(id="t")))
            assert store.get(Task, "t") is None
            log.full = False
            assert await store.commit(create(store, Task(id="t"))) == 1

    run(test())


def test_a_failed_log_acknowledges_nothing() -> None:
    async def test() -> None:
        log = FaultyLog(FakeLog())
        async with started(log) as store:
            await store.commit(create(store, Task(id="t")))
            log.broken = True
            with pytest.raises(LogFailed):
                await store.commit(create(store, Task(id="t2")))
            assert store.get(Task, "t") is not None

    run(test())


def test_a_failed_log_stops_the_store_and_ends_its_watches() -> None:
    class Breaking(FakeLog):
        """A log whose reader fails."""

        def fail(self) -> None:
            self.disk.records.append(self.disk.records[-1].__class__(self.disk.last_index + 1, b"\xffjunk"))
            self.tell()

    async def test() -> None:
        log = Breaking()
        async with started(log) as store:
            await store.commit(create(store, Task(id="t")))
            watch = store.watch()
            log.fail()
            with pytest.raises(errors.Corrupt, match="format ff"):
                await store.stopped()
            with pytest.raises(errors.Corrupt):
                await anext(watch)
            with pytest.raises(errors.Corrupt):
                await store.commit(create(store, Task(id="t2")))
            with pytest.raises(errors.Corrupt):
                await store.watch().batch()

    run(test())


def test_a_store_can_be_started_from_a_snapshot_and_its_tail() -> None:
    async def test() -> None:
        disk = Disk()
        async with started(FakeLog(disk)) as store:
            for n in range(4):
                await store.commit(create(store, Task(id=f"t{n}")))
                await store.save_snapshot()
            await store.update(lambda draft: draft.delete(Task, "t1"))
            live = list(store.all(Task))
        assert sorted(disk.snapshots) == [3, 4]
        for corrupt in (set[int](), {4}, {3, 4}):
            disk.corrupt = corrupt
            async with started(FakeLog(disk)) as store:
                assert (list(store.all(Task)), store.index) == (live, 5)

    run(test())


def test_snapshots_are_made_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "log_entries_between_snapshots", 10)
    monkeypatch.setattr(limits, "log_entries_kept_for_followers", 3)

    async def test() -> None:
        disk = Disk()
        async with started(FakeLog(disk)) as store:
            for n in range(55):
                await store.commit(create(store, Task(id=f"t{n}")))
        assert len(disk.snapshots) == 2
        assert disk.records[0].index == min(disk.snapshots) + 1

    run(test())


def test_a_change_reads_well() -> None:
    task = Task(id="t")
    assert Change(Task, None, task).id == Change(Task, task, None).id == "t"
