"""What a log owes the store: order, durability, and snapshots."""

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Protocol

from msgspec import Struct


class Record(Struct, frozen=True, gc=False):
    """A durable entry and its place in the order."""

    index: int
    data: bytes


class Snapshot(Struct, frozen=True):
    """A snapshot found: what the entries up to and including `index` led to. Chunks are read once."""

    index: int
    chunks: Iterable[bytes]


class Standing(Struct, frozen=True):
    """Who leads, as far as this manager knows.

    `leader` is the leading manager's node id and `address` its control address; both empty while there is
    none. `leads`: it is this one, and it may decide once it has applied everything up to `since`. `term`
    rises with every new leader.
    """

    term: int = 0
    leader: str = ""
    address: str = ""
    leads: bool = False
    since: int = 0


class Log(Protocol):
    """An ordered, durable list of entries, each seen by every reader at the same index, on every manager.

    Indexes rise, with entries of the log's own in between. Only the leader appends. A log is made by opening
    it and must be closed.
    """

    @property
    def standing(self) -> Standing:
        """Who leads now."""
        ...

    async def standing_after(self, known: Standing) -> Standing:
        """Wait until who leads is no longer as `known`; give how it is now. Raises what ended the log."""
        ...

    async def confirm(self) -> int:
        """Give an index by which everything acknowledged anywhere before this call has been applied.

        Whoever has applied it reads linearizably. Raises `Unavailable` if that cannot be found out: there is
        no leader, or no majority answers.
        """
        ...

    @property
    def last_index(self) -> int:
        """The index of the last durable entry, 0 before the first."""
        ...

    async def append(self, batch: Sequence[bytes]) -> None:
        """Make entries durable, in this order and next to each other.

        Many may be in flight; they are durable in the order of the calls. Returns once the batch would
        survive the death of any minority of managers (`records` may give it before or after). Raises
        `NotLeader` or `ResourceExhausted` if nothing was written; `Unavailable` if nobody can tell: the
        leadership was lost meanwhile, or the log failed (`LogFailed`): from then on every append fails,
        and nothing more is acknowledged.
        """
        ...

    def records(self, after: int) -> AsyncIterator[Sequence[Record] | Snapshot]:
        """Give every committed entry after index `after`, in order, and wait for more.

        A manager that was away for long is given a whole snapshot in between, which replaces everything.

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
