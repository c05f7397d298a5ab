"""Reasons that outlive the next status of a task: why it waits to be restarted, and why it must stop."""

from msgspec.structs import replace

from covey.model.objects import Task, TaskStatus
from covey.model.states import TaskState


def with_reason(task: Task, status: TaskStatus) -> TaskStatus:
    """Give the new status of `task` as it is to be written: with what still holds of what was said before.

    Whoever is next to write it, a planner or the task's agent, knows nothing of why it is held back after
    others in its place have failed, nor why it was told to stop.
    """
    if task.quick_ends and task.desired_state < TaskState.RUNNING and status.state <= TaskState.READY:
        return replace(status, message=task.status.message)
    if not task.desired_state.wants_up and not status.err:
        return replace(status, err=task.status.err)
    return status
