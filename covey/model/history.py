"""What a service's history means: which revision is the one before."""

from collections.abc import Iterable
from typing import Final

from msgspec.structs import replace

from covey.model.objects import Revision

AUTOMATIC: Final = "covey"
"""The author of a rollback that nobody asked for."""


def other_tasks(one: Revision, other: Revision) -> bool:
    """Tell whether tasks of one are no tasks of the other: made anew, or free to run elsewhere."""
    mine, theirs = one.spec.task.placement, other.spec.task.placement
    return (
        one.restart_generation != other.restart_generation
        or mine.constraints != theirs.constraints
        or mine.max_replicas_per_node != theirs.max_replicas_per_node
    )


def goes_back_to(current: Revision, revisions: Iterable[Revision]) -> Revision | None:
    """Find what a rollback brings back that names no revision: the newest older one that makes a difference.

    The number of replicas makes none, for a rollback keeps it. Behind a rollback that came by itself lies not the
    revision that had failed, but what was before the one that was restored; also if the service was scaled since.
    """
    history = {revision.number: revision for revision in revisions}
    since = current
    while True:
        while since.author == AUTOMATIC and since.restores in history and since.restores < since.number:
            since = history[since.restores]
        number = max((number for number in history if number < since.number), default=None)
        if number is None:
            return None
        since = history[number]
        if other_tasks(since, current) or replace(since.spec, mode=current.spec.mode) != current.spec:
            return since
