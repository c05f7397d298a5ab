"""A watch through a manager that is cut off: it says so, instead of being silent."""

import asyncio
from random import Random

import pytest

from covey import limits
from covey.errors import Unavailable
from covey.model.objects import Cluster, Revision, Service
from covey.v1 import control_pb2
from covey.wire.service import Caller, Role
from manager.control.services.server import ServiceServer
from manager.store.draft import Draft
from manager.store.driver import Store
from manager.store.log.fake import FakeLog


async def _nobody(*_: object) -> str:
    raise AssertionError("nobody asks for this here")


def test_a_watch_ends_where_no_leader_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "leader_missed_ms", 40)

    async def run() -> None:
        log = FakeLog()
        store = await Store.start(log)

        def fill(draft: Draft) -> None:
            draft.put(Cluster(id="c"))
            draft.put(Revision(id="r", service_id="s"))
            draft.put(Service(id="s", name="web", revision_id="r"))

        await store.update(fill)
        control = ServiceServer(store, Random(1), _nobody, "")
        request = control_pb2.WatchServiceRequest(service_id="s")
        async with asyncio.timeout(20):
            watching = control._watch_service(request, Caller(Role.LOCAL))
            stale = control._watch_service(request, Caller(Role.LOCAL, stale=True))
            assert (await anext(watching)).detail.service.id == "s"
            assert (await anext(stale)).detail.service.id == "s"
            more = asyncio.ensure_future(anext(watching))
            even_more = asyncio.ensure_future(anext(stale))
            await asyncio.sleep(0.2)
            assert not more.done()
            log.part()
            with pytest.raises(Unavailable, match="hears of no leader"):
                await more
            await asyncio.sleep(0.1)
            assert not even_more.done()
            even_more.cancel()
            await asyncio.gather(even_more, return_exceptions=True)
        await store.close()

    asyncio.run(run())
