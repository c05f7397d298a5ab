"""A disk that fails on command, around any other make."""

import asyncio
from collections.abc import AsyncIterable, Iterable, Sequence

from covey import errors
from covey.errors import LogFailed

from .entry import Entry, HardState, SnapshotMark, Stored
from .seam import Disk, SavedSnapshot


class FaultyDisk:
    """Passes everything on, until told what to break."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self.full = False  # no room: writes and snapshots are refused, and nothing of them is kept
        self.broken = False  # fsync failed: nobody knows what was written, and nothing is taken any more
        self.lose_acknowledgement = False  # the next write is kept, but its writer hears of a failure
        self.slow_s = 0.0  # each write takes this much longer

    async def load(self) -> Stored:
        """Pass on."""
        return await self._disk.load()

    async def write(self, hard_state: HardState | None, entries: Sequence[Entry]) -> None:
        """Pass on, late or not at all."""
        await self._suffer()
        await self._disk.write(hard_state, entries)
        if self.lose_acknowledgement:
            self.broken = True
            raise LogFailed("the log failed after writing (injected); restart the manager")

    async def save_snapshot(self, mark: SnapshotMark, chunks: Iterable[bytes]) -> None:
        """Pass on, late or not at all."""
        await self._suffer()
        await self._disk.save_snapshot(mark, chunks)

    async def newest_snapshot(self) -> SavedSnapshot | None:
        """Pass on."""
        return await self._disk.newest_snapshot()

    async def stage_snapshot(self, mark: SnapshotMark, chunks: AsyncIterable[bytes]) -> None:
        """Pass on, late or not at all."""
        await self._suffer()
        await self._disk.stage_snapshot(mark, chunks)

    async def install_snapshot(self, mark: SnapshotMark, hard_state: HardState | None) -> None:
        """Pass on, late or not at all."""
        await self._suffer()
        await self._disk.install_snapshot(mark, hard_state)

    async def compact(self, through: int) -> None:
        """Pass on, late or not at all."""
        await self._suffer()
        await self._disk.compact(through)

    async def close(self) -> None:
        """Pass on."""
        await self._disk.close()

    async def _suffer(self) -> None:
        if self.slow_s:
            await asyncio.sleep(self.slow_s)
        if self.broken:
            raise LogFailed("the log failed: Input/output error (injected); restart the manager")
        if self.full:
            raise errors.ResourceExhausted("no space left on the disk of the log (injected); free some")
