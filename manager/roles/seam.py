"""What membership needs of a manager's Raft replica."""

from typing import Protocol

from msgspec import Struct

from manager.raft.entry import Membership
from manager.raft.ready import Status


class Group(Protocol):
    """The Raft group as one of its members sees it."""

    @property
    def membership(self) -> Membership:
        """The newest membership in this member's log: the one in force (thesis 4.1)."""
        ...

    @property
    def committed_membership(self) -> Membership:
        """The newest one that is committed; while it differs from `membership`, a change is under way."""
        ...

    def status(self) -> Status:
        """How this member sees the group; `peers` are known to a leader only."""
        ...

    async def change(self, membership: Membership) -> None:
        """Have the next membership, one step from the present one, committed.

        Raises `FailedPrecondition` if it is not to be had now (another change is under way) or ever, with
        the reason; `NotLeader` if this member does not lead; `Unavailable` if nobody can tell.
        """
        ...

    async def transfer(self, to: int) -> None:
        """Hand leadership to a voter. Raises `Unavailable` if it did not take it."""
        ...


class Facts(Struct, frozen=True):
    """A group at one moment."""

    membership: Membership
    committed: Membership
    status: Status


def facts_of(group: Group) -> Facts:
    """Take down how a group stands now."""
    return Facts(group.membership, group.committed_membership, group.status())
