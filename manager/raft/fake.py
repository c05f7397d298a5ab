"""A member's disk in memory: `MemoryDisk` for simulations that have no loop, `FakeDisk` behind the seam.

What a crash may leave is what the real make may leave, and no more:

* a write is one transaction: after a crash all of it is there or nothing;
* whatever `sync` has covered (what the real make has acknowledged) is there;
* of what was asked for since, some first part may be there, in the order in which it was asked for.

A simulation that wants to find a broken disk asks for more: `MemoryDisk(syncs=False)` acknowledges what it
does not keep, `crash(dice, torn=True)` may leave half a transaction.
"""

import asyncio
from collections.abc import AsyncIterable, Callable, Iterable, Sequence
from copy import copy
from random import Random

from msgspec import Struct

from covey import errors, limits
from covey.errors import LogFailed

from .entry import Entry, HardState, SnapshotMark, Stored
from .seam import SavedSnapshot


class Kept(Struct, frozen=True):
    """A snapshot, whole."""

    mark: SnapshotMark
    chunks: tuple[bytes, ...]


class Content:
    """What is on a disk. Every operation of the seam, carried out on a plain object."""

    def __init__(self) -> None:
        self.hard_state = HardState()
        self.kept_after = SnapshotMark()
        self.entries: list[Entry] = []
        self.snapshots: dict[int, Kept] = {}
        self.staged: Kept | None = None

    def copied(self) -> "Content":
        """Give a copy that changes apart from this one."""
        other = copy(self)
        other.entries, other.snapshots = list(self.entries), dict(self.snapshots)
        return other

    @property
    def last_index(self) -> int:
        """Where the log ends."""
        return self.kept_after.index + len(self.entries)

    def write(self, hard_state: HardState | None, entries: Sequence[Entry]) -> None:
        """Do what `Disk.write` says."""
        if entries:
            first = entries[0].index
            if not self.kept_after.index < first <= self.last_index + 1:
                raise errors.Bug(
                    f"entries from {first} on do not continue a log that holds {self.kept_after.index + 1} to "
                    f"{self.last_index}"
                )
            del self.entries[first - self.kept_after.index - 1 :]
            self.entries.extend(entries)
        if hard_state is not None:
            self.hard_state = hard_state

    def save(self, kept: Kept) -> None:
        """Keep a snapshot of our own; one that was overtaken by a leader's is of no use any more."""
        if kept.mark.index > self.last_index:
            raise errors.Bug(f"a snapshot of {kept.mark.index}, and the log ends at {self.last_index}")
        if kept.mark.index >= self.kept_after.index:
            self.snapshots[kept.mark.index] = kept

    def stage(self, kept: Kept) -> None:
        """Keep a leader's snapshot apart."""
        self.staged = kept

    def install(self, mark: SnapshotMark, hard_state: HardState | None) -> None:
        """Make the staged snapshot the newest, and the log empty after it."""
        if self.staged is None or self.staged.mark != mark:
            raise errors.Bug(f"the snapshot of index {mark.index} is to be installed, and was not staged")
        if (newest := max(self.snapshots, default=0)) > mark.index:
            raise errors.Bug(f"the snapshot {mark} is to be installed over a newer one of {newest}")
        self.snapshots = {mark.index: self.staged}
        self.staged = None
        self.entries.clear()
        self.kept_after = SnapshotMark(mark.index, mark.term)
        self.hard_state = hard_state or self.hard_state

    def compact(self, through: int) -> None:
        """Forget old snapshots and the entries that none of the kept ones needs."""
        for index in sorted(self.snapshots)[: -limits.snapshots_kept]:
            del self.snapshots[index]
        if len(self.snapshots) < limits.snapshots_kept:
            return
        through = min(through, *self.snapshots, self.last_index)
        if through > self.kept_after.index:
            count = through - self.kept_after.index
            self.kept_after = SnapshotMark(through, self.entries[count - 1].term)
            del self.entries[:count]


Operation = Callable[[Content], None]


