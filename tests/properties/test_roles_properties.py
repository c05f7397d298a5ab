"""Whatever people wish and whatever fails: no step of ours leaves fewer voters that answer than a majority."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from covey.errors import Unavailable
from covey.model.objects import Node
from covey.model.specs import NodeSpec
from covey.model.states import NodeRole
from manager.raft.entry import Member, Membership
from manager.roles import quorum
from manager.roles.admission import check_id, next_step
from manager.roles.fake import FakeGroup, Peer
from manager.roles.planner import PromoteLearner, RemoveMember, TransferLeadership, plan
from manager.roles.seam import facts_of
from manager.store.tables import Tables
from tests.support.cluster_objects import change

M, W = NodeRole.MANAGER, NodeRole.WORKER
NODES = ("n1", "n2", "n3", "n4", "n5")
SILENT = quorum.SILENT_TICKS_MAX + 1

NUMBERS = st.integers(1, len(NODES))
Move = tuple[str, int]
MOVES = st.lists(
    st.tuples(
        st.sampled_from(
            ("promote", "demote", "fail", "heal", "lose disk", "catch up", "step", "step", "step")
        ),
        st.integers(0, len(NODES) - 1),
    ),
    max_size=60,
)


class World:
    """Nodes, the group they form, and which of them answer."""

    def __init__(self, managers: int) -> None:
        self.tables = Tables()
        change(self.tables, *(Node(id=id, spec=NodeSpec(role=W)) for id in NODES))
        first = [Member(at + 1, id, f"192.0.2.{at + 1}:2377") for at, id in enumerate(NODES[:managers])]
        self.group = FakeGroup(first[0], tuple(first[1:]))
        self.alive = set(NODES)
        self.ids = {member.node_id: member.id for member in first}
        self.last_id = managers
        for id in NODES[:managers]:
            self.write(id, role=M, wish=M)

    def write(self, id: str, role: NodeRole | None = None, wish: NodeRole | None = None) -> None:
        node = self.node(id)
        node = replace(node, role=node.role if role is None else role)
        change(
            self.tables, replace(node, spec=replace(node.spec, role=node.spec.role if wish is None else wish))
        )

    def node(self, id: str) -> Node:
        found = self.tables.get(Node, id)
        assert found is not None
        return found

    def answers(self, id: int) -> bool:
        """A member answers if its node does, and still has the disk of that member."""
        member = self.group.membership.get(id)
        return member is not None and member.node_id in self.alive and self.ids.get(member.node_id) == id

    def has_quorum(self) -> bool:
        voters = self.group.membership.voters
        return 2 * sum(self.answers(id) for id in voters) > len(voters)

    def refresh(self) -> None:
        """Let the group know who answers, and give it a leader that does."""
        members = self.group.membership.members
        fit = [member.id for member in members if member.voter and self.answers(member.id)]
        if self.group.id not in fit and fit:
            self.group.id = fit[0]
        self.group.leader = self.group.id
        for member in members:
            peer = self.group.peers.setdefault(member.id, Peer())
            peer.silent_ticks = 0 if self.answers(member.id) else SILENT
            if member.voter and self.answers(member.id):
                peer.match = self.group.commit

    def do(self, move: Move) -> None:
        what, number = move
        id = NODES[number]
        match what:
            case "promote":
                self.write(id, wish=M)
            case "demote":
                self.write(id, wish=W)  # whoever asked was not even warned
            case "fail":
                self.alive.discard(id)
            case "heal":
                self.alive.add(id)
            case "lose disk":
                self.ids.pop(id, None)
            case "catch up":
                if id in self.ids:
                    self.group.peers.setdefault(self.ids[id], Peer()).match = self.group.commit
            case "step":
                self.step()

    def step(self) -> None:
        if not self.has_quorum():
            return  # nobody leads, and nobody plans
        self.refresh()
        for id in NODES:
            self.join(id)
        self.refresh()
        wanted = plan(self.tables, facts_of(self.group))
        for role in wanted.roles:
            self.write(role.node_id, role=role.role)
        before = self.group.membership
        match wanted.change:
            case RemoveMember(id=gone):
                self.apply(quorum.without(before, gone))
            case PromoteLearner(id=grown):
                learner = before.get(grown)
                assert learner is not None
                self.apply(quorum.with_member(before, replace(learner, voter=True)))
            case TransferLeadership(to=heir):
                assert self.answers(heir)
                self.group.id = self.group.leader = heir
            case None:
                pass

    def join(self, id: str) -> None:
        """What coveyd and the joining manager do: a node that is a manager and has no member asks."""
        node = self.node(id)
        if id not in self.alive or node.role is not M or node.spec.role is not M:
            return
        if id not in self.ids or self.ids[id] in self.group.membership.removed:
            self.last_id += 1
            self.ids[id] = self.last_id
        candidate = Member(self.ids[id], id, f"192.0.2.{NODES.index(id) + 1}:2377", voter=False)
        check_id(self.group.membership, candidate.id, id)
        status = self.group.status()
        try:
            wanted = next_step(self.group.membership, candidate, quorum.reachable(status), status.id)
        except Unavailable:
            return
        if wanted is not None:
            self.apply(wanted)

    def apply(self, membership: Membership) -> None:
        asyncio.run(self.group.change(membership))
        assert self.group.membership.voters, "somebody votes"
        assert self.has_quorum(), "the voters that answer are a majority still"


@settings(max_examples=150, deadline=None)
@given(NUMBERS, MOVES)
def test_no_step_of_ours_costs_the_quorum(managers: int, moves: list[Move]) -> None:
    world = World(managers)
    for move in moves:
        world.do(move)


@settings(max_examples=75, deadline=None)
@given(NUMBERS, MOVES, st.sets(st.sampled_from(NODES), min_size=1))
def test_once_all_answer_the_managers_are_those_wished_for(
    managers: int, moves: list[Move], wished: set[str]
) -> None:
    world = World(managers)
    for move in moves:
        if move[0] not in {"fail", "lose disk"}:
            world.do(move)
    world.alive = set(NODES)
    for id in NODES:
        world.write(id, wish=M if id in wished else W)
    for _ in range(40):
        world.step()
        for number in range(len(NODES)):
            world.do(("catch up", number))
    assert {id for id in NODES if world.node(id).role is M} == wished
    assert {member.node_id for member in world.group.membership.members if member.voter} == wished
    assert plan(world.tables, facts_of(world.group)).settled
