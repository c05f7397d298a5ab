"""Managers joining, leaving and coming back: real members and real stores, on an imaginary network."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

import msgspec
import pytest
from msgspec.structs import replace

from covey import limits
from covey.errors import CoveyError, FailedPrecondition
from covey.model.objects import Cluster, Node, NodeStatus
from covey.model.specs import NodeSpec
from covey.model.states import NodeRole, NodeState
from covey.v1 import raft_pb2
from covey.wire.service import Caller, Role
from manager.control.nodes import update_node
from manager.leadership import while_leading
from manager.raft.driver import Replica
from manager.raft.entry import Membership
from manager.raft.fake import FakeDisk, MemoryDisk
from manager.raft.io.loopback import LoopbackTransport, Network
from manager.roles.driver import run_roles
from manager.roles.seam import facts_of
from manager.roles.server import JoinServer
from manager.store.draft import Draft
from manager.store.driver import Store
from manager.store.log.replicated import ReplicatedLog

M, W = NodeRole.MANAGER, NodeRole.WORKER


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "raft_tick_ms", 10)
    monkeypatch.setattr(limits, "roles_look_busy_ms", 10)
    monkeypatch.setattr(limits, "roles_look_ms", 50)
    monkeypatch.setattr(limits, "membership_change_retry_ms", 10)


class Manager:
    """One manager's process: its member, its store, and what it does while it leads."""

    def __init__(self, replica: Replica, store: Store) -> None:
        self.replica, self.store = replica, store
        self.roles = asyncio.create_task(while_leading(store, lambda _: run_roles(store, replica)))


class Managers:
    """All of them by node id."""

    def __init__(self) -> None:
        self.network = Network()
        self.managers: dict[str, Manager] = {}

    async def start(self, node: str, raft_id: int, *, founding: bool = False) -> Manager:
        replica = await Replica.start(
            FakeDisk(MemoryDisk(raft_id)),
            LoopbackTransport(self.network),
            node_id=node,
            address=address(node),
            founding=founding,
            dice=Random(raft_id),
        )
        store = await Store.start(ReplicatedLog(replica))
        made = self.managers[node] = Manager(replica, store)
        return made

    async def found(self) -> None:
        first = await self.start("n1", 1, founding=True)

        def write(draft: Draft) -> None:
            draft.put(Cluster(id="c"))
            for i in range(1, 6):
                role = M if i == 1 else W
                status = NodeStatus(state=NodeState.READY)
                draft.put(Node(id=f"n{i}", role=role, spec=NodeSpec(role=role), status=status))

        await first.store.update(write)

    async def leader(self) -> Manager:
        def found() -> list[Manager]:
            return [each for each in self.managers.values() if each.store.standing.leads]

        await until(found)
        return max(found(), key=lambda each: each.store.standing.term)

    async def join(self, node: str, raft_id: int) -> Manager:
        """What a manager's process does that has an empty disk."""
        made = await self.start(node, raft_id)
        request = raft_pb2.JoinRaftRequest(cluster_id="c", raft_id=raft_id, address=address(node))
        while True:
            leader = await self.leader()
            server = JoinServer(leader.store, leader.replica, "c", reached)
            try:
                response = await server.join(request, Caller(Role.MANAGER, node, "c"))
            except CoveyError:
                await asyncio.sleep(0.02)
                continue
            made.replica.introduce(msgspec.msgpack.decode(response.membership, type=Membership))
            return made

    async def wish(self, node: str, role: NodeRole) -> None:
        """What `covey node promote` and `demote` do."""
        leader = await self.leader()

        def write(draft: Draft) -> None:
            present = draft.get(Node, node)
            assert present is not None
            spec = replace(present.spec, role=role)
            update_node(draft, node, present.meta.version, spec, facts_of(leader.replica))

        await leader.store.update(write)

    async def becomes(self, seen_by: str, id: str, role: NodeRole) -> None:
        await until(lambda: role_of(self.managers[seen_by].store, id) is role)

    async def stop(self, node: str) -> None:
        manager = self.managers.pop(node)
        manager.roles.cancel()
        await asyncio.wait([manager.roles])
        await manager.store.close()

    async def settled(self, *nodes: str) -> None:
        """Wait until exactly these vote, everywhere."""

        def voting(manager: Manager) -> set[str]:
            members = manager.replica.committed_membership.members
            return {member.node_id for member in members if member.voter}

        await until(lambda: all(voting(self.managers[node]) == set(nodes) for node in nodes))
        leader = await self.leader()
        for node in leader.store.all(Node):
            await self.becomes(leader.replica.own.node_id, node.id, M if node.id in nodes else W)


async def reached(address: str, node_id: str) -> None:
    pass


def address(node: str) -> str:
    return f"192.0.2.{node[1:]}:2377"


def role_of(store: Store, id: str) -> NodeRole | None:
    node = store.get(Node, id)
    return node.role if node is not None else None


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.01)


def play(story: Callable[[Managers], Awaitable[None]]) -> None:
    async def run() -> None:
        managers = Managers()
        try:
            async with asyncio.timeout(50):
                await managers.found()
                await story(managers)
        finally:
            for node in list(managers.managers):
                await managers.stop(node)

    asyncio.run(run())


async def three(managers: Managers) -> None:
    for number in (2, 3):
        await managers.wish(f"n{number}", M)
        await managers.becomes("n1", f"n{number}", M)
        await managers.join(f"n{number}", number)
    await managers.settled("n1", "n2", "n3")


def test_promoted_nodes_join_catch_up_and_vote() -> None:
    play(three)


def test_a_demoted_follower_goes_and_the_others_go_on() -> None:
    async def story(managers: Managers) -> None:
        await three(managers)
        await managers.wish("n3", W)
        await managers.becomes("n1", "n3", W)
        await managers.stop("n3")
        await managers.settled("n1", "n2")

    play(story)


def test_a_demoted_leader_hands_over_and_goes() -> None:
    async def story(managers: Managers) -> None:
        await three(managers)
        assert (await managers.leader()) is managers.managers["n1"]
        await managers.wish("n1", W)
        await managers.becomes("n2", "n1", W)
        await managers.stop("n1")
        await managers.settled("n2", "n3")

    play(story)


def test_a_manager_whose_disk_was_lost_comes_back_as_a_new_member() -> None:
    async def story(managers: Managers) -> None:
        await three(managers)
        await managers.stop("n3")
        await managers.join("n3", 33)
        await managers.settled("n1", "n2", "n3")
        membership = managers.managers["n3"].replica.committed_membership
        assert [member.id for member in membership.members] == [1, 2, 33]
        assert 3 in membership.removed

    play(story)


def test_the_group_shrinks_to_one_and_no_further() -> None:
    async def story(managers: Managers) -> None:
        await three(managers)
        for node in ("n3", "n2"):
            await managers.wish(node, W)
            await managers.becomes("n1", node, W)
            await managers.stop(node)
        await managers.settled("n1")
        with pytest.raises(FailedPrecondition, match="last manager"):
            await managers.wish("n1", W)

    play(story)


def test_five_managers_by_turns() -> None:
    async def story(managers: Managers) -> None:
        await three(managers)
        for number in (4, 5):
            await managers.wish(f"n{number}", M)
            await managers.becomes("n1", f"n{number}", M)
        await asyncio.gather(managers.join("n4", 4), managers.join("n5", 5))
        await managers.settled("n1", "n2", "n3", "n4", "n5")
        for node in ("n1", "n2"):
            await managers.wish(node, W)
            await managers.becomes("n5", node, W)
            await managers.stop(node)
        await managers.settled("n3", "n4", "n5")

    play(story)
