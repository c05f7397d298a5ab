"""Waiting until a service has converged, within a bound."""

import asyncio
from contextlib import aclosing

from covey import limits
from covey.client.cluster import ClusterClient
from covey.client.views import Progress
from covey.errors import CoveyError, FailedPrecondition, NotFound, Unavailable

from .show.converge import Verdict, assess
from .show.progress import Screen


async def converge(
    cluster: ClusterClient, service_id: str, restarts: bool, screen: Screen, bound_s: float
) -> None:
    """Return once the service has been what was asked for, for a while, without a break.

    Raises FailedPrecondition when the managers have given up on an update, or the bound is reached; NotFound
    when the service is removed; Unavailable when the manager is lost. The service goes on in all cases.
    """
    loop = asyncio.get_running_loop()
    watching = _Watching(cluster, service_id)
    pump = loop.create_task(watching.run())
    try:
        with screen:
            await _until_steady(watching, restarts, screen, loop.time() + bound_s, bound_s)
    finally:
        pump.cancel()
        await asyncio.gather(pump, return_exceptions=True)


async def _until_steady(
    watching: "_Watching", restarts: bool, screen: Screen, deadline: float, bound_s: float
) -> None:
    loop = asyncio.get_running_loop()
    steady_at: float | None = None
    while True:
        verdict = watching.verdict(restarts)
        now = loop.time()
        if verdict is not None:
            if verdict.failed:
                raise FailedPrecondition(verdict.failed)
            steady_at = (steady_at or now + limits.converge_stable_ms / 1000) if verdict.converged else None
            screen.show(verdict, (steady_at or now) - now)
            if steady_at is not None and now >= steady_at:
                return
        if now >= deadline:
            raise FailedPrecondition(
                f"not all tasks run after {bound_s:.0f} s; the service goes on in the background"
            )
        await watching.news(min(deadline, steady_at or deadline, now + 1) - now)


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

    def verdict(self, restarts: bool) -> Verdict | None:
        if self._ended is not None:
            raise self._ended
        return None if self._newest is None else assess(self._newest, restarts)

    async def news(self, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await self._news.wait()
        except TimeoutError:
            return
        self._news.clear()
