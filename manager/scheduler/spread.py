"""Spread preferences: equally over the values of a label, then over those of the next, then over nodes."""

from collections.abc import Sequence

from covey.model.objects import Node
from covey.model.specs import SpreadPreference

from .fleet import Host
from .pour import Vessel, pour

Seat = tuple[Host, Vessel]
"""A node with room, as the group to be placed sees it."""


def distribute(seats: Sequence[Seat], preferences: Sequence[SpreadPreference], amount: int) -> list[int]:
    """Say how many tasks each seat gets; seats keep their order. A node without the label has value ""."""
    if not preferences:
        return pour([vessel for _, vessel in seats], amount)
    branches: dict[str, list[int]] = {}
    for place, (host, _) in enumerate(seats):
        branches.setdefault(_value(host.node, preferences[0].spread), []).append(place)
    values = sorted(branches)
    shares = pour([_together(seats, branches[value]) for value in values], amount)
    given = [0] * len(seats)
    for value, share in zip(values, shares, strict=True):
        if share:
            places = branches[value]
            inner = distribute([seats[place] for place in places], preferences[1:], share)
            for place, number in zip(places, inner, strict=True):
                given[place] = number
    return given


def _together(seats: Sequence[Seat], places: Sequence[int]) -> Vessel:
    vessels = [seats[place][1] for place in places]
    return Vessel(sum(v.tasks for v in vessels), sum(v.total for v in vessels), sum(v.room for v in vessels))


def _value(node: Node, spread: str) -> str:
    for prefix, labels in (
        ("node.labels.", node.spec.labels),
        ("engine.labels.", node.description.engine_labels),
    ):
        if spread.lower().startswith(prefix):
            return labels.get(spread[len(prefix) :], "")
    return ""  # the API admits no other; were there one, it would prefer nothing
