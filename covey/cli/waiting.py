"""Waiting until a service has converged, within a bound."""

import asyncio
from contextlib import aclosing

from covey import limits
from covey.client.cluster import ClusterClient
from covey.client.views import Progress
from covey.errors import CoveyError, FailedPrecondition, NotFound, Unavailable

from .show.converge import Asked, assess
from .show.progress import Screen
from .show.verdict import Verdict


async def converge(
    cluster: ClusterClient, service_id: str, asked: Asked, screen: Screen, bound_s: float
) -> Progress:
    """Return once the service has been what was asked for, for a while, without a break; returns that moment.

    Raises FailedPrecondition when the managers have given up on an update, or the bound is reached; NotFound
    when the service is removed; Unavailable when the manager is lost. The service goes on in all cases.
    """
    loop = asyncio.get_running_loop()
    watching = _Watching(cluster, service_id)
    pump = loop.create_task(watching.run())
    try:
        with screen:
            return await _until_steady(watching, asked, screen, loop.time() + bound_s, bound_s)
    finally:
        pump.cancel()
        await asyncio.gather(pump, return_exceptions=True)


async def _until_steady(
    watching: "_Watching", asked: Asked, screen: Screen, deadline: float, bound_s: float
) -> Progress:
    loop = asyncio.get_running_loop()
    steady_at: float | None = None
    while True:
        moment = watching.moment()
        now = loop.time()
        if moment is not None:
            verdict = assess(moment, asked)
            if verdict.failed:
                raise FailedPrecondition(verdict.failed)
            steady_at = (steady_at or now + limits.converge_stable_ms / 1000) if verdict.converged else None
            screen.show(verdict, 0 if verdict.final else (steady_at or now) - now)
            if steady_at is not None and (verdict.final or now >= steady_at):
                return moment
        if now >= deadline:
            raise FailedPrecondition(_too_late(moment, asked, bound_s))
        await watching.news(min(deadline, steady_at or deadline, now + 1) - now)


def _too_late(moment: Progress | None, asked: Asked, bound_s: float) -> str:
    if moment is None:
        return f"nothing was heard of the service for {bound_s:.0f} s; it goes on in the background"
    verdict: Verdict = assess(moment, asked)
    name = moment.detail.service.name
    return (
        f"after {bound_s:.0f} s it is not done ({verdict.overall or 'not all tasks run'}); the service goes on in the "
        f"background, and `covey service why {name}` says what it waits for"
    )


class _Watching:
    """Keeps the newest moment of a watch: what nobody looked at in between is of no interest."""

    def __init__(self, cluster: ClusterClient, service_id: str) -> None:
        self._cluster = cluster
        self._service_id = service_id
        self._news = asyncio.Event()
        self._newest: Progress | None = None
        self._ended: CoveyError | None = None

    async def run(self) -> None:
        """Watch; a manager that is being restarted is given some time to come back."""
        lost_at: float | None = None
        loop = asyncio.get_running_loop()
        while self._ended is None:
            try:
                async with aclosing(self._cluster.watch_service(self._service_id)) as moments:
                    async for moment in moments:
                        self._newest, lost_at = moment, None
                        self._news.set()
                self._ended = NotFound("the service was removed while waiting for it")
            except Unavailable as error:
                lost_at = loop.time() if lost_at is None else lost_at
                if loop.time() - lost_at >= limits.converge_reconnect_s:
                    self._ended = Unavailable(f"{error}; the service goes on in the background")
                else:
                    await asyncio.sleep(limits.reconnect_backoff_ms_min / 1000)
            except CoveyError as error:
                self._ended = error
        self._news.set()

    def moment(self) -> Progress | None:
        if self._ended is not None:
            raise self._ended
        return self._newest

    async def news(self, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await self._news.wait()
        except TimeoutError:
            return
        self._news.clear()
