"""What a member knows of itself, whatever its role; shared by all parts of the core."""

from collections.abc import Sequence
from random import Random

import msgspec

from covey import errors

from .entry import NOBODY, Entry, EntryKind, HardState, Membership, SnapshotMark, Stored
from .log import Log
from .membership import Memberships, decode_membership
from .messages import AnyMessage
from .outbox import Outbox
from .ready import Role


class Local:
    """Figure 2's state of a server. `snapshot` is the newest one on our disk."""

    __slots__ = (
        "_on_disk",
        "_writing",
        "dice",
        "id",
        "installing",
        "leader",
        "log",
        "memberships",
        "out",
        "role",
        "snapshot",
        "term",
        "vote",
    )

    def __init__(self, stored: Stored, dice: Random) -> None:
        check_stored(stored)
        self.id = stored.id
        self.dice = dice
        self.out = Outbox()
        self.role = Role.FOLLOWER
        self.leader = NOBODY
        self.term = stored.hard_state.term
        self.vote = stored.hard_state.vote
        self._on_disk = stored.hard_state
        self._writing = stored.hard_state
        self.snapshot = stored.snapshot
        # A snapshot that came from the leader and is not installed yet: to be given out, or given out.
        self.installing: SnapshotMark | None = None
        mark = stored.snapshot
        last = stored.entries[-1].index if stored.entries else stored.kept_after.index
        commit = max(mark.index, min(stored.hard_state.commit, last))
        self.log = Log(stored.kept_after, stored.entries, commit=commit, handed=mark.index)
        self.memberships = Memberships(mark.index, mark.membership)
        self._note_memberships([entry for entry in stored.entries if entry.index > mark.index])

    @property
    def membership(self) -> Membership:
        """The one in force."""
        return self.memberships.latest

    @property
    def committed_membership(self) -> Membership:
        """The newest that cannot be undone."""
        return self.memberships.at(self.log.commit)

    @property
    def electable(self) -> bool:
        """Whether this member may stand for election.

        One that is being removed may, until that is committed: it can be the only one that holds the entry
        (thesis 4.2.2). Learners may not.
        """
        return self.id in self.memberships.voters or self.id in self.committed_membership.voters

    def say(self, message: AnyMessage) -> None:
        """Say what promises nothing but our term: at once if that is on disk."""
        if self.settled:
            self.out.send(message)
        else:
            self.out.promise(message)

    # --- the log and the memberships in it move together ---

    def append(self, entries: Sequence[Entry]) -> None:
        """Add entries after the last."""
        self.log.append(entries)
        self._note_memberships(entries)

    def replace_from(self, entries: Sequence[Entry]) -> None:
        """Put entries in the place of whatever is at and after the first one's."""
        if entries[0].index <= self.log.last_index:
            self.log.truncate(entries[0].index)
            self.memberships.truncate(entries[0].index)
        self.append(entries)

    def _note_memberships(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            if entry.kind is EntryKind.MEMBERSHIP:
                self.memberships.append(entry.index, decode_membership(entry.data))

    def restore(self, mark: SnapshotMark) -> None:
        """Put a snapshot in the place of everything."""
        self.log.restore(mark)
        self.memberships.restore(mark.index, mark.membership)
        self.snapshot = self.installing = mark

    # --- what is on disk ---

    @property
    def settled(self) -> bool:
        """Whether term and vote are on disk, and no snapshot is on its way there."""
        state = self._on_disk
        return self.term == state.term and self.vote == state.vote and self.installing is None

    @property
    def unsaved_promise(self) -> bool:
        """Whether term or vote differ from what the disk was given."""
        return self.term != self._writing.term or self.vote != self._writing.vote

    def give_hard_state(self) -> HardState:
        """Take term, vote and commit, to be written."""
        self._writing = HardState(self.term, self.vote, self.log.commit)
        return self._writing

    def written(self, installed: SnapshotMark | None) -> None:
        """Note that everything given is durable."""
        self._on_disk = self._writing
        self.log.durable = self.log.given
        if installed is self.installing:
            self.installing = None


def check_stored(stored: Stored) -> None:
    """Refuse what cannot be a member's disk; raises `Corrupt`."""
    remedy = "remove this manager from the cluster, delete its state, and let it join again"
    if not 0 < stored.id < 2**63:
        raise errors.Corrupt(f"the log's member id is {stored.id}; {remedy}")
    if stored.kept_after.index > stored.snapshot.index:
        raise errors.Corrupt(
            f"the log begins after entry {stored.kept_after.index}, and the newest sound snapshot ends at"
            f" {stored.snapshot.index}: entries in between are gone; {remedy}"
        )
    index, term = stored.kept_after.index, stored.kept_after.term
    for entry in stored.entries:
        if entry.index != index + 1 or not term <= entry.term <= stored.hard_state.term:
            raise errors.Corrupt(
                f"the log has entry {entry.index} of term {entry.term} after entry {index} of term {term},"
                f" in term {stored.hard_state.term}; {remedy}"
            )
        if entry.kind is EntryKind.MEMBERSHIP:
            try:
                decode_membership(entry.data)
            except msgspec.MsgspecError as error:
                raise errors.Corrupt(
                    f"entry {entry.index} holds no membership ({error}); {remedy}"
                ) from error
        index, term = entry.index, entry.term
    if index < stored.snapshot.index:
        raise errors.Corrupt(
            f"the log ends at entry {index}, before its snapshot's {stored.snapshot.index}; {remedy}"
        )
