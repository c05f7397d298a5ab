"""What every log owes the store, held against every make."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from covey import errors, limits
from covey.errors import LogFailed
from manager.store.log.fake import Disk, FakeLog
from manager.store.log.faulty import FaultyLog
from manager.store.log.io.sqlite import SqliteLog
from manager.store.log.seam import Log, Record

Open = Callable[[], Awaitable[Log]]


@pytest.fixture(params=["sqlite", "fake", "faulty"])
def open_log(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    disk = Disk()

    async def make() -> Log:
        if request.param == "sqlite":
            return await SqliteLog.open(tmp_path / "manager", "c1")
        log = FakeLog(disk)
        return FaultyLog(log) if request.param == "faulty" else log

    return make


@asynccontextmanager
async def opened(open_log: Open) -> AsyncIterator[Log]:
    log = await open_log()
    try:
        yield log
    finally:
        await log.close()


async def take(log: Log, after: int, count: int) -> list[Record]:
    """Read `count` records after an index."""
    taken: list[Record] = []
    reader = log.records(after)
    async with asyncio.timeout(20):
        while len(taken) < count:
            taken.extend(await anext(reader))
    await reader.aclose()  # type: ignore[attr-defined]
    return taken


def run(test: Awaitable[None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await test

    asyncio.run(bounded())


def test_a_new_log_is_empty(open_log: Open) -> None:
    async def test() -> None:
        async with opened(open_log) as log:
            assert log.last_index == 0
            assert await log.newest_snapshot() is None

    run(test())


def test_entries_come_back_in_order_after_reopening(open_log: Open) -> None:
    async def test() -> None:
        async with opened(open_log) as log:
            await log.append([b"one", b"two"])
            await log.append([b"three"])
            assert log.last_index == 3
        async with opened(open_log) as log:
            assert log.last_index == 3
            assert await take(log, 0, 3) == [Record(1, b"one"), Record(2, b"two"), Record(3, b"three")]
            assert await take(log, 2, 1) == [Record(3, b"three")]

    run(test())


def test_a_reader_hears_of_what_is_appended_later(open_log: Open) -> None:
    async def test() -> None:
        async with opened(open_log) as log:
            await log.append([b"old"])
            reading = asyncio.create_task(take(log, 0, 3))
            await asyncio.sleep(0)
            await log.append([b"new"])
            await log.append([b"newer"])
            assert [record.data for record in await reading] == [b"old", b"new", b"newer"]

    run(test())


def test_many_appends_in_flight_keep_the_order_of_the_calls(open_log: Open) -> None:
    async def test() -> None:
        async with opened(open_log) as log:
            await asyncio.gather(*(log.append([b"%d" % n]) for n in range(200)))
            assert await take(log, 0, 200) == [Record(n + 1, b"%d" % n) for n in range(200)]

    run(test())


def test_a_reader_ends_when_the_log_is_closed_and_misses_nothing(open_log: Open) -> None:
    async def test() -> None:
        log = await open_log()
        taken: list[Record] = []

        async def follow() -> None:
            async for records in log.records(0):
                taken.extend(records)

        following = asyncio.create_task(follow())
        await asyncio.gather(*(log.append([b"x"]) for _ in range(10)))
        await log.close()
        await following
        assert len(taken) == 10
        with pytest.raises(LogFailed, match="closed"):
            await log.append([b"late"])

    run(test())


def test_reading_what_the_log_does_not_hold_is_an_error(open_log: Open) -> None:
    async def test() -> None:
        async with opened(open_log) as log:
            await log.append([b"one"])
            with pytest.raises(errors.Corrupt, match="not what follows 5"):
                await take(log, 5, 1)

    run(test())


def test_the_newest_snapshot_is_found(open_log: Open) -> None:
    async def test() -> None:
        async with opened(open_log) as log:
            await log.append([b"x"] * 9)
            await log.save_snapshot(4, iter([b"a" * 10, b"b"]))
            await log.save_snapshot(9, iter([b"c"]))
        async with opened(open_log) as log:
            found = await log.newest_snapshot()
            assert found is not None
            assert (found.index, list(found.chunks)) == (9, [b"c"])

    run(test())


def test_compaction_keeps_what_each_kept_snapshot_needs(open_log: Open) -> None:
    async def test() -> None:
        async with opened(open_log) as log:
            await log.append([b"x"] * 30)
            for index in (10, 20, 30):
                await log.save_snapshot(index, [b"%d" % index])
            await log.compact(kept=5)
            assert limits.snapshots_kept == 2
            assert [record.index for record in await take(log, 20, 10)] == list(range(21, 31))
            with pytest.raises(errors.Corrupt, match="holds 21 to 30"):
                await take(log, 19, 1)
        async with opened(open_log) as log:
            assert log.last_index == 30
            await log.append([b"y"])
            assert (await take(log, 30, 1)) == [Record(31, b"y")]

    run(test())


def test_compaction_keeps_a_tail(open_log: Open) -> None:
    async def test() -> None:
        async with opened(open_log) as log:
            await log.append([b"x"] * 30)
            for index in (28, 30):
                await log.save_snapshot(index, [b""])
            await log.compact(kept=12)
            assert len(await take(log, 18, 12)) == 12

    run(test())


def test_one_snapshot_alone_compacts_nothing(open_log: Open) -> None:
    async def test() -> None:
        async with opened(open_log) as log:
            await log.append([b"x"] * 30)
            await log.save_snapshot(30, [b"s"])
            await log.compact(kept=1)
            assert len(await take(log, 0, 30)) == 30

    run(test())
