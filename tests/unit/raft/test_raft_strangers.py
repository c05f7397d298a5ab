"""A member that was away while others came: it must talk to a leader that its log does not know yet."""

import asyncio
from collections.abc import Collection, Sequence

from manager.raft.entry import Member, Membership
from manager.raft.io.loopback import LoopbackTransport
from tests.support.raft_group import Group


def test_members_it_is_introduced_to_are_dialled_beside_those_it_knows() -> None:
    told: list[list[int]] = []

    class Noting(LoopbackTransport):
        """Notes whom it is told of."""

        def set_peers(self, members: Sequence[Member], removed: Collection[int] = ()) -> None:
            told.append(sorted(member.id for member in members))
            super().set_peers(members, removed)

    async def run() -> None:
        group = Group()
        leader = await group.form(2)
        loop = group.members[2]._loop
        loop._transport.__class__ = Noting
        newer = Membership(
            (*leader.membership.members, Member(4, "n4", "a4:1"), Member(5, "n5", "a5:1")), (3,)
        )
        group.members[2].introduce(newer)
        assert told[-1] == [1, 4, 5]
        assert group.members[2].membership == leader.membership  # what counts is what is in the log
        await leader.change(Membership((*leader.membership.members, Member(4, "n4", "a4:1", voter=False))))
        while group.members[2].membership != leader.membership:
            await asyncio.sleep(0.01)
        assert told[-1] == [1, 4, 5]
        await group.stop()

    asyncio.run(run())
