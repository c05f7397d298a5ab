"""A Raft group in memory: one member's view, for tests of what is decided about membership."""

from msgspec import Struct

from covey.errors import FailedPrecondition, NotLeader, Unavailable
from manager.raft.entry import Member, Membership
from manager.raft.membership import next_membership
from manager.raft.ready import PeerStatus, Role, Standing, Status


class Peer(Struct):
    """How another member does."""

    silent_ticks: int = 0
    match: int = 0


class FakeGroup:
    """A group that agrees at once, as long as a majority of its voters answers, as Raft would."""

    def __init__(self, own: Member, others: tuple[Member, ...] = (), commit: int = 100) -> None:
        self.id = own.id
        self.leader = own.id
        self.commit = commit
        self.membership = Membership(tuple(sorted((own, *others), key=lambda member: member.id)))
        self.committed_membership = self.membership
        self.peers = {member.id: Peer(match=commit) for member in others}
        self.history: list[Membership] = []

    def status(self) -> Status:
        """How this member sees the group."""
        leads = self.leader == self.id
        role = Role.LEADER if leads else Role.FOLLOWER
        peers = tuple(
            PeerStatus(member.id, peer.match, peer.silent_ticks)
            for member in self.membership.members
            for peer in [self.peers.setdefault(member.id, Peer())]
            if member.id != self.id
        )
        return Status(
            self.id, Standing(1, role, self.leader), self.commit, self.commit, peers if leads else ()
        )

    async def change(self, membership: Membership) -> None:
        """Take one step."""
        if self.leader != self.id:
            raise NotLeader(f"member {self.id} does not lead")
        if self.membership != self.committed_membership:
            raise FailedPrecondition("another change is under way")
        try:
            wanted = next_membership(self.membership, membership)
        except ValueError as error:
            raise FailedPrecondition(str(error)) from None
        self.membership = wanted
        for member in wanted.members:
            if member.id != self.id:
                self.peers.setdefault(member.id, Peer())
        self.settle()

    def settle(self) -> None:
        """Commit the present membership, if a majority answers."""
        answering = {self.id} | {id for id, peer in self.peers.items() if peer.silent_ticks == 0}
        voters = self.membership.voters
        if 2 * len(voters & answering) <= len(voters):
            raise Unavailable("no majority answers")
        if self.membership != self.committed_membership:
            self.committed_membership = self.membership
            self.history.append(self.membership)

    async def transfer(self, to: int) -> None:
        """Let another one lead."""
        if self.leader != self.id:
            raise NotLeader(f"member {self.id} does not lead")
        if to not in self.membership.voters or self.peers[to].silent_ticks:
            raise Unavailable(f"member {to} did not take the lead")
        self.leader = to
