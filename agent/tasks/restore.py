"""What a new agent makes of what the former one left: its database, and the containers on the host."""

from agent.runtime.seam import ContainerState, Observed
from covey import limits
from covey.model.objects import Revision, Task, TaskStatus
from covey.model.states import HealthState, TaskState

from .assigned import Held
from .events import Local, Restored
from .lifecycle import Box, Goal, goal_of
from .record import Record

_BOXES = {
    ContainerState.CREATED: Box.CREATED,
    ContainerState.RUNNING: Box.RUNNING,
    ContainerState.EXITED: Box.EXITED,
}
_ACCEPTED = TaskState.ASSIGNED  # what is on disk without a status was received and no more


def recovered(held: Held, left: Restored) -> tuple[dict[str, Record], tuple[str, ...]]:
    """One record per task kept on disk, as the host now has it; and the ids of containers of no task.

    The lifecycle does the rest: a running container is watched again, an ended one is reported, and a task
    that had been started and has no container any more is lost. One that the managers had dropped goes on
    ending, with its grace period.
    """
    observed = {each.id: each for each in left.observed}
    records = {}
    for task in held.tasks.values():
        local = left.locals.get(task.id, Local(TaskStatus(state=max(_ACCEPTED, task.status.state))))
        record = Record(task, goal_of(task.desired_state), local.status, netns=local.netns)
        record.check, record.health, record.unhealthy = local.check, local.status.health, local.unhealthy
        if record.check is not None and record.health is HealthState.NONE:
            record.health = HealthState.STARTING  # it has not been started yet
        record.leaving.learn(held, task)
        record.grace_ms = grace_ms(held.revisions.get(task.revision_id))
        found = observed.get(task.id)
        if found is not None:
            _take_over(record, found, known=task.revision_id in held.revisions)
        records[task.id] = record
    for task_id in left.locals.keys() - records.keys():
        records[task_id] = _dropped(task_id, left.locals[task_id], observed.get(task_id))
    strays = tuple(sorted(observed.keys() - records.keys()))
    return records, strays


def grace_ms(revision: Revision | None) -> int:
    """How long a task of this revision may take to end by itself; the default if nobody knows."""
    grace_ns = limits.stop_grace_ns if revision is None else revision.spec.task.container.stop_grace_ns
    return max(1, grace_ns // 1_000_000)


def _dropped(task_id: str, local: Local, found: Observed | None) -> Record:
    record = Record(Task(id=task_id), Goal.FORGET, local.status, netns=local.netns)
    record.grace_ms = local.grace_ms or grace_ms(None)
    if found is not None:
        _take_over(record, found, known=False)  # what its networks were, nobody knows any more
    return record


def _take_over(record: Record, found: Observed, *, known: bool) -> None:
    record.box, record.exit, record.pid = _BOXES[found.state], found.exit, found.pid
    record.stop_signal = found.stop_signal
    if record.box is Box.CREATED and not (record.netns and record.status.state >= TaskState.READY):
        # The agent ended before it had written down where the namespace is, or how health is checked.
        record.box = Box.EXITED
    record.attached = known and record.box in (Box.CREATED, Box.RUNNING)
