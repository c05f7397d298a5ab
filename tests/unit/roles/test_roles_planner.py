"""From wishes and how the members do to the next step."""

import pytest
from msgspec.structs import replace

from covey import limits
from covey.model.objects import Node, NodeDescription
from covey.model.specs import NodeSpec
from covey.model.states import NodeRole
from manager.raft.entry import Member
from manager.raft.ready import PeerStatus, Role, Standing, Status
from manager.roles import quorum
from manager.roles.fake import FakeGroup
from manager.roles.planner import (
    Plan,
    PromoteLearner,
    RemoveMember,
    SetRole,
    TransferLeadership,
    plan,
)
from manager.roles.seam import facts_of
from manager.store.tables import Tables
from tests.support.cluster_objects import change

M, W = NodeRole.MANAGER, NodeRole.WORKER
SILENT = quorum.SILENT_TICKS_MAX + 1


def member(number: int, *, voter: bool = True, node: str = "") -> Member:
    return Member(number, node or f"n{number}", f"192.0.2.{number}:2377", voter)


def node(id: str, role: NodeRole = M, wish: NodeRole | None = None) -> Node:
    spec = NodeSpec(role=role if wish is None else wish)
    return Node(id=id, spec=spec, role=role, description=NodeDescription(hostname=f"host-{id}"))


def view(*nodes: Node) -> Tables:
    tables = Tables()
    if nodes:
        change(tables, *nodes)
    return tables


def group(*members: Member, silent: tuple[int, ...] = ()) -> FakeGroup:
    found = FakeGroup(members[0], members[1:])
    for id in silent:
        found.peers[id].silent_ticks = SILENT
    return found


THREE = (member(1), member(2), member(3))
MANAGERS = tuple(node(f"n{number}") for number in (1, 2, 3))


def test_nothing_is_planned_where_all_is_as_wished() -> None:
    found = plan(view(*MANAGERS, node("w", W)), facts_of(group(*THREE)))
    assert found == Plan()
    assert found.settled


def test_a_promoted_node_is_a_manager_at_once_so_that_it_can_join() -> None:
    found = plan(view(*MANAGERS, node("w", W, wish=M)), facts_of(group(*THREE)))
    assert [(step.node_id, step.role) for step in found.roles] == [("w", M)]
    assert found.change is None


def test_a_demoted_manager_leaves_the_group_and_is_a_worker_after_that() -> None:
    tables = view(node("n1"), node("n2", wish=W), node("n3"))
    found = plan(tables, facts_of(group(*THREE)))
    assert isinstance(found.change, RemoveMember)
    assert (found.change.id, found.roles) == (2, ())
    after = plan(tables, facts_of(group(member(1), member(3))))
    assert [(step.node_id, step.role) for step in after.roles] == [("n2", W)]


def test_a_leader_that_is_demoted_hands_over_first() -> None:
    tables = view(node("n1", wish=W), node("n2"), node("n3"))
    behind = group(*THREE)
    behind.peers[2].match -= 1
    found = plan(tables, facts_of(behind))
    assert isinstance(found.change, TransferLeadership)
    assert found.change.to == 3, "to the one that lacks least"


def test_leadership_goes_to_nobody_who_is_to_go_or_does_not_answer() -> None:
    tables = view(node("n1", wish=W), node("n2"), node("n3", wish=W), node("n4"), node("n5"))
    members = (*THREE, member(4), member(5, voter=False))
    far = group(*members)
    far.commit = 10_000
    for id, peer in far.peers.items():
        peer.match = 10_000 if id != 4 else 1
    found = plan(tables, facts_of(far))
    # Member 3 can be removed meanwhile, but it is a follower: the removal of 3 is fine and comes in order.
    assert isinstance(found.change, TransferLeadership)
    assert found.change.to == 2


def test_the_last_manager_stays_whatever_is_wished() -> None:
    tables = view(node("n1", wish=W))
    found = plan(tables, facts_of(group(member(1))))
    assert (found.roles, found.change) == ((), None)
    assert "no majority" in found.waiting[0]
    without_group = plan(tables, None)
    assert without_group.roles == ()


def test_no_removal_that_leaves_no_majority_that_answers() -> None:
    tables = view(node("n1"), node("n2", wish=W), node("n3"))
    found = plan(tables, facts_of(group(*THREE, silent=(3,))))
    assert found.change is None
    assert found.waiting == (
        "host-n2 is to go (its node was demoted), but the rest would have no majority that answers",
    )


