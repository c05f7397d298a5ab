"""What a new agent makes of what the former one left: its database, and the containers on the host."""

from agent.runtime.seam import ContainerState, Observed
from covey import limits
from covey.model.objects import Revision, TaskStatus
from covey.model.states import TaskState

from .assigned import Held
from .events import Local, Restored
from .lifecycle import Box, goal_of
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
    that had been started and has no container any more is lost.
    """
    observed = {each.id: each for each in left.observed}
    records = {}
    for task in held.tasks.values():
        local = left.locals.get(task.id, Local(TaskStatus(state=max(_ACCEPTED, task.status.state))))
        record = Record(task, goal_of(task.desired_state), local.status, netns=local.netns)
        record.grace_ms = grace_ms(held.revisions.get(task.revision_id))
        found = observed.get(task.id)
        if found is not None:
            _take_over(record, found, task.revision_id in held.revisions)
        records[task.id] = record
    strays = tuple(sorted(observed.keys() - records.keys()))
    return records, strays


def grace_ms(revision: Revision | None) -> int:
    """How long a task of this revision may take to end by itself; the default if nobody knows."""
    grace_ns = limits.stop_grace_ns if revision is None else revision.spec.task.container.stop_grace_ns
    return max(1, grace_ns // 1_000_000)


def _take_over(record: Record, found: Observed, known: bool) -> None:
    record.box, record.exit, record.pid = _BOXES[found.state], found.exit, found.pid
    record.stop_signal = found.stop_signal
    record.attached = known and record.box in (Box.CREATED, Box.RUNNING)
