"""One task in words: where it runs, what it waits for, how it ended."""

from collections.abc import Sequence

from covey.model.names import place_name
from covey.model.objects import Node, Revision, Service, Task
from covey.model.states import Availability, HealthState, NodeState, RestartCondition, TaskState
from manager.store.view import View

S = TaskState
_FAILED = (S.FAILED, S.REJECTED, S.ORPHANED)
_ON_THE_WAY = {
    S.ASSIGNED: "waits for {node} to take it up",
    S.ACCEPTED: "is being prepared on {node}",
    S.PREPARING: "is being prepared on {node} (image, network)",
    S.READY: "is ready on {node}",
    S.STARTING: "is starting on {node}",
}


def node_name(view: View, task: Task) -> str:
    """What people call a task's node; empty if it has none (any more)."""
    node = view.get(Node, task.node_id) if task.node_id else None
    return "" if node is None else node.description.hostname or node.id


def short_name(view: View, service: Service, task: Task) -> str:
    """A task's name without its id: `web.3`, or `agent.w1` where every node has one."""
    revision = view.get(Revision, service.revision_id)
    assert revision is not None, f"the current revision of service {service.name} is there"
    kind = revision.spec.mode.kind
    return f"{service.name}.{(node_name(view, task) if kind.everywhere else '') or place_name(kind, task)}"


def told(view: View, service: Service, task: Task, others: Sequence[Task]) -> str:
    """Say of one task why it stands where it stands; `others` are those in the same place, oldest first."""
    text = _now(view, service, task)
    earlier = others[: next((at for at, each in enumerate(others) if each.id == task.id), 0)]
    ended = [each for each in earlier if each.status.state in _FAILED]
    if not ended:
        return text
    last = ended[-1]
    times = "one" if len(ended) == 1 else f"{len(ended)}"
    where = node_name(view, last)
    return f"{text}; before it {times} failed, last{f' on {where}' if where else ''}: {_end(last)}"


def _now(view: View, service: Service, task: Task) -> str:
    status, where = task.status, node_name(view, task)
    if status.state.terminal:
        return _ended(view, service, task)
    if not task.desired_state.wants_up:
        return _stopping(view, task, where)
    if status.state < S.ASSIGNED:
        if task.desired_state < S.RUNNING and task.quick_ends:
            return status.message
        return status.err or "is being planned"
    if status.state is S.RUNNING:
        return _running(view, task, where)
    text = _ON_THE_WAY[status.state].format(node=where or task.node_id)
    if status.state is S.STARTING and status.health is HealthState.STARTING:
        text = f"has started on {where}, and its health check has not passed yet"
    elif status.state is S.STARTING and status.health is HealthState.UNHEALTHY:
        text = f"had started on {where}, and is being stopped"
    elif status.state <= S.READY and task.desired_state < S.RUNNING:
        text += _held_back(task)
    return f"{text}: {status.err}" if status.err else text


def _held_back(task: Task) -> str:
    if task.quick_ends:
        return f", {task.status.message}"
    return ", and waits for its turn: the task before it has not ended, or a delay is not over"


def _running(view: View, task: Task, where: str) -> str:
    text = f"runs on {where or task.node_id}"
    if task.status.health is HealthState.HEALTHY:
        text += f", healthy when last asked: {task.status.err}" if task.status.err else ", healthy"
    elif task.status.health is HealthState.UNHEALTHY:
        text += f", {task.status.err or 'unhealthy'}; it gets no traffic, and is being stopped"
    node = view.get(Node, task.node_id)
    if node is not None and node.status.state is not NodeState.READY:
        text += f"; the node is {node.status.state.name.lower()}, so nothing new is heard of it"
    elif node is not None and node.spec.availability is Availability.DRAIN:
        text += "; the node is drained, and it leaves once another task is ready to take over, or time is up"
    return text


def _stopping(view: View, task: Task, where: str) -> str:
    if task.status.state < S.ASSIGNED or not where:
        return "was told to stop"
    node = view.get(Node, task.node_id)
    if node is not None and node.status.state is NodeState.DOWN:
        return (
            f"was given up with its node {where}, which is down; if it comes back, the task is stopped there"
        )
    because = f": {task.status.err}" if task.status.err else ""
    return (
        f"is stopping on {where}{because} (connections may go on for the drain time, then its grace period)"
    )


def _ended(view: View, service: Service, task: Task) -> str:
    end = _end(task)
    if task.desired_state > S.SHUTDOWN or task.status.state in (S.SHUTDOWN, S.COMPLETE):
        return end
    revision = view.get(Revision, service.revision_id)
    policy = None if revision is None else revision.spec.task.restart
    if policy is None or service.stopped:
        return end
    if policy.condition is RestartCondition.NONE:
        return f"{end}; its restart condition is none, so no other follows"
    if policy.max_attempts:
        return f"{end}; at most {policy.max_attempts} restarts are allowed, so no other may follow"
    return end


def _end(task: Task) -> str:
    """How a task ended."""
    status = task.status
    match status.state:
        case S.COMPLETE:
            return "completed"
        case S.SHUTDOWN:
            return f"was stopped: {status.err.removeprefix('stopped: ')}" if status.err else "was stopped"
        case S.ORPHANED:
            return "was given up: its node has gone"
        case _:
            code = "" if status.exit_code is None else f"exit code {status.exit_code}"
            return f"{status.state.name.lower()}: {status.err or code or 'nobody knows why'}"