def test_members_that_do_not_answer_go_first() -> None:
    tables = view(node("n1"), node("n2", wish=W), node("n3", wish=W))
    found = plan(tables, facts_of(group(*THREE, silent=(3,))))
    assert isinstance(found.change, RemoveMember)
    assert found.change.id == 3


def test_a_member_whose_node_is_gone_goes() -> None:
    found = plan(view(*MANAGERS[:2]), facts_of(group(*THREE)))
    assert isinstance(found.change, RemoveMember)
    assert (found.change.id, "removed from the cluster" in found.change.reason) == (3, True)


def test_the_old_id_of_a_node_that_joined_again_goes() -> None:
    members = (*THREE, member(9, voter=False, node="n3"))
    found = plan(view(*MANAGERS), facts_of(group(*members, silent=(3,))))
    assert isinstance(found.change, RemoveMember)
    assert found.change.id == 3
    both_answer = plan(view(*MANAGERS), facts_of(group(*members)))
    assert not isinstance(both_answer.change, RemoveMember), "nobody knows yet which of the two is old"


def test_a_learner_votes_once_it_has_caught_up_and_answers() -> None:
    tables = view(*MANAGERS)
    new = group(member(1), member(2), member(3, voter=False))
    new.commit = 10_000
    new.peers[2].match = 10_000
    for match, silent, expected in (
        (10_000 - limits.raft_caught_up_entries - 1, 0, None),
        (10_000 - limits.raft_caught_up_entries, SILENT, None),
        (10_000 - limits.raft_caught_up_entries, 0, PromoteLearner(3, "it has caught up")),
    ):
        new.peers[3].match, new.peers[3].silent_ticks = match, silent
        found = plan(tables, facts_of(new))
        assert found.change == expected
        assert not found.settled


def test_a_learner_that_is_to_go_never_votes() -> None:
    tables = view(node("n1"), node("n2"), node("n3", wish=W))
    found = plan(tables, facts_of(group(member(1), member(2), member(3, voter=False))))
    assert isinstance(found.change, RemoveMember)
    assert found.change.id == 3


def test_one_change_at_a_time() -> None:
    tables = view(node("n1"), node("n2", wish=W), node("n3"))
    pending = group(*THREE)
    pending.membership = quorum.with_member(pending.membership, member(4, voter=False))
    found = plan(tables, facts_of(pending))
    assert found.change is None
    assert not found.settled


def test_a_follower_plans_no_change() -> None:
    tables = view(node("n1"), node("n2", wish=W), node("n3"))
    following = group(*THREE)
    following.leader = 2
    assert plan(tables, facts_of(following)).change is None


def test_without_a_group_roles_follow_wishes() -> None:
    found = plan(view(node("n1"), node("n2", wish=W), node("w", W, wish=M)), None)
    assert {(step.node_id, step.role) for step in found.roles} == {("n2", W), ("w", M)}
    assert all(isinstance(step, SetRole) for step in found.roles)


def test_a_new_leader_takes_nobody_for_present_who_has_not_answered_it() -> None:
    peers = (PeerStatus(2, match=0, silent_ticks=0), PeerStatus(3, match=7, silent_ticks=0))
    assert quorum.reachable(Status(1, Standing(2, Role.LEADER, 1, 5), 5, 5, peers)) == {1, 3}


@pytest.mark.parametrize(
    ("voters", "gone", "answering", "allowed"),
    [
        ((1,), 1, {1}, False),
        ((1, 2), 2, {1, 2}, True),
        ((1, 2), 2, {1}, True),
        ((1, 2, 3), 3, {1, 2}, True),
        ((1, 2, 3), 2, {1, 2}, False),
        ((1, 2, 3, 4, 5), 2, {1, 2, 3}, False),
        ((1, 2, 3, 4, 5), 5, {1, 2, 3}, True),
    ],
)
def test_whom_a_group_can_do_without(
    voters: tuple[int, ...], gone: int, answering: set[int], allowed: bool
) -> None:
    membership = group(*(member(number) for number in voters)).membership
    assert quorum.can_remove(membership, gone, answering) is allowed


def test_a_learner_can_always_go() -> None:
    membership = group(member(1), member(2), member(3, voter=False)).membership
    assert quorum.can_remove(membership, 3, {1})
    changed = quorum.with_member(membership, replace(member(3), address="192.0.2.9:2377"))
    assert [each.address for each in changed.members][2] == "192.0.2.9:2377"
