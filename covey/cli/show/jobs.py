"""Has a job done what it is for? Pure, as `converge` for services that run on."""

from covey import limits
from covey.client.views import Progress, ServiceDetail
from covey.model.jobs import extent
from covey.model.objects import Task
from covey.model.states import ServiceModeKind, TaskState

from .text import short
from .verdict import Place, Verdict, loop_text, removed


def total(detail: ServiceDetail) -> int:
    """How many tasks of a job are to complete; of a global one, as many as there are nodes for it so far."""
    mode = detail.revision.spec.mode
    if mode.kind is ServiceModeKind.REPLICATED_JOB:
        return extent(mode)[0]
    return detail.completed + detail.desired


def assess_job(progress: Progress) -> Verdict:
    """Judge one moment. Only tasks of the newest revision count: each is an iteration."""
    detail = progress.detail
    everywhere = detail.revision.spec.mode.kind.everywhere
    places = _places(progress, everywhere)
    wanted = len(places) if everywhere else total(detail)
    done = sum(place.good for place in places)
    spent = [place for place in places if place.spent]
    active = [place for place in places if not place.good and not place.spent]
    return Verdict(
        places,
        wanted,
        done >= wanted,
        _problem(detail, spent, active, wanted),
        overall=f"job progress: {done} out of {wanted} complete",
        final=not everywhere,  # for a global one more nodes may just be found
    )


def _places(progress: Progress, everywhere: bool) -> tuple[Place, ...]:
    """The places that were begun, each by the task that counts: one that completed, or else the newest."""
    current = progress.detail.service.revision_id
    counts: dict[tuple[int, str], Task] = {}
    failures: dict[tuple[int, str], str] = {}
    for task in sorted(progress.tasks, key=lambda task: (task.meta.created_at_ns, task.id)):
        if task.revision_id != current:
            continue
        key = (0, task.node_id) if everywhere else (task.slot, "")
        if key not in counts or counts[key].status.state is not TaskState.COMPLETE:
            counts[key] = task
        if task.status.state in (TaskState.FAILED, TaskState.REJECTED):
            failures[key] = task.status.err
    return tuple(_place(counts[key], failures.get(key, ""), everywhere) for key in sorted(counts))


def _place(task: Task, failure: str, everywhere: bool) -> Place:
    state = task.status.state
    return Place(
        name=short(task.node_id) if everywhere else str(task.slot),
        state=state,
        good=state is TaskState.COMPLETE,
        error=task.status.err or (failure if state < TaskState.RUNNING else ""),
        past=not task.status.err,
        # One that ended because it was told to is followed by another; this one ended by itself, and is over.
        spent=state in (TaskState.FAILED, TaskState.REJECTED) and not task.desired_state.wants_up,
        loops=task.quick_ends if task.quick_ends >= limits.converge_quick_ends else 0,
    )


def _problem(detail: ServiceDetail, spent: list[Place], active: list[Place], wanted: int) -> str:
    name = detail.service.name
    if problem := removed(detail):
        return problem
    if detail.service.allocation_error:
        return detail.service.allocation_error
    looping = [place for place in active if place.loops]
    if looping and len(looping) == len(active):
        return loop_text(looping[0], name)
    begun = detail.completed + len(spent)
    if not spent or active or begun < wanted:
        return ""
    why = f" ({spent[0].error})" if spent[0].error else ""
    return (
        f"{len(spent)} of {wanted} tasks did not complete, and the restart policy lets no other follow: "
        f"{name}.{spent[0].name}{why}; `covey service update --force {name}` runs the job again"
    )
