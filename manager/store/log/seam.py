"""What a log owes the store: order, durability, and snapshots."""

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Protocol

from msgspec import Struct

from covey import errors


class LogFailed(errors.Unavailable):
    """The log can no longer promise durability and has stopped; only opening it anew can help."""


class Record(Struct, frozen=True, gc=False):
    """A durable entry and its place in the order."""

    index: int
    data: bytes


class Snapshot(Struct, frozen=True):
    """A snapshot found: what the entries up to and including `index` led to. Chunks are read once."""

    index: int
    chunks: Iterable[bytes]


class Log(Protocol):
    """An ordered, durable list of entries, each seen by every reader at the same index.

    Indexes rise by one for one log on one disk, but a reader must only count on their rising: replicated
    logs have entries of their own in between. A log is made by opening it and must be closed.
    """

    @property
    def last_index(self) -> int:
        """The index of the last durable entry, 0 before the first."""
        ...

    async def append(self, batch: Sequence[bytes]) -> None:
        """Make entries durable, in this order and next to each other.

        Many may be in flight; they are durable in the order of the calls. Returns once the batch would
        survive a power loss (`records` may give it before or after). Raises `ResourceExhausted` if there
        is no room, and then nothing was written; `LogFailed` if nobody can tell whether it was written:
        from then on every append fails, and nothing more is acknowledged.
        """
        ...

    def records(self, after: int) -> AsyncIterator[Sequence[Record]]:
        """Give every durable entry after index `after`, in order, and wait for more.

        Ends when the log is closed; raises `LogFailed` when it has failed, and `Corrupt` if entries are
        damaged, or gone because they were compacted away. One reader at a time.
        """
        ...

    async def save_snapshot(self, index: int, chunks: Iterable[bytes]) -> None:
        """Make a snapshot durable. `chunks` is consumed in another thread. Raises `ResourceExhausted`."""
        ...

    async def newest_snapshot(self) -> Snapshot | None:
        """Find the newest snapshot whose checksum holds; a corrupt one is named in the journal, and skipped."""
        ...

    async def compact(self, kept: int) -> None:
        """Forget entries that no kept snapshot needs, but never the last `kept`; and old snapshots.

        Everything after the oldest snapshot kept stays, so that each kept snapshot can be started from.
        """
        ...

    async def close(self) -> None:
        """Finish what was asked for, and let go of the files."""
        ...
