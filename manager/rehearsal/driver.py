"""Rehearsing what the store holds now, beside all that the manager does."""

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from random import Random

from covey import limits
from covey.errors import Unavailable
from covey.model.objects import Revision, Service
from covey.model.specs import ServiceSpec
from covey.v1.control_pb2 import PlanStep
from manager.store.draft import Draft
from manager.store.driver import Store
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
    """Rehearses one change after another: each takes a copy of the store, and a core for a while."""

    def __init__(self, store: Store, dice: Random) -> None:
        self._store = store
        self._dice = dice
        self._stage = asyncio.Lock()

    async def rehearse(self, make: Make) -> Rehearsed:
        """Say what would come of a change to what the store holds now. Raises what `make` raises.

        The work is done in another thread, which lets go of the interpreter every few milliseconds. It ends when
        nobody waits for it any more.
        """
        try:
            async with asyncio.timeout(limits.rehearsal_wait_s):
                await self._stage.acquire()
        except TimeoutError:
            raise Unavailable(
                f"other plans have taken longer than {limits.rehearsal_wait_s:g} s; ask again"
            ) from None
        nobody_waits = threading.Event()
        try:
            index, objects = self._store.objects()
            until_s = time.monotonic() + limits.rehearsal_s
            working = asyncio.ensure_future(
                asyncio.to_thread(
                    rehearse_on,
                    lambda: Tables(index, chain.from_iterable(rows.values() for rows in objects.values())),
                    make,
                    Random(self._dice.getrandbits(64)),  # noqa: S311
                    time.time_ns(),
                    lambda: nobody_waits.is_set() or time.monotonic() > until_s,
                )
            )
            try:
                return await asyncio.shield(working)
            except asyncio.CancelledError:
                nobody_waits.set()
                await asyncio.wait((working,))
                raise
        finally:
            self._stage.release()


def rehearse_on(
    tables: Callable[[], Tables], make: Make, dice: Random, now_ns: int, given_up: Callable[[], bool]
) -> Rehearsed:
    """Rehearse on tables that are nobody else's."""
    stage = Stage(tables(), dice, now_ns)
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
        rollout_of(revision.spec, steps),
        outcome(service, ended=ended),
    )


def _present(tables: Tables, service_id: str) -> Service:
    service = tables.get(Service, service_id)
    assert service is not None, "what is rehearsed is there before, and is not removed"
    return service
