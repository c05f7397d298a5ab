"""What membership needs of a group, held against a real replica and against the fake."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace

from covey import limits
from covey.errors import CoveyError, FailedPrecondition, NotLeader
from manager.raft.entry import Member
from manager.raft.ready import Role
from manager.roles import quorum
from manager.roles.fake import FakeGroup
from manager.roles.seam import Group
from tests.support import raft_group

Pair = tuple[Group, Group]  # as the leader sees it, member 1, and as a follower does, member 2


def member(id: int, *, voter: bool = True) -> Member:
    return Member(id, f"n{id}", f"a{id}:1", voter)


@asynccontextmanager
async def fake() -> AsyncIterator[Pair]:
    follower = FakeGroup(member(2), (member(1), member(3)))
    follower.leader = 1
    yield FakeGroup(member(1), (member(2), member(3))), follower


@asynccontextmanager
async def replica() -> AsyncIterator[Pair]:
    group = raft_group.Group()
    try:
        leader = await group.form(3)
        follower = group.members[2]
        await raft_group.until(lambda: follower.committed_membership == leader.committed_membership)
        await raft_group.until(lambda: len(quorum.reachable(leader.status())) == 3)
        yield leader, follower
    finally:
        await group.stop()


@pytest.fixture(params=[fake, replica])
def play(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    monkeypatch.setattr(limits, "raft_tick_ms", 10)

    def run(story: Callable[[Group, Group], Awaitable[None]]) -> None:
        async def within() -> None:
            async with asyncio.timeout(30), request.param() as (leader, follower):
                await story(leader, follower)

        asyncio.run(within())

    return run


def test_a_change_is_committed_when_it_returns(play: Callable[..., None]) -> None:
    async def story(leader: Group, follower: Group) -> None:
        for wanted in (
            quorum.without(leader.membership, 3),
            quorum.with_member(quorum.without(leader.membership, 3), member(4, voter=False)),
        ):
            await leader.change(wanted)
            assert leader.membership.members == leader.committed_membership.members == wanted.members
            assert leader.membership.removed == (3,)

    play(story)


def test_what_is_no_single_step_or_no_step_at_all_is_refused(play: Callable[..., None]) -> None:
    async def story(leader: Group, follower: Group) -> None:
        present = leader.membership
        two = quorum.without(quorum.without(present, 3), 2)
        again = quorum.with_member(quorum.without(present, 3), member(3, voter=False))
        for wanted in (two, present):
            with pytest.raises(FailedPrecondition):
                await leader.change(wanted)
        await leader.change(quorum.without(present, 3))
        with pytest.raises(FailedPrecondition):
            await leader.change(replace(again, removed=()))
        await leader.change(quorum.without(leader.membership, 2))
        with pytest.raises(FailedPrecondition):
            await leader.change(quorum.without(leader.membership, 1))

    play(story)


def test_a_leader_sees_everybody_and_a_follower_nobody(play: Callable[..., None]) -> None:
    async def story(leader: Group, follower: Group) -> None:
        status = leader.status()
        assert (status.id, status.standing.role, status.standing.leader) == (1, Role.LEADER, 1)
        assert {peer.id for peer in status.peers} == {2, 3}
        assert quorum.reachable(status) == {1, 2, 3}
        await leader.change(quorum.with_member(leader.membership, member(4, voter=False)))
        assert {peer.id for peer in leader.status().peers} == {2, 3, 4}
        assert 4 not in quorum.reachable(leader.status()), "nobody has heard of it yet"
        told = follower.status()
        assert (told.id, told.standing.leader, told.peers) == (2, 1, ())
        assert not quorum.leads(told)

    play(story)


def test_only_the_leader_changes_anything(play: Callable[..., None]) -> None:
    async def story(leader: Group, follower: Group) -> None:
        with pytest.raises(NotLeader):
            await follower.change(quorum.without(follower.membership, 3))
        with pytest.raises(NotLeader):
            await follower.transfer(3)

    play(story)


def test_leadership_goes_to_a_voter_that_answers(play: Callable[..., None]) -> None:
    async def story(leader: Group, follower: Group) -> None:
        await leader.change(quorum.with_member(leader.membership, member(4, voter=False)))
        for nobody in (4, 9):
            with pytest.raises(CoveyError):
                await leader.transfer(nobody)
        await leader.transfer(2)
        assert not quorum.leads(leader.status())

    play(story)
