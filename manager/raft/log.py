"""The log as a member holds it in memory: what came after `base`, and how far it got."""

from bisect import bisect_right
from collections.abc import Sequence

from .entry import Entry, SnapshotMark

ENTRY_OVERHEAD_BYTES = 32  # about what an entry costs beside its data, on the wire and in memory


class Log:
    """Entries after `base_index`, without a gap, and four marks along them.

    `durable <= given <= last_index`: on disk, given to the disk, known. `handed <= commit <= last_index`: given
    out to be applied, and known to be on a majority's disks. What is committed is never replaced.
    """

    __slots__ = (
        "_base_bytes",
        "_ends",
        "_entries",
        "base_index",
        "base_term",
        "commit",
        "durable",
        "given",
        "handed",
        "last_index",
        "last_term",
    )

    def __init__(self, base: SnapshotMark, entries: Sequence[Entry], commit: int, handed: int) -> None:
        self._restart(base)
        self.append(entries)
        self.given = self.durable = self.last_index
        self.commit = commit
        self.handed = handed

    def _restart(self, base: SnapshotMark) -> None:
        self.base_index = self.last_index = base.index
        self.base_term = self.last_term = base.term
        self._entries: list[Entry] = []
        # Bytes from the beginning of the log to the end of each entry: sizes of ranges without adding up.
        self._ends: list[int] = []
        self._base_bytes = 0
        self.given = self.durable = base.index
        self.commit = self.handed = base.index

    # --- reading ---

    def term_at(self, index: int) -> int | None:
        """The term of the entry at `index`; None if that is not known (any more)."""
        if index == self.last_index:
            return self.last_term
        if self.base_index < index < self.last_index:
            return self._entries[index - self.base_index - 1].term
        return self.base_term if index == self.base_index else None

    def between(self, after: int, through: int) -> tuple[Entry, ...]:
        """Entries with `after < index <= through`."""
        return tuple(self._entries[after - self.base_index : through - self.base_index])

    def bytes_between(self, after: int, through: int) -> int:
        """How large these entries are."""
        return self._end(through) - self._end(after)

    def batch_end(self, after: int, bytes_max: int) -> int:
        """How far a batch from `after` on reaches: at least one entry, if there is one."""
        fits = bisect_right(self._ends, self._end(after) + bytes_max, after - self.base_index)
        return min(max(self.base_index + fits, after + 1), self.last_index)

    def _end(self, index: int) -> int:
        place = index - self.base_index
        return self._ends[place - 1] if place else self._base_bytes

    def newer_than(self, last_index: int, last_term: int) -> bool:
        """Whether this log is more up to date than one that ends so (section 5.4.1)."""
        return (self.last_term, self.last_index) > (last_term, last_index)

    def last_with_term(self, index: int, term: int) -> tuple[int, int]:
        """The last place at or before `index` whose term is at most `term`, and its term (section 5.3).

        No later one can agree with a log in which `index` has this `term`. Stops at the base.
        """
        index = min(index, self.last_index)
        while index > self.base_index:
            found = self._entries[index - self.base_index - 1].term
            if found <= term:
                return index, found
            index -= 1
        return self.base_index, self.base_term

    # --- growing and shrinking ---

    def append(self, entries: Sequence[Entry]) -> None:
        """Add entries that follow the last one."""
        if not entries:
            return
        end = self._end(self.last_index)
        ends = self._ends
        for entry in entries:
            end += len(entry.data) + ENTRY_OVERHEAD_BYTES
            ends.append(end)
        self._entries.extend(entries)
        last = entries[-1]
        self.last_index = last.index
        self.last_term = last.term

    def first_new(self, entries: Sequence[Entry]) -> int:
        """Position of the first of `entries` that is not here yet, or contradicts what is (figure 2, 3 and 4).

        The entry before the first one must be here.
        """
        if not entries or entries[0].index == self.last_index + 1:
            return 0
        if self.term_at(entries[-1].index) == entries[-1].term:
            return len(entries)  # Log Matching: then all before it agree too (section 5.3)
        for position, entry in enumerate(entries):
            if self.term_at(entry.index) != entry.term:
                return position
        return len(entries)

    def truncate(self, index: int) -> None:
        """Forget the entry at `index` and all that follow."""
        assert index > self.commit, f"entry {index} is committed (up to {self.commit}) and stays"
        kept = index - self.base_index - 1
        del self._entries[kept:]
        del self._ends[kept:]
        self.last_index = index - 1
        self.last_term = self._entries[-1].term if self._entries else self.base_term
        self.given = min(self.given, self.last_index)
        self.durable = min(self.durable, self.last_index)

    def forget(self, through: int) -> None:
        """Drop entries up to `through`, which a snapshot covers (section 7)."""
        assert through <= self.handed, f"entry {through} was not given out yet (up to {self.handed})"
        term = self.term_at(through)
        if term is None or through <= self.base_index:
            return
        dropped = through - self.base_index
        self._base_bytes = self._ends[dropped - 1]
        del self._entries[:dropped]
        del self._ends[:dropped]
        self.base_index, self.base_term = through, term

    def restore(self, mark: SnapshotMark) -> None:
        """Begin anew after a snapshot (figure 13, 7)."""
        assert mark.index > self.commit, f"a snapshot of {mark.index} is older than {self.commit}"
        self._restart(mark)

    # --- getting on ---

    def give_unsaved(self) -> tuple[Entry, ...]:
        """Take what the disk has not been given yet."""
        if self.given == self.last_index:
            return ()
        entries = self.between(self.given, self.last_index)
        self.given = self.last_index
        return entries

    def commit_to(self, index: int) -> bool:
        """Raise the commit index; never falls. True if it rose."""
        assert index <= self.last_index, f"nothing after {self.last_index} can be committed: {index}"
        if index <= self.commit:
            return False
        self.commit = index
        return True

    def hand_out(self, entries_max: int) -> tuple[Entry, ...]:
        """Take committed entries that were not given out yet."""
        if self.handed == self.commit:
            return ()
        through = min(self.commit, self.handed + entries_max)
        entries = self.between(self.handed, through)
        self.handed = through
        return entries
