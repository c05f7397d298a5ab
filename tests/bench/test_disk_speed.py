"""How quick a member's disk is: writes of 1 KiB entries, reading the log back, snapshots."""

import asyncio
import time
from pathlib import Path

from manager.raft.entry import Entry, HardState, SnapshotMark
from manager.raft.io.disk import SqliteDisk

DATA = bytes(1024)
MIB = 1024 * 1024


async def writes_per_s(directory: Path, at_once: int, count: int) -> float:
    """Write one entry at a time, so many writes in flight."""
    disk = await SqliteDisk.open(directory, "c1")
    todo = iter(range(1, count + 1))

    async def one_after_another() -> None:
        for index in todo:
            await disk.write(HardState(1, 1, index), [Entry(index, 1, data=DATA)])

    started = time.perf_counter()
    await asyncio.gather(*(one_after_another() for _ in range(at_once)))
    taken_s = time.perf_counter() - started
    await disk.close()
    return count / taken_s


async def measure(directory: Path) -> None:
    print()
    for at_once, count in ((1, 2_000), (10, 10_000), (100, 30_000), (500, 30_000)):
        speed = await writes_per_s(directory / str(at_once), at_once, count)
        print(f"  entries of 1 KiB, {at_once} writes at once: {speed:,.0f}/s")
    started = time.perf_counter()
    disk = await SqliteDisk.open(directory / "500", "c1")
    stored = await disk.load()
    print(f"  {len(stored.entries):,} entries read back: {time.perf_counter() - started:.2f} s")
    started = time.perf_counter()
    await disk.save_snapshot(SnapshotMark(len(stored.entries), 1), [bytes(MIB)] * 200)
    saved = time.perf_counter()
    await disk.newest_snapshot()
    print(
        f"  200 MiB snapshot: {saved - started:.2f} s to write, {time.perf_counter() - saved:.2f} s to check"
    )
    await disk.close()


def test_disk_speed(tmp_path: Path) -> None:
    asyncio.run(measure(tmp_path))
