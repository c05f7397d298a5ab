"""What the agent knows of its tasks, as far as audits ask."""

from collections.abc import Iterable
from dataclasses import dataclass

from agent.tasks.lifecycle import Box, Goal
from agent.tasks.record import Record


@dataclass(frozen=True, slots=True)
class Known:
    """`tasks` are all that the node has to do with, `boxed` those with a container.

    Something is being done about those in `moving`: of them nothing can be said. `held` are those that the managers
    have not forgotten.
    """

    tasks: frozenset[str] = frozenset()
    boxed: frozenset[str] = frozenset()
    moving: frozenset[str] = frozenset()
    held: frozenset[str] = frozenset()
    images: frozenset[str] = frozenset()


def known(records: Iterable[Record]) -> Known:
    """What the records say now."""
    each = tuple(records)
    return Known(
        tasks=frozenset(r.task.id for r in each),
        boxed=frozenset(r.task.id for r in each if r.box is not Box.ABSENT),
        moving=frozenset(r.task.id for r in each if r.busy is not None),
        held=frozenset(r.task.id for r in each if r.goal is not Goal.FORGET),
        images=frozenset(r.image.id for r in each if r.image is not None),
    )