class MemoryDisk:
    """One member's disk, without a loop: everything but `crash` takes effect at once, `sync` makes it durable.

    `corrupt` names snapshots that can no longer be read. With `syncs` unset, `sync` does nothing: a disk that
    lies.
    """

    def __init__(self, id: int, *, syncs: bool = True) -> None:
        self.id = id
        self.syncs = syncs
        self.corrupt: set[int] = set()
        self.content = Content()
        self._durable = Content()
        self._pending: list[Operation] = []
        self._writes: list[tuple[HardState | None, tuple[Entry, ...]] | None] = []  # beside `_pending`

    def load(self) -> Stored:
        """Give what `Disk.load` gives; raises `Corrupt` if no sound snapshot reaches the log's beginning."""
        content = self.content
        newest = self.newest_snapshot()
        mark = SnapshotMark() if newest is None else newest.mark
        if mark.index < content.kept_after.index:
            raise errors.Corrupt(
                f"the log begins after {content.kept_after.index}, and the newest sound snapshot is of {mark.index}"
            )
        return Stored(self.id, content.hard_state, mark, content.kept_after, tuple(content.entries))

    def write(self, hard_state: HardState | None, entries: Sequence[Entry]) -> None:
        """Write a transaction; durable after `sync`."""
        entries = tuple(entries)
        self._do(lambda content: content.write(hard_state, entries), (hard_state, entries))

    def save_snapshot(self, mark: SnapshotMark, chunks: Iterable[bytes]) -> None:
        """Keep a snapshot; durable after `sync`."""
        kept = Kept(mark, tuple(chunks))
        self._do(lambda content: content.save(kept))

    def newest_snapshot(self) -> SavedSnapshot | None:
        """Find the newest snapshot that can be read."""
        sound = [index for index in self.content.snapshots if index not in self.corrupt]
        if not sound:
            return None
        kept = self.content.snapshots[max(sound)]
        return SavedSnapshot(kept.mark, kept.chunks)

    def stage_snapshot(self, mark: SnapshotMark, chunks: Iterable[bytes]) -> None:
        """Keep a leader's snapshot apart; durable after `sync`."""
        kept = Kept(mark, tuple(chunks))
        self._do(lambda content: content.stage(kept))

    def install_snapshot(self, mark: SnapshotMark, hard_state: HardState | None) -> None:
        """Make the staged snapshot valid and the log empty after it; durable after `sync`."""
        self._do(lambda content: content.install(mark, hard_state))

    def compact(self, through: int) -> None:
        """Forget; durable after `sync`."""
        self._do(lambda content: content.compact(through))

    def sync(self) -> None:
        """Make durable whatever was asked for."""
        if self.syncs:
            for operation in self._pending:
                operation(self._durable)
            self._forget_pending()

    @property
    def unsynced(self) -> int:
        """How many operations a crash may lose."""
        return len(self._pending)

    def crash(self, dice: Random, *, torn: bool = False) -> None:
        """Lose power: of what was not synced, keep a first part that the dice choose.

        `torn`: of the operation after it, a part may be there too. No sound disk leaves that.
        """
        kept = dice.randint(0, len(self._pending))
        for operation in self._pending[:kept]:
            operation(self._durable)
        if torn and kept < len(self._pending) and (write := self._writes[kept]) is not None:
            hard_state, entries = write
            self._durable.write(
                hard_state if dice.random() < 0.5 else None, entries[: dice.randint(0, len(entries))]
            )
        self.content = self._durable.copied()
        self._forget_pending()

    def _do(
        self, operation: Operation, write: tuple[HardState | None, tuple[Entry, ...]] | None = None
    ) -> None:
        operation(self.content)  # first, for what it refuses
        self._pending.append(operation)
        self._writes.append(write)

    def _forget_pending(self) -> None:
        self._pending.clear()
        self._writes.clear()


class FakeDisk:
    """A `Disk` on a `MemoryDisk`, which outlives it as a real disk outlives the process."""

    def __init__(self, memory: MemoryDisk) -> None:
        self.memory = memory
        self._closed = False

    async def load(self) -> Stored:
        """Read everything back."""
        return self.memory.load()

    async def write(self, hard_state: HardState | None, entries: Sequence[Entry]) -> None:
        """Write, and sync a moment later: whoever crashes in between may lose it."""
        self._refuse_if_closed()
        self.memory.write(hard_state, entries)
        await self._sync()

    async def save_snapshot(self, mark: SnapshotMark, chunks: Iterable[bytes]) -> None:
        """Keep a snapshot."""
        self._refuse_if_closed()
        self.memory.save_snapshot(mark, chunks)
        await self._sync()

    async def newest_snapshot(self) -> SavedSnapshot | None:
        """Find the newest sound snapshot."""
        return self.memory.newest_snapshot()

    async def stage_snapshot(self, mark: SnapshotMark, chunks: AsyncIterable[bytes]) -> None:
        """Keep what a leader sends."""
        whole = [chunk async for chunk in chunks]
        self._refuse_if_closed()
        self.memory.stage_snapshot(mark, whole)
        await self._sync()

    async def install_snapshot(self, mark: SnapshotMark, hard_state: HardState | None) -> None:
        """Make the staged snapshot valid."""
        self._refuse_if_closed()
        self.memory.install_snapshot(mark, hard_state)
        await self._sync()

    async def compact(self, through: int) -> None:
        """Forget."""
        self._refuse_if_closed()
        self.memory.compact(through)
        await self._sync()

    async def close(self) -> None:
        """Stop; the memory stays."""
        self._closed = True

    async def _sync(self) -> None:
        await asyncio.sleep(0)
        self.memory.sync()

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise LogFailed("the log is closed: the manager is stopping")
