"""What every disk owes a member, held against every make."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from covey import errors, limits
from covey.errors import LogFailed
from manager.raft.entry import Entry, EntryKind, HardState, Member, Membership, SnapshotMark
from manager.raft.fake import FakeDisk, MemoryDisk
from manager.raft.faulty import FaultyDisk
from manager.raft.io.disk import SqliteDisk
from manager.raft.seam import Disk

Open = Callable[[], Awaitable[Disk]]
MEMBERSHIP = Membership((Member(7, "node7", "10.0.0.7:2377"), Member(9, "node9", "", False)), (3, 5))


@pytest.fixture(params=["sqlite", "fake", "faulty"])
def open_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    memory = MemoryDisk(7)

    async def make() -> Disk:
        if request.param == "sqlite":
            return await SqliteDisk.open(tmp_path / "manager", "c1")
        disk = FakeDisk(memory)
        return FaultyDisk(disk) if request.param == "faulty" else disk

    return make


@asynccontextmanager
async def opened(open_disk: Open) -> AsyncIterator[Disk]:
    disk = await open_disk()
    try:
        yield disk
    finally:
        await disk.close()


def run(test: Awaitable[None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await test

    asyncio.run(bounded())


def entries(first: int, last: int, term: int = 1, data: bytes = b"x") -> list[Entry]:
    return [Entry(index, term, data=data + b"%d" % index) for index in range(first, last + 1)]


async def chunks(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def test_a_new_disk_has_an_id_and_nothing_else(open_disk: Open) -> None:
    async def test() -> None:
        async with opened(open_disk) as disk:
            stored = await disk.load()
            assert 1 <= stored.id < 2**63
            assert (stored.hard_state, stored.snapshot, stored.entries) == (HardState(), SnapshotMark(), ())
            assert stored.kept_after == SnapshotMark()
            assert await disk.newest_snapshot() is None
        async with opened(open_disk) as disk:
            assert (await disk.load()).id == stored.id

    run(test())


def test_what_was_written_comes_back(open_disk: Open) -> None:
    async def test() -> None:
        written = [
            Entry(1, 1, EntryKind.NOTHING),
            Entry(2, 1, EntryKind.DATA, b"\0 data"),
            Entry(3, 4, EntryKind.MEMBERSHIP, b"m"),
        ]
        async with opened(open_disk) as disk:
            await disk.write(HardState(1, 7, 0), written[:2])
            await disk.write(None, written[2:])
            await disk.write(HardState(4, 9, 2), [])
            await disk.write(None, [])
            seen = await disk.load()
        async with opened(open_disk) as disk:
            stored = await disk.load()
            assert stored.entries == seen.entries == tuple(written)
            assert stored.hard_state == seen.hard_state == HardState(4, 9, 2)

    run(test())


def test_a_suffix_is_replaced(open_disk: Open) -> None:
    async def test() -> None:
        async with opened(open_disk) as disk:
            await disk.write(HardState(1), entries(1, 9))
            await disk.write(HardState(2), entries(4, 5, term=2))
        async with opened(open_disk) as disk:
            stored = await disk.load()
            assert stored.entries == (*entries(1, 3), *entries(4, 5, term=2))
            await disk.write(None, entries(1, 1, term=3))
        async with opened(open_disk) as disk:
            assert (await disk.load()).entries == tuple(entries(1, 1, term=3))

    run(test())


def test_writes_in_flight_take_effect_in_the_order_of_the_calls(open_disk: Open) -> None:
    async def test() -> None:
        async with opened(open_disk) as disk:
            writes = [disk.write(HardState(1, 0, n), entries(n, n)) for n in range(1, 500)]
            writes += [
                disk.write(HardState(2), entries(90, 95, term=2)),
                disk.write(HardState(3), entries(93, 93, term=3)),
            ]
            await asyncio.gather(*writes)
        async with opened(open_disk) as disk:
            stored = await disk.load()
            assert stored.entries == (
                *entries(1, 89),
                *entries(90, 92, term=2),
                *entries(93, 93, term=3),
            )
            assert stored.hard_state == HardState(3)

    run(test())


def test_a_gap_is_refused(open_disk: Open) -> None:
    async def test() -> None:
        async with opened(open_disk) as disk:
            await disk.write(None, entries(1, 2))
            with pytest.raises(errors.CoveyError):
                await disk.write(None, entries(4, 4))
        async with opened(open_disk) as disk:
            assert (await disk.load()).entries == tuple(entries(1, 2))

    run(test())


def test_snapshots_carry_their_mark_and_chunks(open_disk: Open) -> None:
    async def test() -> None:
        async with opened(open_disk) as disk:
            await disk.write(None, entries(1, 9))
            await disk.save_snapshot(SnapshotMark(4, 1), iter([b"old"]))
            await disk.save_snapshot(SnapshotMark(9, 1, MEMBERSHIP), iter([b"a" * 70_000, b"", b"b"]))
            assert (await disk.load()).snapshot == SnapshotMark(9, 1, MEMBERSHIP)
        async with opened(open_disk) as disk:
            stored = await disk.load()
            assert stored.snapshot == SnapshotMark(9, 1, MEMBERSHIP)
            assert stored.entries == tuple(entries(1, 9)), "a snapshot alone compacts nothing"
            found = await disk.newest_snapshot()
            assert found is not None
            assert found.mark == SnapshotMark(9, 1, MEMBERSHIP)
            for _ in range(2):  # read anew by each who asks
                assert list(found.chunks) == [b"a" * 70_000, b"", b"b"]

    run(test())


def test_an_empty_snapshot_is_one(open_disk: Open) -> None:
    async def test() -> None:
        async with opened(open_disk) as disk:
            await disk.write(None, entries(1, 1))
            await disk.save_snapshot(SnapshotMark(1, 1), [])
            found = await disk.newest_snapshot()
            assert found is not None
            assert list(found.chunks) == []

    run(test())


def test_a_snapshot_of_what_the_log_does_not_hold_is_refused(open_disk: Open) -> None:
    async def test() -> None:
        async with opened(open_disk) as disk:
            with pytest.raises(errors.Bug, match="a snapshot of 5, and the log ends at 0"):
                await disk.save_snapshot(SnapshotMark(5, 1), [b"x"])

    run(test())


def test_compaction_keeps_what_each_kept_snapshot_needs(open_disk: Open) -> None:
    async def test() -> None:
        async with opened(open_disk) as disk:
            await disk.write(None, [*entries(1, 15), *entries(16, 30, term=2)])
            for index, term in ((10, 1), (20, 2), (30, 2)):
                await disk.save_snapshot(SnapshotMark(index, term), [b"%d" % index])
            await disk.compact(29)
            assert limits.snapshots_kept == 2
        async with opened(open_disk) as disk:
            stored = await disk.load()
            assert stored.kept_after == SnapshotMark(20, 2)
            assert stored.entries == tuple(entries(21, 30, term=2))
            await disk.write(None, entries(31, 31, term=2))
            await disk.compact(5)  # long gone
        async with opened(open_disk) as disk:
            assert (await disk.load()).entries == tuple(entries(21, 31, term=2))

    run(test())


def test_compaction_keeps_a_tail(open_disk: Open) -> None:
    async def test() -> None:
        async with opened(open_disk) as disk:
            await disk.write(None, entries(1, 30))
            for index in (28, 30):
                await disk.save_snapshot(SnapshotMark(index, 1), [b""])
            await disk.compact(18)
            stored = await disk.load()
            assert (stored.kept_after, stored.entries) == (SnapshotMark(18, 1), tuple(entries(19, 30)))
            assert stored.snapshot == SnapshotMark(30, 1)

    run(test())


def test_one_snapshot_alone_compacts_nothing(open_disk: Open) -> None:
    async def test() -> None:
        async with opened(open_disk) as disk:
            await disk.write(None, entries(1, 30))
            await disk.save_snapshot(SnapshotMark(30, 1), [b"s"])
            await disk.compact(29)
            assert len((await disk.load()).entries) == 30

    run(test())


def test_everything_up_to_the_end_may_be_compacted(open_disk: Open) -> None:
    async def test() -> None:
        async with opened(open_disk) as disk:
            await disk.write(HardState(1, 7, 3), entries(1, 9))
            for index in (9, 9):
                await disk.save_snapshot(SnapshotMark(index, 1), [b""])
            await disk.write(None, entries(10, 10))
            await disk.save_snapshot(SnapshotMark(10, 1), [b""])
            await disk.compact(10)
        async with opened(open_disk) as disk:
            stored = await disk.load()
            assert (stored.kept_after, stored.entries) == (SnapshotMark(9, 1), tuple(entries(10, 10)))
            assert stored.hard_state == HardState(1, 7, 3)

    run(test())


def test_an_installed_snapshot_replaces_the_log(open_disk: Open) -> None:
    async def test() -> None:
        mark = SnapshotMark(50, 4, MEMBERSHIP)
        async with opened(open_disk) as disk:
            await disk.write(HardState(3, 7, 5), entries(1, 9))
            await disk.save_snapshot(SnapshotMark(5, 1), [b"own"])
            await disk.stage_snapshot(SnapshotMark(40, 4), chunks(b"an earlier one"))
            await disk.stage_snapshot(mark, chunks(b"the", b"leader's"))
            stored = await disk.load()
            assert (stored.snapshot.index, len(stored.entries)) == (5, 9), "staged is not valid yet"
            await disk.install_snapshot(mark, HardState(4, 0, 50))
            await disk.write(None, entries(51, 52, term=4))
        async with opened(open_disk) as disk:
            stored = await disk.load()
            assert (stored.hard_state, stored.snapshot) == (HardState(4, 0, 50), mark)
            assert stored.kept_after == SnapshotMark(50, 4)
            assert stored.entries == tuple(entries(51, 52, term=4))
            found = await disk.newest_snapshot()
            assert found is not None
            assert list(found.chunks) == [b"the", b"leader's"]
            with pytest.raises(errors.Bug):
                await disk.install_snapshot(mark, None)

    run(test())


def test_an_installed_snapshot_may_lie_within_a_log_that_went_astray(open_disk: Open) -> None:
    async def test() -> None:
        async with opened(open_disk) as disk:
            await disk.write(HardState(3, 7), entries(1, 90))
            await disk.stage_snapshot(SnapshotMark(50, 4), chunks(b"s"))
            await disk.install_snapshot(SnapshotMark(50, 4), None)
        async with opened(open_disk) as disk:
            stored = await disk.load()
            assert stored.hard_state == HardState(3, 7)
            assert (stored.kept_after, stored.entries) == (SnapshotMark(50, 4), ())

    run(test())


def test_nothing_is_installed_over_something_newer(open_disk: Open) -> None:
    async def test() -> None:
        async with opened(open_disk) as disk:
            await disk.write(None, entries(1, 30))
            await disk.save_snapshot(SnapshotMark(20, 1), [b"own"])
            await disk.stage_snapshot(SnapshotMark(10, 1), chunks(b"old"))
            with pytest.raises(errors.Bug, match="over a newer one of 20"):
                await disk.install_snapshot(SnapshotMark(10, 1), None)
            assert len((await disk.load()).entries) == 30

    run(test())


def test_a_snapshot_that_does_not_come_whole_is_not_staged(open_disk: Open) -> None:
    async def test() -> None:
        async def broken() -> AsyncIterator[bytes]:
            yield b"some"
            raise errors.Unavailable("the leader is gone")

        mark = SnapshotMark(5, 1)
        async with opened(open_disk) as disk:
            with pytest.raises(errors.Unavailable, match="the leader is gone"):
                await disk.stage_snapshot(mark, broken())
            with pytest.raises(errors.Bug):
                await disk.install_snapshot(mark, None)
            await disk.stage_snapshot(mark, chunks(b"all"))
            await disk.install_snapshot(mark, None)
            assert (await disk.load()).snapshot == mark

    run(test())


def test_an_own_snapshot_that_a_leaders_overtook_changes_nothing(open_disk: Open) -> None:
    async def test() -> None:
        async with opened(open_disk) as disk:
            await disk.write(None, entries(1, 9))
            await disk.stage_snapshot(SnapshotMark(50, 1), chunks(b"s"))
            await disk.install_snapshot(SnapshotMark(50, 1), None)
            await disk.save_snapshot(SnapshotMark(9, 1), [b"late"])
            await disk.compact(9)
            stored = await disk.load()
            assert (stored.snapshot.index, stored.kept_after.index) == (50, 50)

    run(test())


def test_many_snapshots_and_compactions_leave_what_is_needed(open_disk: Open) -> None:
    async def test() -> None:
        async with opened(open_disk) as disk:
            for last in range(10, 200, 10):
                await disk.write(HardState(1, 7, last), entries(last - 9, last))
                await disk.save_snapshot(SnapshotMark(last, 1), [b"%d" % last])
                await disk.compact(last - 3)
        async with opened(open_disk) as disk:
            stored = await disk.load()
            assert (stored.snapshot.index, stored.kept_after.index) == (190, 180)
            assert stored.entries == tuple(entries(181, 190))

    run(test())


def test_nothing_is_taken_after_the_end(open_disk: Open) -> None:
    async def test() -> None:
        disk = await open_disk()
        await disk.close()
        await disk.close()
        late: Sequence[Awaitable[None]] = (
            disk.write(HardState(1), []),
            disk.save_snapshot(SnapshotMark(), []),
            disk.stage_snapshot(SnapshotMark(1, 1), chunks(b"")),
            disk.install_snapshot(SnapshotMark(1, 1), None),
            disk.compact(1),
        )
        for call in late:
            with pytest.raises(LogFailed, match="closed"):
                await call

    run(test())
