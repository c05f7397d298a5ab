"""What the agent knows of its tasks and their containers, as far as audits ask."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from agent.runtime.seam import HOST_NETNS, ContainerState, Observed
from agent.tasks.container import image_reference
from agent.tasks.lifecycle import Box, Goal
from agent.tasks.record import Record
from covey.io.netns import Process
from covey.model.objects import Revision

NONE: Mapping[str, Revision] = {}


@dataclass(frozen=True, slots=True)
class Known:
    """`tasks` are all that the node has to do with, `boxed` those with a container.

    Something is being done about those in `moving`: of them nothing can be said. `held` are those that the managers
    have not forgotten; `networked` are those of tasks with a network of their own; `images` are ids and references.
    """

    tasks: frozenset[str] = frozenset()
    boxed: frozenset[str] = frozenset()
    moving: frozenset[str] = frozenset()
    held: frozenset[str] = frozenset()
    images: frozenset[str] = frozenset()
    networked: frozenset[str] = frozenset()


def known(records: Iterable[Record], revisions: Mapping[str, Revision] = NONE) -> Known:
    """What the records say now, and the revisions of their tasks: an agent that took over knows no images' ids."""
    each = tuple(records)
    return Known(
        tasks=frozenset(r.task.id for r in each),
        boxed=frozenset(r.task.id for r in each if r.box is not Box.ABSENT),
        moving=frozenset(r.task.id for r in each if r.busy is not None),
        held=frozenset(r.task.id for r in each if r.goal is not Goal.FORGET),
        images=frozenset(_images(each, revisions)),
        networked=frozenset(r.task.id for r in each if r.netns != HOST_NETNS),
    )


def processes(observed: Iterable[Observed]) -> dict[str, Process]:
    """The first processes of containers that have not ended, by their tasks."""
    return {
        each.id: Process(each.pid, each.began)
        for each in observed
        if each.state is not ContainerState.EXITED and each.pid
    }


def _images(records: Iterable[Record], revisions: Mapping[str, Revision]) -> Iterator[str]:
    for record in records:
        if record.image is not None:
            yield record.image.id
        if record.task.revision_id in revisions:
            yield image_reference(revisions[record.task.revision_id].spec.task.container)
