"""Which changes of a node's role are refused, and what the refusal says."""

import pytest
from msgspec.structs import replace

from covey.errors import Conflict, FailedPrecondition
from covey.model.objects import Node, NodeDescription, NodeStatus
from covey.model.specs import NodeSpec
from covey.model.states import NodeRole, NodeState
from manager.control.nodes import remove_node, update_node
from manager.raft.entry import Member
from manager.roles.fake import FakeGroup
from manager.roles.seam import Facts, facts_of
from manager.store.draft import Draft
from manager.store.tables import Tables
from tests.support.cluster_objects import change

M, W = NodeRole.MANAGER, NodeRole.WORKER
MEMBERS = tuple(Member(i, f"m{i}", f"192.0.2.{i}:2377") for i in (1, 2, 3))


def node(
    id: str, role: NodeRole = M, state: NodeState = NodeState.READY, wish: NodeRole | None = None
) -> Node:
    return Node(
        id=id,
        spec=NodeSpec(role=role if wish is None else wish),
        role=role,
        description=NodeDescription(hostname=f"host-{id}"),
        status=NodeStatus(state=state),
    )


def cluster(*nodes: Node) -> Tables:
    tables = Tables()
    change(tables, *nodes)
    return tables


def ask(tables: Tables, id: str, role: NodeRole, group: Facts | None) -> Draft:
    draft = Draft(tables)
    present = draft.get(Node, id)
    assert present is not None
    update_node(draft, id, present.meta.version, replace(present.spec, role=role), group)
    return draft


def three(*silent: int) -> Facts:
    group = FakeGroup(MEMBERS[0], MEMBERS[1:])
    for id in silent:
        group.peers[id].silent_ticks = 100
    return facts_of(group)


@pytest.fixture
def tables() -> Tables:
    return cluster(node("m1"), node("m2"), node("m3"), node("w", W))


def test_a_ready_node_is_promoted_and_a_manager_demoted(tables: Tables) -> None:
    for id, role in (("w", M), ("m1", W), ("m2", W)):
        draft = ask(tables, id, role, three())
        changed = draft.get(Node, id)
        assert changed is not None
        assert changed.spec.role is role
        assert changed.role is not role, "the fact follows once the group agrees"


@pytest.mark.parametrize("state", [NodeState.DOWN, NodeState.UNKNOWN, NodeState.DISCONNECTED])
def test_a_node_that_is_not_there_cannot_be_promoted(state: NodeState) -> None:
    tables = cluster(node("m1"), node("w", W, state))
    with pytest.raises(FailedPrecondition, match=rf"host-w is {state.name.lower()}.*start it"):
        ask(tables, "w", M, None)


def test_the_last_manager_stays_with_and_without_a_group() -> None:
    tables = cluster(node("m1"), node("w", W))
    for group in (facts_of(FakeGroup(MEMBERS[0])), None):
        with pytest.raises(FailedPrecondition, match=r"last manager.*covey node promote"):
            ask(tables, "m1", W, group)


def test_without_a_group_another_manager_must_be_ready() -> None:
    tables = cluster(node("m1"), node("m2", state=NodeState.DOWN))
    with pytest.raises(FailedPrecondition, match="no manager is left that is ready: host-m2"):
        ask(tables, "m1", W, None)
    ask(tables, "m2", W, None)


def test_one_that_is_being_demoted_does_not_count_as_another() -> None:
    tables = cluster(node("m1"), node("m2", wish=W), node("m3", wish=W))
    with pytest.raises(FailedPrecondition, match="last manager"):
        ask(tables, "m1", W, three())


def test_two_demotions_at_once_do_not_both_pass() -> None:
    tables = cluster(node("m1"), node("m2"))
    pair = facts_of(FakeGroup(MEMBERS[0], MEMBERS[1:2]))
    first, second = ask(tables, "m1", W, pair), ask(tables, "m2", W, pair)
    tables.commit(first.transaction())
    with pytest.raises(Conflict):
        tables.commit(second.transaction())


def test_a_step_that_would_lose_quorum_names_who_is_missing(tables: Tables) -> None:
    with pytest.raises(FailedPrecondition, match=r"only 1 of 2 .*host-m3 \(192\.0\.2\.3:2377\) does not"):
        ask(tables, "m2", W, three(3))
    ask(tables, "m3", W, three(3))  # the one that does not answer may go: the rest is better off


def test_a_learner_is_no_manager_to_fall_back_on() -> None:
    tables = cluster(node("m1"), node("m2"))
    group = FakeGroup(MEMBERS[0], (replace(MEMBERS[1], voter=False),))
    with pytest.raises(FailedPrecondition, match="host-m2 has not caught up yet"):
        ask(tables, "m1", W, facts_of(group))
    ask(tables, "m2", W, facts_of(group))


def test_a_node_that_never_joined_the_group_is_let_go(tables: Tables) -> None:
    group = facts_of(FakeGroup(MEMBERS[0], MEMBERS[1:2]))
    ask(tables, "m3", W, group)


def test_managers_are_removed_only_after_demotion() -> None:
    tables = cluster(node("m1"), node("m2", state=NodeState.DOWN), node("m3", wish=W), node("p", W, wish=M))
    for id, remedy in (
        ("m2", "covey node demote host-m2"),
        ("m3", "being demoted"),
        ("p", "demote it first"),
    ):
        with pytest.raises(FailedPrecondition, match=remedy):
            remove_node(Draft(tables), id, force=True)
