"""What requests about nodes change, as functions on a draft."""

from collections.abc import Iterator

from msgspec.structs import replace

from covey.errors import Conflict, FailedPrecondition, NotFound
from covey.model.objects import Node
from covey.model.specs import NodeSpec
from covey.model.states import NodeRole, NodeState
from manager.raft.entry import Member
from manager.roles import quorum
from manager.roles.seam import Facts
from manager.store.draft import Draft
from manager.store.view import View


def update_node(draft: Draft, node_id: str, version: int, spec: NodeSpec, group: Facts | None = None) -> Node:
    """Change what people ask of a node. `group` is the leader's; None where no Raft group keeps the log."""
    node = _present(draft, node_id)
    if node.meta.version != version:
        raise Conflict(f"node {node_id} changed since it was read; repeat the command")
    if spec.role is not node.spec.role:
        if spec.role is NodeRole.MANAGER:
            _check_promotion(node)
        else:
            _check_demotion(draft, node, group)
    draft.put(replace(node, spec=spec))
    return replace(node, spec=spec)


def remove_node(draft: Draft, node_id: str, force: bool) -> None:
    """Take a node out of the cluster. Its certificate is worth nothing from then on."""
    node = _present(draft, node_id)
    name = _name(node)
    if NodeRole.MANAGER in (node.role, node.spec.role):
        if node.spec.role is NodeRole.WORKER:
            remedy = "it is being demoted; wait until it is a worker"
        else:
            remedy = f"demote it first: covey node demote {name}"
        raise FailedPrecondition(f"node {name} is a manager; {remedy}")
    if node.status.state is NodeState.READY and not force:
        remedy = "stop it or have it leave first, or use --force"
        raise FailedPrecondition(f"node {name} is not down; {remedy}")
    draft.delete(Node, node_id)


def _check_promotion(node: Node) -> None:
    if node.status.state is not NodeState.READY:
        state = node.status.state.name.lower()
        raise FailedPrecondition(
            f"role: node {_name(node)} is {state}; only a node that is ready can become a manager: start it, "
            "or promote another one"
        )


def _check_demotion(draft: Draft, node: Node, group: Facts | None) -> None:
    """Refuse what would leave nobody to decide: the last manager, or managers that do not answer."""
    others = [
        other for other in draft.all(Node) if other.spec.role is NodeRole.MANAGER and other.id != node.id
    ]
    for other in others:
        draft.require(other)  # lest two managers are demoted at once, each as the one that is not the last
    if not others:
        raise FailedPrecondition(
            f"role: node {_name(node)} is the last manager; make another node one first: covey node promote NODE"
        )
    if group is None:
        if all(other.status.state is not NodeState.READY for other in others):
            missing = ", ".join(sorted(_name(other) for other in others))
            raise FailedPrecondition(
                f"role: without node {_name(node)} no manager is left that is ready: {missing}; start one again first"
            )
        return
    if all(member.node_id != node.id for member in group.membership.members):
        return
    staying = {other.id for other in others}
    rest = [member for member in group.membership.members if member.voter and member.node_id in staying]
    if not rest:
        waiting = ", ".join(sorted(_name(other) for other in others))
        raise FailedPrecondition(
            f"role: without node {_name(node)} no manager has a vote: {waiting} has not caught up yet; wait until "
            "`covey cluster status` shows it reachable and voting"
        )
    answering = quorum.reachable(group.status)
    if not quorum.is_majority([member.id for member in rest], answering):
        missing = ", ".join(_missing(draft, rest, answering))
        present = sum(member.id in answering for member in rest)
        raise FailedPrecondition(
            f"role: without node {_name(node)} only {present} of {len(rest)} managers would answer, which is no "
            f"majority: {missing} does not; start it again, or demote it first"
        )


def _missing(view: View, members: list[Member], answering: frozenset[int]) -> Iterator[str]:
    for member in members:
        if member.id not in answering:
            node = view.get(Node, member.node_id)
            yield f"{_name(node) if node is not None else member.node_id} ({member.address})"


def _name(node: Node) -> str:
    return node.description.hostname or node.id


def _present(draft: Draft, node_id: str) -> Node:
    node = draft.get(Node, node_id)
    if node is None:
        raise NotFound(f"there is no node {node_id!r}")
    return node
