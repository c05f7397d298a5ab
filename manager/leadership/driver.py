"""Runs what a leader does, for as long as it leads."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from covey import limits
from covey.errors import LogFailed, NotLeader, Unavailable
from manager.store.driver import Store
from manager.store.log.seam import Standing

log = logging.getLogger(__name__)

Serve = Callable[[Standing], Awaitable[None]]
"""What a leader does, until it is cancelled. It may end by itself when the store is closed."""


async def while_leading(store: Store, serve: Serve) -> None:
    """Have `serve` run whenever this manager leads, until cancelled or until the log ends (and raise what ended it).

    Raises what `serve` raises, unless it is that leadership was lost. If it was not (it was to be handed over, and
    nobody took it), `serve` begins anew.
    """
    standing = store.standing
    while True:
        while not standing.leads:
            standing = await store.standing_after(standing)
        await _one_term(store, serve, standing)
        standing = store.standing
        if standing.leads:
            log.info("this manager leads on, and begins anew")
            continue
        others = f"node {standing.leader} does" if standing.leader else "nobody does, as far as it knows"
        log.info("this manager does not lead any more; %s", others)


async def _one_term(store: Store, serve: Serve, standing: Standing) -> None:
    serving = asyncio.create_task(_begin(store, serve, standing), name="leader")
    losing = asyncio.create_task(_lost(store, standing), name="leadership")
    try:
        await asyncio.wait((serving, losing), return_when=asyncio.FIRST_COMPLETED)
        if not losing.done() and _may_mean_loss(serving):
            # The log refused before it said that another one leads: it is about to.
            await asyncio.wait((losing,), timeout=limits.leadership_doubt_ms / 1000)
        if not losing.done() and not _was_refused(serving):
            serving.result()
            await losing  # the store is closing
    finally:
        for task in (serving, losing):
            task.cancel()
        await asyncio.wait((serving, losing))
    if not serving.cancelled() and (error := serving.exception()) is not None:
        _pass_over(error)
    if not losing.cancelled():
        losing.result()


async def _begin(store: Store, serve: Serve, standing: Standing) -> None:
    # However far it lags: nobody else could do better.
    await store.reach(standing.since, timeout_s=None)
    log.info("this manager leads (term %s, from index %s)", standing.term, store.index)
    await serve(standing)


async def _lost(store: Store, standing: Standing) -> None:
    """Wait until this manager no longer leads in the term of `standing`."""
    now = store.standing
    while now.leads and now.term == standing.term:
        now = await store.standing_after(now)


def _may_mean_loss(serving: asyncio.Task[None]) -> bool:
    error = serving.exception()
    return error is not None and _is_loss(error)


def _was_refused(serving: asyncio.Task[None]) -> bool:
    """Tell whether the log only refused for a while: nobody took the lead that was to be handed over."""
    error = serving.exception()
    return error is not None and _is_loss(error, NotLeader)


def _is_loss(error: BaseException, kind: type[Unavailable] = Unavailable) -> bool:
    """Tell whether an error says no more than that nobody takes what this manager proposes."""
    if isinstance(error, BaseExceptionGroup):
        return all(_is_loss(each, kind) for each in error.exceptions)
    return isinstance(error, kind | asyncio.CancelledError) and not isinstance(error, LogFailed)


def _pass_over(error: BaseException) -> None:
    if not _is_loss(error):
        raise error
    log.info("what the leader had begun is left for later: %s", error)
