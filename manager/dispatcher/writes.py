"""What the dispatcher commits: the state of nodes, and what agents say of their tasks."""

from collections.abc import Iterable

from msgspec.structs import replace

from covey.model.assignments import TaskReport
from covey.model.objects import Node, NodeStatus, Task
from covey.model.states import NodeState
from manager.dispatcher.events import WriteNode
from manager.store.draft import Draft


def write_node(draft: Draft, write: WriteNode) -> None:
    """Write what is known of a node now; a node removed meanwhile stays removed."""
    node = draft.get(Node, write.node_id)
    if node is None:
        return
    address = write.address or node.status.address
    status = NodeStatus(state=write.state, message=write.message, address=address)
    if write.state is NodeState.DOWN and node.status.state is NodeState.DOWN:
        status = node.status
    description = node.description if write.description is None else write.description
    draft.put(replace(node, status=status, description=description))


def write_statuses(draft: Draft, reports: Iterable[tuple[str, TaskReport]]) -> None:
    """Write what agents report of their own tasks. States only rise; what would lower one is old news."""
    for node_id, report in reports:
        task = draft.get(Task, report.task_id)
        if task is None or task.node_id != node_id or report.status.state < task.status.state:
            continue
        draft.put(replace(task, status=report.status))
