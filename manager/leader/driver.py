"""The leader in motion: commits come in, transactions go out."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from random import Random

from covey import errors, limits
from covey.io.clock import now_ms
from covey.machine import Tick
from covey.model.objects import Task
from manager.store.driver import Store, Watch
from manager.store.watch import Lagged

from .machine import Changed, Commit, Committed, Leader, Refused, Took

_log = logging.getLogger(__name__)


async def lead(store: Store, dice: Random, begun: Callable[[Leader], None] = lambda _: None) -> None:
    """Plan until cancelled, or until the store is closed; raises what stops the store, if that was a failure."""
    while True:
        watch = store.watch()
        try:
            leader = Leader(store, dice, now_ms(), time.time_ns, in_turns=True)
            _index, objects = store.objects()  # as of the watch, which was opened in the same breath
            for _turn in leader.read(objects):
                await asyncio.sleep(0)
            begun(leader)
            await _plan(store, watch, leader)
            return
        except Lagged as error:
            _log.warning("the leader starts anew: %s", error)
        finally:
            watch.close()


async def _plan(store: Store, watch: Watch, leader: Leader) -> None:
    news = asyncio.ensure_future(watch.batch())
    committing: asyncio.Task[int] | None = None
    try:
        while True:
            for effect in await _turn(store, leader):
                committing = asyncio.create_task(store.commit(effect.transaction), name="covey-plan")
            waiting = {news} if committing is None else {news, committing}
            await asyncio.wait(waiting, timeout=_pause_s(leader), return_when=asyncio.FIRST_COMPLETED)
            if news.done():
                commits = news.result()
                if not commits:
                    return
                for commit in commits:
                    leader.step(Changed(commit))
                news = asyncio.ensure_future(watch.batch())
            if committing is not None and committing.done():
                leader.step(_outcome(committing))
                committing = None
    finally:
        news.cancel()
        if committing is not None:
            committing.cancel()


async def _turn(store: Store, leader: Leader) -> Sequence[Commit]:
    """Have a planner take its turn: in another thread, if that may take long.

    That one shares the interpreter, but lets go of it every few milliseconds (`sys.getswitchinterval`): heartbeats of
    managers and agents go on. What it reads must not change meanwhile, so the store holds still.
    """
    if store.count(Task) < limits.planner_thread_tasks:
        return leader.step(Tick(now_ms()))
    async with store.still():
        begun = time.monotonic()
        working = asyncio.ensure_future(asyncio.to_thread(leader.step, Tick(now_ms())))
        try:
            effects = await asyncio.shield(working)
        except asyncio.CancelledError:
            await asyncio.wait((working,))  # it cannot be interrupted, and reads the store
            raise
    leader.step(Took((time.monotonic() - begun) * 1000))
    return effects


def _outcome(committing: asyncio.Task[int]) -> Committed | Refused:
    try:
        committing.result()
    except errors.Refused as error:
        level = logging.DEBUG if isinstance(error, errors.Conflict) else logging.WARNING
        _log.log(level, "a plan was refused: %s", error)
        return Refused(error)
    return Committed()


def _pause_s(leader: Leader) -> float | None:
    wake_at_ms = leader.wake_at_ms
    return None if wake_at_ms is None else max(wake_at_ms - now_ms(), 0) / 1000
