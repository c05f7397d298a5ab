"""What the driver of a member needs of the world: a disk, and a way to its peers."""

from collections.abc import AsyncIterable, Collection, Iterable, Sequence
from typing import Protocol

from msgspec import Struct

from covey import errors

from .entry import Entry, HardState, Member, SnapshotMark, Stored
from .messages import AnyMessage, Install


class Removed(errors.FailedPrecondition):
    """This member was removed from the group, for good: under this id it can never come back."""


class SavedSnapshot(Struct, frozen=True):
    """A sound snapshot on disk; chunks are read (and decrypted) as they are consumed, in another thread."""

    mark: SnapshotMark
    chunks: Iterable[bytes]


class Disk(Protocol):
    """What one member keeps: its id, hard state, log and snapshots. Made by opening it; must be closed.

    After `LogFailed` (fsync failed, or nobody knows what was written) every write fails: the member stops.
    """

    async def load(self) -> Stored:
        """Read everything back. A disk that never held a log draws an id at random."""
        ...

    async def write(self, hard_state: HardState | None, entries: Sequence[Entry]) -> None:
        """Make both durable in one transaction; entries at and after the first one's index are replaced.

        Raises `ResourceExhausted` if there is no room (nothing was written then), `LogFailed`.
        """
        ...

    async def save_snapshot(self, mark: SnapshotMark, chunks: Iterable[bytes]) -> None:
        """Make a snapshot of our own durable, beside the writes. Raises `ResourceExhausted`."""
        ...

    async def newest_snapshot(self) -> SavedSnapshot | None:
        """Find the newest sound snapshot; a corrupt one is named in the journal, put aside, and skipped."""
        ...

    async def stage_snapshot(self, mark: SnapshotMark, chunks: AsyncIterable[bytes]) -> None:
        """Write a snapshot as it comes from the leader, durable but not yet valid; a later one replaces it."""
        ...

    async def install_snapshot(self, mark: SnapshotMark, hard_state: HardState | None) -> None:
        """Make the staged snapshot the newest, and the log empty after it. A crash leaves all or nothing."""
        ...

    async def compact(self, through: int) -> None:
        """Forget entries up to `through`, and snapshots that are too old; never what the oldest kept needs."""
        ...

    async def close(self) -> None:
        """Finish what was asked for, and let go of the files."""
        ...


class Inbox(Protocol):
    """Where a transport delivers."""

    def receive(self, message: AnyMessage) -> None:
        """Take a message from a peer."""
        ...

    def lost(self, peer: int) -> None:
        """Hear that the connection to a peer has broken: a hint that it may be dead, no more."""
        ...

    def removed(self, reason: str) -> None:
        """Hear from a peer that this member was removed from the group."""
        ...

    async def stage(self, install: Install, chunks: AsyncIterable[bytes]) -> None:
        """Take a snapshot a leader sends; once it is staged, the message is received like any other.

        Raises `Unavailable` while another one is on its way, `ResourceExhausted` if there is no room.
        """
        ...


class Transport(Protocol):
    """The way to the other members. Messages may be lost, repeated and reordered; never changed."""

    def start(self, own: Member, inbox: Inbox) -> None:
        """Begin to deliver."""
        ...

    def set_peers(self, members: Sequence[Member], removed: Collection[int] = ()) -> None:
        """Learn who the others are and where; connections to former ones end.

        Who is among the `removed` and comes nevertheless is told that it was removed.
        """
        ...

    def send(self, messages: Sequence[AnyMessage]) -> None:
        """Send, or drop where the way is blocked; never waits."""
        ...

    async def send_snapshot(self, to: int, term: int, snapshot: SavedSnapshot) -> None:
        """Stream a snapshot beside the messages; raises `Unavailable` if it did not arrive whole."""
        ...

    async def close(self) -> None:
        """End all connections."""
        ...
