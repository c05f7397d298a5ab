"""Having stale connections forgotten soon: a walk of the tracking table is too long to wait for."""

import asyncio
from collections.abc import Callable, Collection, Coroutine
from functools import partial

from .. import sweep
from ..desired import Facts
from . import conntrack
from .places import Places

InTurn = Callable[[Callable[[], None]], Coroutine[None, None, None]]
"""Have something done on the networks' own thread, in its turn."""


class Sweeper:
    """Sweeps one namespace per turn, so that attaches and tables go in between.

    `facts` gives those of now, None if nobody knows; `stands` tells whether a namespace is there.
    """

    def __init__(
        self,
        places: Places,
        in_turn: InTurn,
        facts: Callable[[], Facts | None],
        stands: Callable[[str], bool],
    ) -> None:
        self._places = places
        self._in_turn = in_turn
        self._facts = facts
        self._stands = stands
        self._unswept: set[str] = set()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def sweep(self, network_ids: Collection[str]) -> None:
        """Have swept what networks show in, soon."""
        self._unswept |= set(network_ids)
        if not self._closed and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self._sweep_all())

    async def settled(self) -> None:
        """Wait until all that was asked for is swept."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def close(self) -> None:
        """Sweep no more."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _sweep_all(self) -> None:
        while self._unswept:
            facts, ids = self._facts(), frozenset(self._unswept)
            self._unswept.clear()
            for each in sweep.places(facts, ids) if facts is not None else ():
                await self._in_turn(partial(self._sweep_one, each, ids))

    def _sweep_one(self, netns: str, network_ids: frozenset[str]) -> None:
        facts = self._facts()
        if facts is None or not self._stands(netns):
            return
        found = sweep.of_place(facts, netns, network_ids)
        if found is not None:
            conntrack.sweep(self._places, found)
