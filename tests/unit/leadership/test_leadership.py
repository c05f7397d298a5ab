"""What only a leader does: when it begins, when it ends, and which failures are none."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from covey.errors import Bug, LogFailed, NotLeader, Unavailable
from covey.model.objects import Task
from manager.leadership import while_leading
from manager.store.driver import Store
from manager.store.log.fake import Disk, FakeLog
from manager.store.log.seam import Standing


class Stand:
    """A store whose log says who leads, and a note of what the leader's part did."""

    def __init__(self, log: FakeLog, store: Store) -> None:
        self.log, self.store = log, store
        self.began: list[Standing] = []
        self.ended: list[str] = []
        self.failure: BaseException | None = None
        self.fail = asyncio.Event()

    async def serve(self, standing: Standing) -> None:
        self.began.append(standing)
        try:
            await self.fail.wait()
            assert self.failure is not None
            raise self.failure
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise

    async def until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            await asyncio.sleep(0.001)


def on_a_stand(scene: Callable[[Stand, "asyncio.Task[None]"], Awaitable[None]], leads: bool = True) -> None:
    async def run() -> None:
        log = FakeLog(Disk(), leads=leads)
        store = await Store.start(log)
        stand = Stand(log, store)
        running = asyncio.create_task(while_leading(store, stand.serve))
        try:
            async with asyncio.timeout(20):
                await scene(stand, running)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await store.close()

    asyncio.run(run())


def test_it_begins_with_leadership_and_ends_with_it() -> None:
    async def scene(stand: Stand, running: "asyncio.Task[None]") -> None:
        await asyncio.sleep(0.01)
        assert not stand.began
        stand.log.lead()
        await stand.until(lambda: len(stand.began) == 1)
        stand.log.part()
        await stand.until(lambda: stand.ended == ["cancelled"])
        stand.log.lead()
        await stand.until(lambda: len(stand.began) == 2)
        stand.log.follow("n2")
        await stand.until(lambda: len(stand.ended) == 2)
        assert stand.began[0].term < stand.began[1].term
        assert not running.done()

    on_a_stand(scene, leads=False)


def test_a_term_lost_and_won_again_between_two_looks_is_another_one() -> None:
    async def scene(stand: Stand, running: "asyncio.Task[None]") -> None:
        await stand.until(lambda: len(stand.began) == 1)
        stand.log.part()
        stand.log.lead()
        await stand.until(lambda: len(stand.began) == 2)
        assert stand.ended == ["cancelled"]

    on_a_stand(scene)


def test_it_begins_only_with_everything_applied() -> None:
    async def scene(stand: Stand, running: "asyncio.Task[None]") -> None:
        other = await Store.start(FakeLog(stand.log.disk))
        draft = other.draft()
        draft.put(Task(id="t"))
        await other.commit(draft.transaction())
        stand.log.lead()
        await stand.until(lambda: bool(stand.began))
        assert stand.store.get(Task, "t") is not None
        assert stand.store.index >= stand.began[0].since == 1
        await other.close()

    on_a_stand(scene, leads=False)


@pytest.mark.parametrize(
    "failure", [NotLeader("n2 leads"), Unavailable("nobody knows"), ExceptionGroup("", [NotLeader("x")])]
)
def test_what_fails_because_leadership_is_lost_has_not_failed(failure: Exception) -> None:
    async def scene(stand: Stand, running: "asyncio.Task[None]") -> None:
        await stand.until(lambda: len(stand.began) == 1)
        stand.failure = failure
        stand.fail.set()
        await asyncio.sleep(0.01)
        stand.log.follow("n2")
        stand.fail.clear()
        await asyncio.sleep(0.01)
        stand.log.lead()
        await stand.until(lambda: len(stand.began) == 2)
        assert not running.done()

    on_a_stand(scene)


@pytest.mark.parametrize(
    "failure", [Bug("no"), LogFailed("the disk"), ExceptionGroup("", [NotLeader("x"), Bug("y")])]
)
def test_what_fails_otherwise_ends_the_manager(failure: Exception) -> None:
    async def scene(stand: Stand, running: "asyncio.Task[None]") -> None:
        stand.failure = failure
        stand.fail.set()
        with pytest.raises(type(failure)):
            await running

    on_a_stand(scene)


def test_a_lead_that_nobody_took_over_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("covey.limits.leadership_doubt_ms", 10)

    async def scene(stand: Stand, running: "asyncio.Task[None]") -> None:
        stand.failure = NotLeader("leadership is being handed over")
        stand.fail.set()
        await stand.until(lambda: len(stand.began) == 2)
        assert not running.done()

    on_a_stand(scene)


def test_a_part_that_finds_nobody_though_this_manager_leads_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("covey.limits.leadership_doubt_ms", 10)

    async def scene(stand: Stand, running: "asyncio.Task[None]") -> None:
        stand.failure = Unavailable("the registry sleeps")
        stand.fail.set()
        with pytest.raises(Unavailable, match="registry"):
            await running

    on_a_stand(scene)
