"""Work on a copy of what the store holds, in another thread, while the manager goes on.

For what people ask that would hold up heartbeats and writes: plans and explanations of large clusters.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from itertools import chain
from typing import TypeVar

from covey import limits
from covey.errors import Unavailable
from manager.store.driver import Store
from manager.store.tables import Tables

R = TypeVar("R")
GivenUp = Callable[[], bool]
"""Tell whether to end early: nobody waits for the result any more, or its time is up."""


class Aside:
    """One piece of work at a time: each takes a copy of the store, and a core for a while."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._turn = asyncio.Lock()

    async def work(self, what: Callable[[Tables, GivenUp], R]) -> R:
        """Do `what` with tables of its own, which hold what the store holds now; raises what it raises.

        The thread lets go of the interpreter every few milliseconds (`sys.getswitchinterval`).
        """
        try:
            async with asyncio.timeout(limits.aside_wait_s):
                await self._turn.acquire()
        except TimeoutError:
            raise Unavailable(
                f"other plans and explanations took longer than {limits.aside_wait_s:g} s; ask again"
            ) from None
        try:
            return await self._work(what)
        finally:
            self._turn.release()

    async def _work(self, what: Callable[[Tables, GivenUp], R]) -> R:
        index, objects = self._store.objects()
        until_s = time.monotonic() + limits.aside_s
        nobody_waits = threading.Event()

        def in_thread() -> R:
            tables = Tables(index, chain.from_iterable(rows.values() for rows in objects.values()))
            return what(tables, lambda: nobody_waits.is_set() or time.monotonic() > until_s)

        working = asyncio.ensure_future(asyncio.to_thread(in_thread))
        try:
            return await asyncio.shield(working)
        except asyncio.CancelledError:
            nobody_waits.set()
            await asyncio.wait((working,))  # it cannot be interrupted, and sees that within a round
            raise
