"""Pouring: spread a number over vessels so that they end up as equally full as their room allows.

Like water: find the level up to which everything can be filled, fill to it, and give what is left, one
each, to those at the level that are least loaded otherwise. Costs a few passes over the vessels, however
many tasks there are.
"""

from collections.abc import Sequence
from typing import NamedTuple


class Vessel(NamedTuple):
    """A node or a branch of nodes: tasks of the service, tasks in all, and how many more it takes."""

    tasks: int
    total: int
    room: int


def pour(vessels: Sequence[Vessel], amount: int) -> list[int]:
    """Say how much each vessel gets; less than `amount` in all only if there is no more room.

    Of two equals the one that comes first is served first.
    """
    if amount == 1:
        return _one(vessels)
    amount = min(amount, sum(vessel.room for vessel in vessels))
    if amount <= 0:
        return [0] * len(vessels)
    low = min(v.tasks for v in vessels if v.room)  # filling to here is free
    high = max(v.tasks for v in vessels if v.room) + amount + 1  # filling to here is too much
    while high - low > 1:
        middle = (low + high) // 2
        if _needed(vessels, middle) <= amount:
            low = middle
        else:
            high = middle
    given = [min(v.room, max(0, low - v.tasks)) for v in vessels]
    left = amount - sum(given)
    at_level = [n for n, v in enumerate(vessels) if v.tasks <= low and given[n] < v.room]
    at_level.sort(key=lambda n: (vessels[n].total + given[n], n))
    for n in at_level[:left]:
        given[n] += 1
    assert sum(given) == amount, "everything that has room is poured"
    return given


def _needed(vessels: Sequence[Vessel], level: int) -> int:
    return sum(min(v.room, level - v.tasks) for v in vessels if v.tasks < level)


def _one(vessels: Sequence[Vessel]) -> list[int]:
    given = [0] * len(vessels)
    best = min(
        (n for n, v in enumerate(vessels) if v.room > 0),
        key=lambda n: (vessels[n].tasks, vessels[n].total),
        default=None,
    )
    if best is not None:
        given[best] = 1
    return given
