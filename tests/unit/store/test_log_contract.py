"""What every log owes the store, held against every make."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from covey import errors, limits
from covey.errors import LogFailed
from manager.raft.driver import Replica
from manager.store.log.fake import Disk, FakeLog
from manager.store.log.faulty import FaultyLog
from manager.store.log.replicated import ReplicatedLog
from manager.store.log.seam import Log, Record, Standing
from tests.support.raft_group import Group
from tests.support.store_alone import open_log as open_alone

Open = Callable[[], Awaitable[Log]]


class OfThree(ReplicatedLog):
    """The leader's log in a group of three, which ends with it."""

    def __init__(self, group: Group, leader: Replica) -> None:
        super().__init__(leader)
        self._group = group

    async def close(self) -> None:
        """Stop all three."""
        await self._group.stop()


async def of_three(group: Group) -> Log:
    """Found a group, or start it anew."""
    if not group.memories:
        return OfThree(group, await group.form(3))
    for id in (1, 2, 3):
        await group.start(id)
    while (leader := await group.leader()).own.id != 1:  # its disk has the snapshots
        await leader.transfer(1)
    return OfThree(group, leader)


@pytest.fixture(params=["fake", "faulty", "sqlite", "memory", "three"])
def open_log(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Open:
    """Give a way to open a log that leads, again and again on the same disk."""
    disk, alone, group = Disk(), Group(), Group()
    monkeypatch.setattr(limits, "raft_tick_ms", 10)

    async def make() -> Log:
        match request.param:
            case "sqlite":
                return await open_alone(tmp_path / "manager", "c1")
            case "memory":
                return ReplicatedLog(await alone.start(1, founding=True))
            case "three":
                return await of_three(group)
            case made:
                log = FakeLog(disk)
                return FaultyLog(log) if made == "faulty" else log

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
            news = await anext(reader)
            assert isinstance(news, list | tuple), f"{news} came instead of records"
            taken.extend(news)
    await reader.aclose()  # type: ignore[attr-defined]
    return taken


async def datas(log: Log, after: int, count: int) -> list[bytes]:
    return [record.data for record in await take(log, after, count)]


def run(test: Awaitable[None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await test

    asyncio.run(bounded())


def test_a_new_log_is_empty_and_leads(open_log: Open) -> None:
    async def test() -> None:
        async with opened(open_log) as log:
            assert log.last_index == 0
            assert await log.newest_snapshot() is None
            standing = log.standing
            assert standing.leads
            assert standing.leader
            assert standing.address
            assert (standing.since, await log.confirm()) == (0, 0)

    run(test())


def test_entries_come_back_in_order_after_reopening(open_log: Open) -> None:
    async def test() -> None:
        async with opened(open_log) as log:
            await log.append([b"one", b"two"])
            await log.append([b"three"])
            whole = await take(log, 0, 3)
            assert [record.data for record in whole] == [b"one", b"two", b"three"]
            assert log.last_index == whole[-1].index
        async with opened(open_log) as log:
            assert log.last_index == whole[-1].index
            assert log.standing.since == whole[-1].index
            assert await take(log, 0, 3) == whole
            assert await take(log, whole[1].index, 1) == whole[2:]

    run(test())


def test_indexes_rise(open_log: Open) -> None:
    async def test() -> None:
        for _ in range(3):
            async with opened(open_log) as log:
                await log.append([b"x", b"y"])
                indexes = [record.index for record in await take(log, 0, 2)]
                assert indexes == sorted(set(indexes))

    run(test())


def test_a_reader_hears_of_what_is_appended_later(open_log: Open) -> None:
    async def test() -> None:
        async with opened(open_log) as log:
            await log.append([b"old"])
            reading = asyncio.create_task(datas(log, 0, 3))
            await asyncio.sleep(0)
            await log.append([b"new"])
            await log.append([b"newer"])
            assert await reading == [b"old", b"new", b"newer"]

    run(test())


def test_many_appends_in_flight_keep_the_order_of_the_calls(open_log: Open) -> None:
    async def test() -> None:
        async with opened(open_log) as log:
            await asyncio.gather(*(log.append([b"%d" % n]) for n in range(200)))
            assert await datas(log, 0, 200) == [b"%d" % n for n in range(200)]

    run(test())


def test_what_is_acknowledged_is_confirmed(open_log: Open) -> None:
    async def test() -> None:
        async with opened(open_log) as log:
            for n in range(5):
                await log.append([b"%d" % n])
                index = await log.confirm()
                assert (await take(log, 0, n + 1))[-1].index == index == log.last_index

    run(test())


def test_who_waits_for_another_leader_hears_of_the_end(open_log: Open) -> None:
    async def test() -> None:
        async with opened(open_log) as log:
            assert await log.standing_after(Standing()) == log.standing
            waiting = asyncio.create_task(log.standing_after(log.standing))
            await asyncio.sleep(0)
            assert not waiting.done()
        with pytest.raises(LogFailed, match="closed"):
            await log.standing_after(await asyncio.wait_for(waiting, 5))

    run(test())


def test_a_reader_ends_when_the_log_is_closed_and_misses_nothing(open_log: Open) -> None:
    async def test() -> None:
        log = await open_log()
        taken: list[Record] = []

        async def follow() -> None:
            async for news in log.records(0):
                assert isinstance(news, list | tuple)
                taken.extend(news)

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
            with pytest.raises(errors.Corrupt, match="not what follows 50"):
                await take(log, 50, 1)

    run(test())


def test_the_newest_snapshot_is_found(open_log: Open) -> None:
    async def test() -> None:
        async with opened(open_log) as log:
            await log.append([b"x"] * 9)
            records = await take(log, 0, 9)
            await log.save_snapshot(records[3].index, iter([b"a" * 10, b"b"]))
            await log.save_snapshot(records[8].index, iter([b"c"]))
        async with opened(open_log) as log:
            found = await log.newest_snapshot()
            assert found is not None
            assert (found.index, list(found.chunks)) == (records[8].index, [b"c"])
            assert log.last_index == found.index
            await log.append([b"y"])
            assert await datas(log, found.index, 1) == [b"y"]

    run(test())


def test_compaction_keeps_what_the_newest_snapshot_needs(open_log: Open) -> None:
    async def test() -> None:
        async with opened(open_log) as log:
            await log.append([b"x"] * 30)
            records = await take(log, 0, 30)
            for count in (10, 20, 30):
                await log.save_snapshot(records[count - 1].index, [b"%d" % count])
            await log.compact(kept=5)
            assert await take(log, records[25].index, 4) == records[26:]
            with pytest.raises(errors.Corrupt, match="the log holds"):
                await take(log, records[5].index, 1)
        async with opened(open_log) as log:
            assert log.last_index == records[-1].index
            await log.append([b"y"])
            assert await datas(log, records[-1].index, 1) == [b"y"]

    run(test())


def test_compaction_keeps_a_tail(open_log: Open) -> None:
    async def test() -> None:
        async with opened(open_log) as log:
            await log.append([b"x"] * 30)
            records = await take(log, 0, 30)
            for count in (28, 30):
                await log.save_snapshot(records[count - 1].index, [b""])
            await log.compact(kept=12)
            assert len(await take(log, records[17].index, 12)) == 12

    run(test())


def test_after_compaction_the_older_snapshot_still_serves(open_log: Open) -> None:
    async def test() -> None:
        async with opened(open_log) as log:
            await log.append([b"x"] * 30)
            records = await take(log, 0, 30)
            for count in (10, 20, 30):
                await log.save_snapshot(records[count - 1].index, [b"%d" % count])
            await log.compact(kept=5)
            assert limits.snapshots_kept == 2
        async with opened(open_log) as log:
            assert await take(log, records[19].index, 10) == records[20:]

    run(test())
