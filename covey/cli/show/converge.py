"""Has a service come to be what was asked for? Pure: a moment in, a verdict and lines to show out."""

from enum import Enum, auto

from covey import limits
from covey.client.views import Progress
from covey.model.objects import Task
from covey.model.states import HealthState, TaskState, UpdateState

from ..options import word
from .jobs import assess_job
from .tasks import is_global
from .text import short
from .verdict import Place, Verdict, loop_text, removed

_FAILED_UPDATES = {
    UpdateState.PAUSED: "the update is paused",
    UpdateState.ROLLBACK_PAUSED: "the rollback is paused",
    UpdateState.ROLLBACK_COMPLETED: "the update failed and was rolled back",
}
_MOVING = (UpdateState.UPDATING, UpdateState.ROLLBACK_STARTED)
_ENDED_BY_ITSELF = (TaskState.COMPLETE, TaskState.FAILED, TaskState.REJECTED)


class Asked(Enum):
    """What a request calls for. A stopped service and a job are told from the service itself.

    UPDATE: new tasks, and only those of the newest revision count, until the managers say that the update is
    complete. (They learn of it a moment after the request is answered.) ROLLBACK: the tasks of an older
    revision, some of which may run as they are.
    """

    TASKS = auto()
    UPDATE = auto()
    ROLLBACK = auto()


def assess(progress: Progress, asked: Asked) -> Verdict:
    """Judge one moment."""
    detail = progress.detail
    if detail.service.stopped:
        return _stopped(progress)
    if detail.revision.spec.mode.kind.job:
        return assess_job(progress)
    update = detail.service.update_status
    restarts = asked is not Asked.TASKS
    over = asked is Asked.ROLLBACK or update.state is UpdateState.COMPLETED
    only = "" if over or not restarts else detail.service.revision_id
    places = _places(progress, only)
    spent = _spent(progress, only, {place.name for place in places})
    missing = len(spent) if is_global(detail) else max(0, detail.desired - len(places))
    places += spent[:missing]
    desired = detail.desired + (missing if is_global(detail) else 0)
    problem = _problem(progress, places, asked)
    surplus = restarts and any(
        not task.desired_state.wants_up and TaskState.STARTING <= task.status.state <= TaskState.RUNNING
        for task in progress.tasks
    )
    settled = update.state not in _MOVING and not surplus and not problem
    good = sum(place.good for place in places)
    # A global service may find no node at all: then there is nothing to wait for, but it is not nothing yet.
    reached = good == desired and len(places) <= max(desired, good)
    return Verdict(places, desired, settled and reached, problem)


def _failed_rollout(progress: Progress, asked: Asked) -> str:
    """Say how the rollout ended that was asked for, if not well; one from before is no news."""
    update = progress.detail.service.update_status
    problem = _FAILED_UPDATES.get(update.state, "")
    through = asked is Asked.ROLLBACK and update.state is UpdateState.ROLLBACK_COMPLETED
    if not problem or through or asked is Asked.TASKS:
        return ""
    if update.state is UpdateState.ROLLBACK_COMPLETED:
        return problem + _given_up(progress)
    return f"{problem}: {update.message}" if update.message else problem


def _given_up(progress: Progress) -> str:
    """Say what came of the tasks of the revision that was given up: the rollback's own end tells nothing of it."""
    service, everywhere = progress.detail.service, is_global(progress.detail)
    others = [task for task in progress.tasks if task.revision_id != service.revision_id]
    newest = max(others, key=lambda task: task.meta.created_at_ns, default=None)
    failed = [
        task
        for task in others
        if newest is not None and task.revision_id == newest.revision_id and task.status.err
    ]
    if not failed:
        return f"; `covey service ps {service.name}` shows what became of its tasks"
    last = max(failed, key=lambda task: task.status.at_ns)
    return f"; task {_name(last, everywhere)} failed last: {last.status.err}"


def _stopped(progress: Progress) -> Verdict:
    """Judge a service that is to have no tasks: what still has to end?"""
    everywhere = is_global(progress.detail)
    places = tuple(
        Place(_name(task, everywhere), task.status.state, good=False, error=task.status.err)
        for task in progress.tasks
        if TaskState.ASSIGNED <= task.status.state <= TaskState.RUNNING
    )
    problem = removed(progress.detail)
    still = "1 task has" if len(places) == 1 else f"{len(places)} tasks have"
    overall = f"overall progress: {still} yet to stop"
    return Verdict(places, 0, not places, problem, overall=overall, final=True)


def _problem(progress: Progress, places: tuple[Place, ...], asked: Asked) -> str:
    """Say why waiting longer is of no use, if it is."""
    detail = progress.detail
    if problem := removed(detail):
        return problem
    if problem := _failed_rollout(progress, asked):
        return problem
    if detail.service.allocation_error:
        return detail.service.allocation_error
    hopeless = [place for place in places if not place.good]
    if not hopeless or not all(place.spent or place.loops for place in hopeless):
        return ""
    first = hopeless[0]
    if first.loops:
        return loop_text(first, detail.service.name)
    why = f": {first.error}" if first.error else ""
    return f"task {first.name} {word(first.state)}, and the restart policy lets no other follow{why}"


def _places(progress: Progress, only_revision: str) -> tuple[Place, ...]:
    everywhere = is_global(progress.detail)
    newest: dict[str, Task] = {}
    for task in sorted(progress.tasks, key=lambda task: (task.meta.created_at_ns, task.id)):
        if task.desired_state.wants_up:
            newest[task.node_id if everywhere else f"{task.slot:06d}"] = task
    failures = _failures(progress, everywhere)
    return tuple(
        _place(task, failures.get((key, task.revision_id), ""), everywhere, only_revision)
        for key, task in sorted(newest.items())
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
        good=_healthy(task) and only_revision in ("", task.revision_id),
        error=failure if past else error,
        past=past,
        loops=task.quick_ends if task.quick_ends >= limits.converge_quick_ends else 0,
    )


def _healthy(task: Task) -> bool:
    return task.status.state is TaskState.RUNNING and task.status.health is not HealthState.UNHEALTHY


def _failures(progress: Progress, everywhere: bool) -> dict[tuple[str, str], str]:
    """Return what went wrong last in each place, to be shown while its next task does not run yet.

    By revision too: what an older one did is no news of this one.
    """
    found = {}
    for task in sorted(progress.tasks, key=lambda task: (task.status.at_ns, task.id)):
        if task.status.state in (TaskState.FAILED, TaskState.REJECTED) and task.status.err:
            key = task.node_id if everywhere else f"{task.slot:06d}"
            found[key, task.revision_id] = task.status.err
    return found
