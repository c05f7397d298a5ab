"""A log in memory, for tests: what it holds outlives `close`, as a disk would, when opened again."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence

from covey import errors, limits
from covey.errors import LogFailed

from .seam import Record, Snapshot


class Disk:
    """What a fake log's disk holds. `corrupt` names snapshots whose checksum no longer holds."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.last_index = 0
        self.snapshots: dict[int, list[bytes]] = {}
        self.corrupt: set[int] = set()


class FakeLog:
    """A `Log` that keeps its entries on a `Disk`, and acknowledges at once."""

    def __init__(self, disk: Disk | None = None) -> None:
        self.disk = disk or Disk()
        self._changed = asyncio.Event()
        self._closed = False

    @property
    def last_index(self) -> int:
        """The index of the last durable entry, 0 before the first."""
        return self.disk.last_index

    async def append(self, batch: Sequence[bytes]) -> None:
        """Keep entries."""
        if self._closed:
            raise LogFailed("the log is closed")
        for data in batch:
            self.disk.last_index += 1
            self.disk.records.append(Record(self.disk.last_index, data))
        self._changed.set()
        await asyncio.sleep(0)

    async def records(self, after: int) -> AsyncIterator[Sequence[Record]]:
        """Give every entry after `after`, and wait for more."""
        first = self.disk.last_index + 1 - len(self.disk.records)
        if not first - 1 <= after <= self.disk.last_index:
            raise errors.Corrupt(
                f"the log holds {first} to {self.disk.last_index}, and not what follows {after}"
            )
        while not self._closed:
            self._changed.clear()
            fresh = [record for record in self.disk.records if record.index > after]
            if fresh:
                after = fresh[-1].index
                yield fresh
            else:
                await self._changed.wait()

    async def save_snapshot(self, index: int, chunks: Iterable[bytes]) -> None:
        """Keep a snapshot."""
        self.disk.snapshots[index] = list(chunks)
        await asyncio.sleep(0)

    async def newest_snapshot(self) -> Snapshot | None:
        """Find the newest snapshot that is not corrupt."""
        sound = self.disk.snapshots.keys() - self.disk.corrupt
        return Snapshot(max(sound), self.disk.snapshots[max(sound)]) if sound else None

    async def compact(self, kept: int) -> None:
        """Forget old snapshots, and entries that none of the others needs."""
        for index in sorted(self.disk.snapshots)[: -limits.snapshots_kept]:
            del self.disk.snapshots[index]
        if len(self.disk.snapshots) == limits.snapshots_kept:
            through = min(min(self.disk.snapshots), self.disk.last_index - kept)
            self.disk.records = [record for record in self.disk.records if record.index > through]

    async def close(self) -> None:
        """Stop; the disk stays."""
        self._closed = True
        self._changed.set()
