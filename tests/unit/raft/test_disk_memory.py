"""The disk in memory loses what a real one may lose, and the faulty one fails as told."""

import asyncio
from random import Random

import pytest

from covey import errors
from covey.errors import LogFailed
from manager.raft.entry import Entry, HardState, SnapshotMark
from manager.raft.fake import FakeDisk, MemoryDisk
from manager.raft.faulty import FaultyDisk


def entries(first: int, last: int, term: int = 1) -> list[Entry]:
    return [Entry(index, term, data=b"x") for index in range(first, last + 1)]


def test_a_crash_keeps_what_was_synced_and_a_first_part_of_the_rest() -> None:
    ends = set[tuple[int, int]]()
    for seed in range(50):
        disk = MemoryDisk(7)
        disk.write(HardState(1), entries(1, 3))
        disk.sync()
        disk.write(HardState(2), entries(4, 6))
        disk.write(HardState(3), entries(5, 5, term=3))
        assert disk.unsynced == 2
        disk.crash(Random(seed))
        assert disk.unsynced == 0
        stored = disk.load()
        assert stored.entries[:3] == tuple(entries(1, 3))
        ends.add((stored.hard_state.term, len(stored.entries)))
    assert ends == {(1, 3), (2, 6), (3, 5)}, "whole transactions, in order"


def test_a_torn_crash_may_leave_half_a_transaction() -> None:
    ends = set[tuple[int, int]]()
    for seed in range(100):
        disk = MemoryDisk(7)
        disk.write(HardState(1), entries(1, 3))
        disk.crash(Random(seed), torn=True)
        stored = disk.load()
        ends.add((stored.hard_state.term, len(stored.entries)))
    assert ends == {(term, count) for term in (0, 1) for count in range(4)}


def test_a_disk_that_lies_keeps_nothing() -> None:
    disk = MemoryDisk(7, syncs=False)
    disk.write(HardState(1), entries(1, 3))
    disk.sync()
    ends = set[int]()
    for seed in range(20):
        twin = MemoryDisk(7, syncs=False)
        twin.write(HardState(1), entries(1, 3))
        twin.sync()
        twin.crash(Random(seed))
        ends.add(len(twin.load().entries))
    assert ends == {0, 3}


def test_what_a_crash_left_can_be_worked_on() -> None:
    disk = MemoryDisk(7)
    disk.write(HardState(1), entries(1, 9))
    disk.save_snapshot(SnapshotMark(5, 1), [b"s"])
    disk.sync()
    disk.stage_snapshot(SnapshotMark(20, 2), [b"staged"])
    disk.sync()
    disk.install_snapshot(SnapshotMark(20, 2), HardState(2))
    installed = set[bool]()
    for seed in range(20):
        disk.crash(Random(seed))
        stored = disk.load()
        installed.add(stored.snapshot.index == 20)
        assert (stored.snapshot.index, len(stored.entries)) in {(5, 9), (20, 0)}
        if stored.snapshot.index == 5:
            disk.install_snapshot(SnapshotMark(20, 2), HardState(2))
    assert True in installed


def test_a_corrupt_snapshot_is_skipped_or_ends_it() -> None:
    disk = MemoryDisk(7)
    disk.write(None, entries(1, 30))
    disk.save_snapshot(SnapshotMark(10, 1), [b"a"])
    disk.save_snapshot(SnapshotMark(20, 1), [b"b"])
    disk.compact(15)
    disk.corrupt = {20}
    assert disk.load().snapshot.index == 10
    disk.corrupt = {10, 20}
    with pytest.raises(errors.Corrupt, match="begins after 10"):
        disk.load()


def test_what_is_not_synced_when_the_writer_is_cancelled_may_be_lost() -> None:
    async def test() -> None:
        memory = MemoryDisk(7)
        disk = FakeDisk(memory)
        writing = asyncio.create_task(disk.write(None, entries(1, 1)))
        await asyncio.sleep(0)
        assert memory.unsynced == 1
        await writing
        assert memory.unsynced == 0

    asyncio.run(test())


def test_the_faulty_disk_fails_as_told() -> None:
    async def test() -> None:
        memory = MemoryDisk(7)
        disk = FaultyDisk(FakeDisk(memory))
        disk.full = True
        with pytest.raises(errors.ResourceExhausted, match="no space left"):
            await disk.write(None, entries(1, 1))
        with pytest.raises(errors.ResourceExhausted, match="no space left"):
            await disk.save_snapshot(SnapshotMark(), [])
        disk.full = False
        await disk.write(None, entries(1, 1))
        disk.lose_acknowledgement = True
        with pytest.raises(LogFailed, match="after writing"):
            await disk.write(None, entries(2, 2))
        with pytest.raises(LogFailed, match="restart the manager"):
            await disk.write(None, entries(3, 3))
        assert len((await disk.load()).entries) == 2

    asyncio.run(test())
