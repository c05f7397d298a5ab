"""Rehearsing what the store holds now, beside all that the manager does."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from covey.model.objects import Revision, Service
from covey.model.specs import ServiceSpec
from covey.v1.control_pb2 import PlanStep
from manager.store.draft import Draft
from manager.store.io.aside import Aside, GivenUp
from manager.store.tables import Tables

from .account import Account, outcome, rollout_of
from .stage import Stage

Make = Callable[[Draft, Random], str]
"""Write the change into a draft, rolling these dice; return the id of its service."""


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What would come of a change. `before` is the spec that was current, None if the service is new."""

    before: ServiceSpec | None
    after: ServiceSpec
    steps: list[PlanStep]
    rollout: str
    warnings: list[str]


class Rehearsals:
    """Rehearses what people ask for."""

    def __init__(self, aside: Aside, dice: Random) -> None:
        self._aside = aside
        self._dice = dice

    async def rehearse(self, make: Make) -> Rehearsed:
        """Say what would come of a change to what the store holds now. Raises what `make` raises."""
        dice, now_ns = Random(self._dice.getrandbits(64)), time.time_ns()  # noqa: S311  of ids that nobody keeps
        return await self._aside.work(
            lambda tables, given_up: rehearse_on(tables, make, dice, now_ns, given_up)
        )


def rehearse_on(tables: Tables, make: Make, dice: Random, now_ns: int, given_up: GivenUp) -> Rehearsed:
    """Rehearse on tables that are nobody else's."""
    stage = Stage(tables, dice, now_ns)
    service_id, before = stage.make(lambda draft: make(draft, dice))
    account = Account(stage.tables, _present(stage.tables, service_id))
    stage.note = account.note
    ended = stage.play(service_id, given_up)
    service = _present(stage.tables, service_id)
    revision = stage.tables.get(Revision, service.revision_id)
    assert revision is not None, "the current revision of a service is there"
    steps = account.steps(service)
    return Rehearsed(
        before.spec if before is not None else None,
        revision.spec,
        steps,
        rollout_of(revision.spec, steps, back=bool(revision.restores)),
        outcome(service, ended=ended),
    )


def _present(tables: Tables, service_id: str) -> Service:
    service = tables.get(Service, service_id)
    assert service is not None, "what is rehearsed is there before, and is not removed"
    return service
