"""Roles on a real store (its log in memory) and a group in memory."""

import asyncio
from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from covey.model.objects import Node
from covey.model.specs import NodeSpec
from covey.model.states import NodeRole
from manager.raft.entry import Member
from manager.roles import quorum
from manager.roles.driver import run_roles
from manager.roles.fake import FakeGroup
from manager.store.draft import Draft
from manager.store.driver import Store
from manager.store.log.fake import FakeLog

M, W = NodeRole.MANAGER, NodeRole.WORKER
MEMBERS = tuple(Member(i, f"n{i}", f"192.0.2.{i}:2377") for i in (1, 2, 3))


def wish(id: str, role: NodeRole) -> Callable[[Draft], None]:
    def write(draft: Draft) -> None:
        node = draft.get(Node, id) or Node(id=id)
        draft.put(replace(node, spec=replace(node.spec, role=role)))

    return write


def play(
    story: Callable[[Store, FakeGroup], Awaitable[None]], group: FakeGroup, *, with_group: bool = True
) -> None:
    async def run() -> None:
        store = await Store.start(FakeLog())

        def found(draft: Draft) -> None:
            for i in (1, 2, 3):
                draft.put(Node(id=f"n{i}", role=M, spec=NodeSpec(role=M)))

        await store.update(found)
        roles = asyncio.create_task(run_roles(store, group if with_group else None))
        try:
            async with asyncio.timeout(20):
                await story(store, group)
        finally:
            roles.cancel()
            await asyncio.wait([roles])
            await store.close()

    asyncio.run(run())


async def until(true: Callable[[], object]) -> None:
    while not true():
        await asyncio.sleep(0.01)


def role_of(store: Store, id: str) -> NodeRole:
    node = store.get(Node, id)
    assert node is not None
    return node.role


def test_a_manager_is_demoted_and_another_node_promoted() -> None:
    async def story(store: Store, group: FakeGroup) -> None:
        await store.update(wish("n2", W))
        await store.update(wish("w", M))
        await until(lambda: (role_of(store, "n2"), role_of(store, "w")) == (W, M))
        assert [member.id for member in group.membership.members] == [1, 3]

    play(story, FakeGroup(MEMBERS[0], MEMBERS[1:]))


def test_a_learner_votes_once_it_has_caught_up() -> None:
    async def story(store: Store, group: FakeGroup) -> None:
        await asyncio.sleep(0.3)
        assert group.membership.voters == {1, 2}
        group.peers[3].match = group.commit
        await until(lambda: group.membership.voters == {1, 2, 3})

    group = FakeGroup(MEMBERS[0], (MEMBERS[1], replace(MEMBERS[2], voter=False)), commit=10_000)
    group.peers[3].match = 1
    play(story, group)


def test_a_leader_hands_over_before_it_goes_and_removes_nobody_after() -> None:
    async def story(store: Store, group: FakeGroup) -> None:
        await store.update(wish("n1", W))
        await until(lambda: group.leader == 2)
        await asyncio.sleep(0.4)
        assert group.membership.voters == {1, 2, 3}, "that is the next leader's to do"

    play(story, FakeGroup(MEMBERS[0], MEMBERS[1:]))


def test_what_fails_is_tried_again() -> None:
    async def story(store: Store, group: FakeGroup) -> None:
        group.peers[2].silent_ticks = quorum.SILENT_TICKS_MAX + 1
        await store.update(wish("n3", W))
        await asyncio.sleep(0.4)
        assert group.membership.voters == {1, 2, 3}, "two of which one does not answer are no majority"
        group.peers[2].silent_ticks = 0
        await until(lambda: role_of(store, "n3") is W)

    play(story, FakeGroup(MEMBERS[0], MEMBERS[1:]))


def test_without_a_group_roles_are_all_there_is() -> None:
    async def story(store: Store, group: FakeGroup) -> None:
        await store.update(wish("n3", W))
        await until(lambda: role_of(store, "n3") is W)
        assert group.history == []

    play(story, FakeGroup(MEMBERS[0]), with_group=False)
