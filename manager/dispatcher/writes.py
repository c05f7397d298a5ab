"""What the dispatcher commits: the state of nodes, and what agents say of their tasks."""

from collections.abc import Iterable, Iterator, Sequence

from msgspec.structs import replace

from covey import limits
from covey.model.assignments import TaskReport
from covey.model.objects import Node, NodeStatus, Task, TaskStatus
from covey.model.reasons import with_reason
from covey.model.states import NodeState
from manager.dispatcher.events import WriteNode, WriteStatuses
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
        draft.put(replace(task, status=with_reason(task, _bounded(report.status))))


def _bounded(status: TaskStatus) -> TaskStatus:
    """Cut what an agent says: whatever it is, it must fit into an entry of the log."""
    most = limits.task_error_chars_max
    if len(status.err) <= most and len(status.message) <= most:
        return status
    return replace(status, err=status.err[:most], message=status.message[:most])


def parts(batch: Sequence[WriteNode | WriteStatuses]) -> Iterator[list[WriteNode | WriteStatuses]]:
    """Cut what is to be written into parts, in order, that each fit into one entry of the log."""
    most = limits.reports_per_commit_max
    part: list[WriteNode | WriteStatuses] = []
    size = 0
    for item in batch:
        pieces: list[WriteNode | WriteStatuses] = [item]
        if isinstance(item, WriteStatuses):
            cuts = range(0, len(item.reports), most)
            pieces = [WriteStatuses(item.reports[at : at + most], ()) for at in cuts]
        for piece in pieces:
            more = len(piece.reports) if isinstance(piece, WriteStatuses) else 1
            if part and size + more > most:
                yield part
                part, size = [], 0
            part.append(piece)
            size += more
    if part:
        yield part
