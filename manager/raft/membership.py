"""Who keeps the log, and how that changes: one member at a time (thesis, chapter 4).

A membership holds from the moment it is appended, committed or not (thesis 4.1): two majorities of which one
has a member more always overlap, so no two leaders can be elected meanwhile.
"""

from bisect import insort

import msgspec
from msgspec.structs import replace

from covey import limits

from .entry import Member, Membership

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Membership)


def encode_membership(membership: Membership) -> bytes:
    """Give the data of an entry of kind MEMBERSHIP."""
    return _encoder.encode(membership)


def decode_membership(data: bytes) -> Membership:
    """Read it back; raises `msgspec.DecodeError` and `msgspec.ValidationError`."""
    return _decoder.decode(data)


def majority(voters: int) -> int:
    """How many of so many voters decide."""
    return voters // 2 + 1


class Memberships:
    """Every membership that may still count: in force at some place of the log that can be asked for.

    The first one belongs to the snapshot, the others to entries after it.
    """

    __slots__ = ("_history", "ids", "latest", "latest_index", "voters")

    def __init__(self, index: int, membership: Membership) -> None:
        self._history: list[tuple[int, Membership]] = [(index, membership)]
        self._refresh()

    def _refresh(self) -> None:
        self.latest_index, self.latest = self._history[-1]
        self.voters = self.latest.voters
        self.ids = frozenset(member.id for member in self.latest.members)

    def append(self, index: int, membership: Membership) -> None:
        """Let a membership hold from `index` on."""
        assert index > self.latest_index, f"membership {index} comes after {self.latest_index}"
        self._history.append((index, membership))
        self._refresh()

    def truncate(self, index: int) -> None:
        """Forget those at and after `index`: the one before holds again (thesis 4.1)."""
        while self._history[-1][0] >= index:
            self._history.pop()
        self._refresh()

    def restore(self, index: int, membership: Membership) -> None:
        """Begin anew with a snapshot's."""
        self._history = [(index, membership)]
        self._refresh()

    def forget(self, before: int) -> None:
        """Drop those that ended before the place `before`."""
        while len(self._history) > 1 and self._history[1][0] <= before:
            del self._history[0]

    def at(self, index: int) -> Membership:
        """The membership in force at a place of the log."""
        return next(membership for since, membership in reversed(self._history) if since <= index)


def next_membership(current: Membership, wanted: Membership) -> Membership:
    """Give `wanted` as it is to be appended: in order, and with the removed ids remembered.

    Raises `ValueError` with the reason if it is not exactly one step away (thesis 4.1).
    """
    before = {member.id: member for member in current.members}
    after = {member.id: member for member in wanted.members}
    if len(after) != len(wanted.members):
        raise ValueError("a member is named twice")
    added, gone = after.keys() - before.keys(), before.keys() - after.keys()
    changed = [id for id in after.keys() & before.keys() if after[id] != before[id]]
    steps = len(added) + len(gone) + len(changed)
    if steps != 1:
        raise ValueError(f"members are changed one at a time, and this changes {steps}")
    for id in added:
        if not 0 < id < 2**63:
            raise ValueError(f"{id} is no id of a member")
        if id in current.removed:
            raise ValueError(f"member {id} was removed and cannot come back under this id")
    for id in changed:
        if before[id].voter and not after[id].voter:
            raise ValueError(f"member {id} votes; remove it instead of taking its vote")
    if not wanted.voters:
        raise ValueError("the last voting member cannot be removed")
    members: list[Member] = []
    for member in wanted.members:
        insort(members, member, key=lambda member: member.id)
    removed = (*(id for id in current.removed if id not in added), *gone)[-limits.raft_removed_ids_max :]
    return replace(wanted, members=tuple(members), removed=removed)
