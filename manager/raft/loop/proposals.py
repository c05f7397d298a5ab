"""Who waits for which entries, and what became of them.

What a leader appended is in the log for good once an entry of the same term is committed at the same index,
and never will be once another one is (section 5.3, Log Matching; 5.4.3). While neither is known, nobody knows.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from typing import Generic, TypeVar

from ..entry import Entry

Waiter = TypeVar("Waiter")


class Fate(Enum):
    """What became of a proposal."""

    KEPT = "kept"  # all of it is in the log, for good
    DROPPED = "dropped"  # none of it is, or ever will be
    TORN = "torn"  # perhaps a first part is
    UNKNOWN = "unknown"


class Proposals(Generic[Waiter]):
    """Proposals under way, in the order of their places in the log."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, range, Waiter]] = deque()
        self._deadline_ms: int | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, term: int, indexes: range, waiter: Waiter) -> None:
        """Note that `waiter` proposed the entries at `indexes` as leader of `term`."""
        self._waiting.append((term, indexes, waiter))

    def committed(self, entries: Sequence[Entry]) -> Iterator[tuple[Waiter, Fate]]:
        """Take whatever is decided once `entries` are committed, which follow those of the last call."""
        if not entries:
            return
        first, last = entries[0].index, entries[-1].index
        while self._waiting and self._waiting[0][1][-1] <= last:
            term, indexes, waiter = self._waiting.popleft()
            if entries[indexes[-1] - first].term == term:
                yield waiter, Fate.KEPT  # and with the last all before it (Log Matching)
            elif indexes[0] >= first and entries[indexes[0] - first].term != term:
                yield waiter, Fate.DROPPED
            else:
                yield waiter, Fate.TORN

    def skipped(self) -> Iterator[tuple[Waiter, Fate]]:
        """Take all: a snapshot came in the place of the entries, which tells nothing about them."""
        waiting, self._waiting = self._waiting, deque()
        self._deadline_ms = None
        return ((waiter, Fate.UNKNOWN) for _, _, waiter in waiting)

    def limit(self, deadline_ms: int) -> None:
        """Let those that wait now, or come, wait until then at the longest; the earlier limit counts."""
        self._deadline_ms = deadline_ms if self._deadline_ms is None else min(deadline_ms, self._deadline_ms)

    def unlimit(self) -> None:
        """Let proposals wait for as long as it takes: there is hope again."""
        self._deadline_ms = None

    def expired(self, now_ms: int) -> Iterable[tuple[Waiter, Fate]]:
        """Take those that have waited long enough."""
        if self._deadline_ms is None or now_ms < self._deadline_ms:
            return ()
        return self.skipped()
