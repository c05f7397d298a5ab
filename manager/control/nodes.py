"""What requests about nodes change, as functions on a draft."""

from msgspec.structs import replace

from covey.errors import Conflict, FailedPrecondition, NotFound
from covey.model.objects import Node
from covey.model.specs import NodeSpec
from covey.model.states import NodeRole, NodeState
from manager.store.draft import Draft


def update_node(draft: Draft, node_id: str, version: int, spec: NodeSpec) -> Node:
    """Change what people ask of a node."""
    node = _present(draft, node_id)
    if node.meta.version != version:
        raise Conflict(f"node {node_id} changed since it was read; repeat the command")
    if spec.role is not node.spec.role:
        raise FailedPrecondition(
            "role: promoting and demoting nodes needs replicated managers, which are not there yet"
        )
    draft.put(replace(node, spec=spec))
    return replace(node, spec=spec)


def remove_node(draft: Draft, node_id: str, force: bool) -> None:
    """Take a node out of the cluster. Its certificate is worth nothing from then on."""
    node = _present(draft, node_id)
    name = node.description.hostname or node.id
    if node.role is NodeRole.MANAGER:
        raise FailedPrecondition(f"node {name} is a manager; it cannot be removed")
    if node.status.state is NodeState.READY and not force:
        remedy = "stop it or have it leave first, or use --force"
        raise FailedPrecondition(f"node {name} is not down; {remedy}")
    draft.delete(Node, node_id)


def _present(draft: Draft, node_id: str) -> Node:
    node = draft.get(Node, node_id)
    if node is None:
        raise NotFound(f"there is no node {node_id!r}")
    return node
