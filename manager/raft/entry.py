"""What the log is made of, who keeps it, and what a member must never forget.

Raft: Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm (extended version)", 2014;
Ongaro, "Consensus: Bridging Theory and Practice", 2014 ("the thesis"). Section numbers refer to the paper
unless they say thesis.
"""

from enum import IntEnum

from msgspec import Struct

NOBODY = 0  # the id no member has


class EntryKind(IntEnum):
    """What an entry is for."""

    NOTHING = 0  # a new leader's first: with it, it learns what is committed (section 8)
    DATA = 1  # bytes of the store
    MEMBERSHIP = 2  # the whole membership from here on, encoded


class Entry(Struct, frozen=True, array_like=True, gc=False):
    """One place in the log. `index` counts from 1 without a gap, `term` never falls along it."""

    index: int
    term: int
    kind: EntryKind = EntryKind.DATA
    data: bytes = b""


class Member(Struct, frozen=True, array_like=True):
    """A manager as Raft knows it.

    `id` is drawn at random (1 to 2**63 - 1) each time a manager joins with an empty log and is never used
    again, so that one that lost its disk cannot vote twice. `address` is its control address, host:port.
    A learner (`voter` unset) is sent everything and counts for nothing (thesis 4.2.1).
    """

    id: int
    node_id: str = ""
    address: str = ""
    voter: bool = True


class Membership(Struct, frozen=True, array_like=True):
    """Who keeps the log, in order of ids; and the ids that were removed and must never come back."""

    members: tuple[Member, ...] = ()
    removed: tuple[int, ...] = ()

    def get(self, id: int) -> Member | None:
        """Find a member by its Raft id."""
        return next((member for member in self.members if member.id == id), None)

    @property
    def voters(self) -> frozenset[int]:
        """The ids whose majority decides."""
        return frozenset(member.id for member in self.members if member.voter)


class HardState(Struct, frozen=True, array_like=True):
    """What must be on disk before anybody hears of it (figure 2, "persistent state"); 0 is nobody's vote.

    `commit` is only a hint that makes a restart quicker.
    """

    term: int = 0
    vote: int = NOBODY
    commit: int = 0


class SnapshotMark(Struct, frozen=True, array_like=True):
    """What a snapshot stands for (section 7): everything up to `index`, whose entry had `term`."""

    index: int = 0
    term: int = 0
    membership: Membership = Membership()


class Stored(Struct, frozen=True):
    """What a disk gives back at start: the newest sound snapshot's mark and the entries after `kept_after`.

    `kept_after` is the mark (without membership) just before the first entry kept: at most `snapshot.index`,
    less where a tail is kept for slow followers.
    """

    id: int
    hard_state: HardState = HardState()
    snapshot: SnapshotMark = SnapshotMark()
    kept_after: SnapshotMark = SnapshotMark()
    entries: tuple[Entry, ...] = ()
