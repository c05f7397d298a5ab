"""Has a service come to be what was asked for? Pure: a moment in, a verdict and lines to show out."""

from dataclasses import dataclass

from covey.client.views import Progress, ServiceDetail
from covey.model.objects import Task
from covey.model.states import TaskState, UpdateState

from ..options import word
from .tasks import is_global
from .text import short

_FAILED_UPDATES = {
    UpdateState.PAUSED: "the update is paused",
    UpdateState.ROLLBACK_PAUSED: "the rollback is paused",
    UpdateState.ROLLBACK_COMPLETED: "the update failed and was rolled back",
}
_MOVING = (UpdateState.UPDATING, UpdateState.ROLLBACK_STARTED)
_ENDED_BY_ITSELF = (TaskState.COMPLETE, TaskState.FAILED, TaskState.REJECTED)


@dataclass(frozen=True, slots=True)
class Place:
    """One slot (or node): the state of its task, and what is wrong with it."""

    name: str
    state: TaskState
    good: bool
    error: str = ""
    past: bool = False
    """The error is that of the task before this one."""
    spent: bool = False
    """Its task has ended, and the restart policy lets no other follow."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How far the service is. `failed` says, in words, that waiting longer is of no use."""

    places: tuple[Place, ...]
    desired: int
    converged: bool
    failed: str = ""

    @property
    def running(self) -> int:
        """How many places have what was asked for."""
        return sum(place.good for place in self.places)


def assess(progress: Progress, restarts: bool) -> Verdict:
    """Judge one moment.

    `restarts` says that the request called for new tasks: only those of the newest revision count then, until
    the managers say that the update is complete. (They learn of it a moment after the request is answered.)
    """
    detail = progress.detail
    update = detail.service.update_status
    only = detail.service.revision_id if restarts and update.state is not UpdateState.COMPLETED else ""
    places = _places(progress, only)
    spent = _spent(progress, only, {place.name for place in places})
    missing = len(spent) if is_global(detail) else max(0, detail.desired - len(places))
    places += spent[:missing]
    desired = detail.desired + (missing if is_global(detail) else 0)
    problem = _problem(detail, places)
    surplus = restarts and any(
        task.desired_state > TaskState.RUNNING
        and TaskState.STARTING <= task.status.state <= TaskState.RUNNING
        for task in progress.tasks
    )
    settled = update.state not in _MOVING and not surplus and not problem
    good = sum(place.good for place in places)
    # A global service may find no node at all: then there is nothing to wait for, but it is not nothing yet.
    reached = good == desired and len(places) <= max(desired, good)
    return Verdict(places, desired, settled and reached, problem)


def _problem(detail: ServiceDetail, places: tuple[Place, ...]) -> str:
    """Say why waiting longer is of no use, if it is."""
    if detail.service.pending_delete:
        return "the service is being removed"
    update = detail.service.update_status
    if problem := _FAILED_UPDATES.get(update.state, ""):
        return f"{problem}: {update.message}" if update.message else problem
    if detail.service.allocation_error:
        return detail.service.allocation_error
    dead = [place for place in places if place.spent and not place.good]
    if not dead or not all(place.good or place.spent for place in places):
        return ""
    why = f": {dead[0].error}" if dead[0].error else ""
    return f"task {dead[0].name} {word(dead[0].state)}, and the restart policy lets no other follow{why}"


def _places(progress: Progress, only_revision: str) -> tuple[Place, ...]:
    everywhere = is_global(progress.detail)
    newest: dict[str, Task] = {}
    for task in sorted(progress.tasks, key=lambda task: (task.meta.created_at_ns, task.id)):
        if task.desired_state <= TaskState.RUNNING:
            newest[task.node_id if everywhere else f"{task.slot:06d}"] = task
    failures = _failures(progress, everywhere)
    return tuple(
        _place(task, failures.get(key, ""), everywhere, only_revision) for key, task in sorted(newest.items())
    )


def _spent(progress: Progress, only_revision: str, filled: set[str]) -> tuple[Place, ...]:
    """Return the places whose last task the managers are done with, and have put none after."""
    everywhere = is_global(progress.detail)
    last: dict[str, Task] = {}
    for task in sorted(progress.tasks, key=lambda task: (task.meta.created_at_ns, task.id)):
        last[_name(task, everywhere)] = task
    return tuple(
        Place(name, task.status.state, task.status.state is TaskState.COMPLETE, task.status.err, spent=True)
        for name, task in sorted(last.items())
        if name not in filled
        and task.desired_state is TaskState.SHUTDOWN
        and task.status.state in _ENDED_BY_ITSELF
        and only_revision in ("", task.revision_id)
    )


def _name(task: Task, everywhere: bool) -> str:
    return short(task.node_id) if everywhere else str(task.slot)


def _place(task: Task, failure: str, everywhere: bool, only_revision: str) -> Place:
    state, error = task.status.state, task.status.err
    past = not error and bool(failure) and state < TaskState.RUNNING
    return Place(
        name=_name(task, everywhere),
        state=state,
        good=state is TaskState.RUNNING and only_revision in ("", task.revision_id),
        error=failure if past else error,
        past=past,
    )


def _failures(progress: Progress, everywhere: bool) -> dict[str, str]:
    """Return what went wrong last in each place, to be shown while its next task does not run yet."""
    found = {}
    for task in sorted(progress.tasks, key=lambda task: (task.status.at_ns, task.id)):
        if task.status.state in (TaskState.FAILED, TaskState.REJECTED) and task.status.err:
            key = task.node_id if everywhere else f"{task.slot:06d}"
            found[key] = task.status.err
    return found
