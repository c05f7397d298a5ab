"""A log in memory, for tests: what it holds outlives `close`, as a disk would, when opened again.

Several logs may share one `Disk`, as managers share what Raft keeps: then tests say who leads.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from weakref import WeakSet

from msgspec.structs import replace

from covey import errors, limits
from covey.errors import LogFailed, NotLeader

from .seam import Record, Snapshot, Standing


class Disk:
    """What a fake log's disk holds. `corrupt` names snapshots whose checksum no longer holds."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.last_index = 0
        self.snapshots: dict[int, list[bytes]] = {}
        self.corrupt: set[int] = set()
        self.logs: WeakSet[FakeLog] = WeakSet()


class FakeLog:
    """A `Log` that keeps its entries on a `Disk`, and acknowledges at once.

    It leads from the start unless told otherwise; `lead`, `follow` and `part` change that.
    """

    def __init__(
        self,
        disk: Disk | None = None,
        *,
        leads: bool = True,
        node_id: str = "fake-manager",
        address: str = "127.0.0.1:2377",
    ) -> None:
        self.disk = disk or Disk()
        self.disk.logs.add(self)
        self._node_id, self._address = node_id, address
        self._changed = asyncio.Event()
        self._closed = False
        self._installed: Snapshot | None = None
        self._standing = Standing()
        if leads:
            self.lead()

    @property
    def standing(self) -> Standing:
        """Who leads now."""
        return self._standing

    @property
    def last_index(self) -> int:
        """The index of the last durable entry, 0 before the first."""
        return self.disk.last_index

    def lead(self) -> None:
        """Become the leader, of a new term."""
        term = self._standing.term + 1
        self._become(Standing(term, self._node_id, self._address, leads=True, since=self.disk.last_index))

    def follow(self, leader: str, address: str = "") -> None:
        """Hear of another leader."""
        self._become(Standing(self._standing.term + 1, leader, address))

    def part(self) -> None:
        """Lose sight of the majority: nobody leads, as far as this manager knows."""
        self._become(replace(self._standing, leader="", address="", leads=False, since=0))

    def install(self, index: int, chunks: Iterable[bytes]) -> None:
        """Hand the reader a whole snapshot, as to a manager that was away for long."""
        self._installed = Snapshot(index, list(chunks))
        self.disk.last_index = max(index, self.disk.last_index)
        self.tell()

    def _become(self, standing: Standing) -> None:
        self._standing = standing
        self.tell()

    async def standing_after(self, known: Standing) -> Standing:
        """Wait until who leads is no longer as `known`."""
        while self._standing == known:
            self._refuse_if_closed()
            await self._changed.wait()
        return self._standing

    async def confirm(self) -> int:
        """Give the last index, unless nobody leads."""
        self._refuse_if_closed()
        await asyncio.sleep(0)
        if not self._standing.leader:
            raise errors.Unavailable("no manager leads at the moment (fake)")
        return self.disk.last_index

    async def append(self, batch: Sequence[bytes]) -> None:
        """Keep entries."""
        self._refuse_if_closed()
        if not self._standing.leads:
            raise NotLeader(f"this manager does not lead; {self._standing.leader or 'nobody'} does (fake)")
        for data in batch:
            self.disk.last_index += 1
            self.disk.records.append(Record(self.disk.last_index, data))
        for log in self.disk.logs:
            log.tell()
        await asyncio.sleep(0)

    async def records(self, after: int) -> AsyncIterator[Sequence[Record] | Snapshot]:
        """Give every entry after `after`, and wait for more."""
        first = self.disk.last_index + 1 - len(self.disk.records)
        if not first - 1 <= after <= self.disk.last_index:
            raise errors.Corrupt(
                f"the log holds {first} to {self.disk.last_index}, and not what follows {after}"
            )
        while not self._closed:
            fresh = [record for record in self.disk.records if record.index > after]
            if (installed := self._installed) is not None:
                self._installed = None
                after = installed.index
                yield installed
            elif fresh:
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
        self.tell()

    def tell(self) -> None:
        """Wake whoever waits for a change."""
        self._changed.set()
        self._changed = asyncio.Event()

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise LogFailed("the log is closed")
