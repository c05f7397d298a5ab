"""A script of operations on a member's disk, drawn from a seed, and what the disk holds after each of them.

Whoever carries it out and whoever looks afterwards draw the same one, so the question after a crash is
simply: is what is there one of those states, and not an earlier one than was acknowledged?
"""

from random import Random

from msgspec import Struct

from manager.raft.entry import Entry, EntryKind, HardState, Member, Membership, SnapshotMark, Stored
from manager.raft.fake import MemoryDisk
from manager.raft.io.disk import SqliteDisk
from manager.raft.membership import encode_membership
from manager.raft.seam import Disk

CLUSTER = "c1"


class Operation(Struct, frozen=True):
    """One call: `kind` is the seam's method."""

    kind: str
    hard_state: HardState | None = None
    entries: tuple[Entry, ...] = ()
    mark: SnapshotMark = SnapshotMark()
    chunks: tuple[bytes, ...] = ()
    through: int = 0


class View(Struct, frozen=True):
    """All that can be seen of a disk."""

    hard_state: HardState
    kept_after: SnapshotMark
    entries: tuple[Entry, ...]
    mark: SnapshotMark
    chunks: tuple[bytes, ...]


def view(stored: Stored, chunks: tuple[bytes, ...]) -> View:
    """Put together what was loaded."""
    return View(stored.hard_state, stored.kept_after, stored.entries, stored.snapshot, chunks)


class Author:
    """Draws operations that a member might ask for."""

    def __init__(self, seed: int) -> None:
        self._dice = Random(seed)
        self.disk = MemoryDisk(1)
        self._term = 1
        self._count = 0

    def view(self) -> View:
        """Say what the disk holds now."""
        newest = self.disk.newest_snapshot()
        return view(self.disk.load(), tuple(newest.chunks) if newest else ())

    def draw(self) -> Operation:
        """Draw the next operation and carry it out in memory."""
        dice, content = self._dice, self.disk.content
        self._count += 1
        last, floor = content.last_index, max([content.kept_after.index, *content.snapshots])
        sort = dice.choices(
            ["append", "replace", "hard state", "save", "compact", "install"], [60, 10, 8, 10, 8, 4]
        )[0]
        if content.staged is not None:
            operation = Operation(
                "install",
                hard_state=self._hard_state() if dice.random() < 0.5 else None,
                mark=content.staged.mark,
            )
            self._term = max(self._term, operation.mark.term)
            self.disk.install_snapshot(operation.mark, operation.hard_state)
        elif sort == "save" and last > floor:
            index = dice.randint(floor + 1, last)
            term = content.entries[index - content.kept_after.index - 1].term
            operation = Operation("save", mark=self._mark(index, term), chunks=self._chunks())
            self.disk.save_snapshot(operation.mark, operation.chunks)
        elif sort == "compact":
            operation = Operation("compact", through=max(0, last - dice.randint(0, 9)))
            self.disk.compact(operation.through)
        elif sort == "install":
            index = floor + dice.randint(1, 40)
            operation = Operation("stage", mark=self._mark(index, self._term + 1), chunks=self._chunks())
            self.disk.stage_snapshot(operation.mark, operation.chunks)
        else:
            operation = self._write(sort, last, floor)
            self.disk.write(operation.hard_state, operation.entries)
        return operation

    def _write(self, sort: str, last: int, floor: int) -> Operation:
        dice = self._dice
        if sort == "hard state":
            return Operation("write", hard_state=self._hard_state())
        if sort == "replace" and last > floor:
            last = dice.randint(floor, last - 1)
            self._term += 1
        entries = tuple(self._entry(last + 1 + n) for n in range(dice.randint(1, 6)))
        hard_state = self._hard_state() if dice.random() < 0.7 or sort == "replace" else None
        return Operation("write", hard_state=hard_state, entries=entries)

    def _entry(self, index: int) -> Entry:
        size = self._dice.choice([0, 10, 300, 300, 900, 9000])
        kind = self._dice.choice([EntryKind.DATA, EntryKind.DATA, EntryKind.NOTHING, EntryKind.MEMBERSHIP])
        text = f"{index}/{self._term} " + "x" * size
        if kind is EntryKind.MEMBERSHIP:
            return Entry(index, self._term, kind, encode_membership(Membership((Member(2, text),))))
        return Entry(index, self._term, kind, text.encode())

    def _hard_state(self) -> HardState:
        self._term += self._dice.random() < 0.1
        return HardState(self._term, self._dice.randint(0, 3), self._count)

    def _mark(self, index: int, term: int) -> SnapshotMark:
        return SnapshotMark(index, term, Membership((Member(1, f"n{self._count}"),)))

    def _chunks(self) -> tuple[bytes, ...]:
        return tuple(
            b"%d" % self._count * self._dice.randint(1, 4000) for _ in range(self._dice.randint(0, 3))
        )


def script(seed: int, count: int) -> tuple[list[Operation], list[View]]:
    """Give so many operations, and what the disk holds before the first and after each."""
    author = Author(seed)
    views, operations = [author.view()], list[Operation]()
    for _ in range(count):
        operations.append(author.draw())
        views.append(author.view())
    return operations, views


async def carry_out(disk: Disk, operation: Operation) -> None:
    """Ask a disk for one operation."""
    match operation.kind:
        case "write":
            await disk.write(operation.hard_state, operation.entries)
        case "save":
            await disk.save_snapshot(operation.mark, operation.chunks)
        case "stage":

            async def chunks():  # type: ignore[no-untyped-def]
                for chunk in operation.chunks:
                    yield chunk

            await disk.stage_snapshot(operation.mark, chunks())
        case "install":
            await disk.install_snapshot(operation.mark, operation.hard_state)
        case "compact":
            await disk.compact(operation.through)
        case _:
            raise AssertionError(operation.kind)


async def look(disk: SqliteDisk) -> View:
    """Read all that can be seen of a disk."""
    newest = await disk.newest_snapshot()
    return view(await disk.load(), tuple(newest.chunks) if newest else ())


def place_of(seen: View, views: list[View]) -> int:
    """Say after which operation a disk looks like this, the latest such; -1 if after none."""
    return max((place for place, one in enumerate(views) if one == seen), default=-1)
