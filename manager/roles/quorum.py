"""Who answers, and whom the group can do without. A majority of voters decides (thesis 4.1)."""

from collections.abc import Collection

from msgspec.structs import replace

from covey import limits
from manager.raft.entry import Member, Membership
from manager.raft.ready import Role, Status

SILENT_TICKS_MAX = limits.member_silent_ms_max // limits.raft_tick_ms
PRESENT_TICKS_MAX = 2 * limits.raft_heartbeat_ticks


def present(status: Status) -> frozenset[int]:
    """Say which members the leader hears from at this moment, itself among them.

    A removal counts from the moment it is in the log, and cannot be taken back if the rest turns out to have no
    majority. So it rests on who has answered the last heartbeats, not on who did so a second ago.
    """
    return reachable(status, PRESENT_TICKS_MAX)


def reachable(status: Status, silent_ticks_max: int = SILENT_TICKS_MAX) -> frozenset[int]:
    """Say which members the leader hears from, itself among them.

    A new leader begins to count silence at zero; only who has confirmed something has answered it.
    """
    answering = {
        peer.id
        for peer in status.peers
        if peer.silent_ticks <= silent_ticks_max and (peer.match or peer.snapshotting)
    }
    return frozenset({status.id} | answering)


def is_majority(voters: Collection[int], answering: Collection[int]) -> bool:
    """Tell whether those that answer are a majority of the voters."""
    return 2 * len(set(voters) & set(answering)) > len(set(voters))


def can_remove(membership: Membership, id: int, answering: Collection[int]) -> bool:
    """Tell whether the group goes on without a member: the rest has voters, and a majority of them answers.

    A learner counts for nothing, and can always go.
    """
    if id not in membership.voters:
        return True
    rest = membership.voters - {id}
    return is_majority(rest, answering)


def without(membership: Membership, id: int) -> Membership:
    """Give the membership without a member, whose id must never come back."""
    members = tuple(member for member in membership.members if member.id != id)
    removed = (*membership.removed, id)[-limits.raft_removed_ids_max :]
    return replace(membership, members=members, removed=removed)


def with_member(membership: Membership, member: Member) -> Membership:
    """Give the membership with a member added or replaced."""
    others = [other for other in membership.members if other.id != member.id]
    return replace(membership, members=tuple(sorted([*others, member], key=lambda each: each.id)))


def leads(status: Status) -> bool:
    """Tell whether the member that wrote `status` leads."""
    return status.standing.role is Role.LEADER
