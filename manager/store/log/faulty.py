"""A log that fails on command, around any other make."""

from collections.abc import AsyncIterator, Iterable, Sequence

from covey import errors
from covey.errors import LogFailed, NotLeader

from .seam import Log, Record, Snapshot, Standing


class FaultyLog:
    """Passes everything on, until told what to break."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self.full = False  # the disk has no room: appends and snapshots are refused
        self.broken = False  # fsync failed: nobody knows what was written
        self.lose_acknowledgement = False  # written and applied, but the writer hears of a failure
        self.deposed = False  # the log below has not yet heard that this manager leads no more
        self.silent = False  # no majority answers: nothing can be confirmed

    @property
    def standing(self) -> Standing:
        """Pass on."""
        return self._log.standing

    async def standing_after(self, known: Standing) -> Standing:
        """Pass on."""
        return await self._log.standing_after(known)

    async def confirm(self) -> int:
        """Pass on, or fail."""
        if self.silent:
            raise errors.Unavailable("no majority of managers answers (injected)")
        return await self._log.confirm()

    @property
    def last_index(self) -> int:
        """The index of the last durable entry."""
        return self._log.last_index

    async def append(self, batch: Sequence[bytes]) -> None:
        """Pass on, or fail."""
        if self.broken:
            raise LogFailed("the log failed: Input/output error (injected); restart the manager")
        if self.deposed:
            raise NotLeader("this manager does not lead (injected)")
        self._refuse_if_full()
        await self._log.append(batch)
        if self.lose_acknowledgement:
            self.broken = True
            raise LogFailed("the log failed after writing (injected)")

    def records(self, after: int) -> AsyncIterator[Sequence[Record] | Snapshot]:
        """Pass on."""
        return self._log.records(after)

    async def save_snapshot(self, index: int, chunks: Iterable[bytes]) -> None:
        """Pass on, or fail."""
        self._refuse_if_full()
        await self._log.save_snapshot(index, chunks)

    async def newest_snapshot(self) -> Snapshot | None:
        """Pass on."""
        return await self._log.newest_snapshot()

    async def compact(self, kept: int) -> None:
        """Pass on."""
        await self._log.compact(kept)

    async def close(self) -> None:
        """Pass on."""
        await self._log.close()

    def _refuse_if_full(self) -> None:
        if self.full:
            raise errors.ResourceExhausted("no space left on the disk of the log (injected); free some")
