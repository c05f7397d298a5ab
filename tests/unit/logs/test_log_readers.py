"""Logs on their way through a manager: who is asked, what is passed on, what is missing."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from covey import limits
from covey.errors import InvalidArgument, NotFound, PeerFault
from covey.model.objects import Node, Service
from covey.model.states import TaskState
from covey.v1.dispatcher_pb2 import LogOptions, LogSubscription, ManagerMessage
from covey.v1.logs_pb2 import LogRecord, PublishLogsRequest, ReadLogsRequest, ReadLogsResponse
from covey.wire.service import Caller, Role
from manager.logs.server import LogsServer
from manager.store.draft import Draft
from manager.store.driver import Store, Watch
from manager.store.log.fake import Disk, FakeLog
from tests.support.cluster_objects import task

ROOT = Caller(Role.LOCAL)


class Stand:
    """A manager's logs over a real store; agents are the messages they were told."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.told: list[tuple[str, LogSubscription]] = []
        self.away: set[str] = set()
        self.sessions: dict[str, str] = {}
        self.server = LogsServer(store, self._tell, lambda node: self.sessions.get(node, "first"), Random(1))

    def _tell(self, node_id: str, message: ManagerMessage) -> bool:
        if node_id in self.away:
            return False
        self.told.append((node_id, message.log_subscription))
        return True

    async def put(self, *objects: Any) -> None:
        def write(draft: Draft) -> None:
            for item in objects:
                known = draft.get(type(item), item.id)
                draft.put(item if known is None else replace(item, meta=known.meta))

        await self.store.update(write)

    def read(self, **options: Any) -> AsyncIterator[ReadLogsResponse]:
        return self.server._read_logs(ReadLogsRequest(service_id="web", options=LogOptions(**options)), ROOT)

    async def publish(self, index: int, *lines: str, finished: bool = True) -> None:
        node_id, subscription = self.told[index]

        async def requests() -> AsyncIterator[PublishLogsRequest]:
            records = [LogRecord(task_id=subscription.task_ids[0], data=line.encode()) for line in lines]
            yield PublishLogsRequest(
                subscription_id=subscription.subscription_id, records=records, finished=finished
            )

        await self.server._publish_logs(requests(), Caller(Role.WORKER, node_id))


def on_a_stand(scene: Callable[[Stand], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        store = await Store.start(FakeLog(Disk()))
        try:
            stand = Stand(store)
            await stand.put(
                Node(id="n1"),
                Node(id="n2"),
                Service(id="web", name="web"),
                task("t1", "n1", TaskState.RUNNING),
                task("t2", "n2", TaskState.FAILED),
                task("t3", "n2", TaskState.PREPARING),
            )
            async with asyncio.timeout(10):
                await scene(stand)
        finally:
            await store.close()

    asyncio.run(run())


async def drain(responses: AsyncIterator[ReadLogsResponse]) -> tuple[list[str], list[str]]:
    lines, warnings = list[str](), list[str]()
    async for response in responses:
        lines += [record.data.decode() for record in response.records]
        warnings += response.warnings
    return lines, warnings


async def told(stand: Stand, count: int) -> None:
    while len(stand.told) < count:
        await asyncio.sleep(0)


def test_each_agent_is_asked_once_for_the_tasks_that_have_begun() -> None:
    async def scene(stand: Stand) -> None:
        reading = asyncio.create_task(drain(stand.read(tail=5)))
        await told(stand, 2)
        asked = {node: (list(s.task_ids), s.options.tail) for node, s in stand.told}
        assert asked == {"n1": (["t1"], 5), "n2": (["t2"], 5)}
        await stand.publish(0, "one")
        await stand.publish(1, "two")
        assert await reading == (["one", "two"], [])

    on_a_stand(scene)


def test_what_is_missing_is_told() -> None:
    async def scene(stand: Stand) -> None:
        stand.away.add("n2")
        reading = asyncio.create_task(drain(stand.read()))
        await told(stand, 1)
        await stand.publish(0, "one", finished=False)
        lines, warnings = await reading
        assert lines == ["one"]
        assert [w.partition(":")[0] for w in warnings] == [
            "node  is not connected",
            "the logs of node n1 broke off",
        ]

    on_a_stand(scene)


def test_a_follower_sees_tasks_that_come_later_from_their_beginning() -> None:
    async def scene(stand: Stand) -> None:
        reading = asyncio.create_task(drain(stand.read(follow=True, tail=0)))
        await told(stand, 2)
        await stand.put(task("t3", "n2", TaskState.RUNNING))
        await told(stand, 3)
        node_id, late = stand.told[2]
        assert (node_id, list(late.task_ids), late.options.tail) == ("n2", ["t3"], -1)
        await stand.publish(2, "late")
        for index in (0, 1):
            await stand.publish(index)

        def remove(draft: Draft) -> None:
            draft.delete(Service, "web")

        await stand.store.update(remove)
        assert await reading == (["late"], [])

    on_a_stand(scene)


def test_a_reader_who_leaves_has_the_agents_stop() -> None:
    async def scene(stand: Stand) -> None:
        reading = asyncio.create_task(drain(stand.read(follow=True)))
        await told(stand, 2)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await told(stand, 4)
        assert [s.cancel for _, s in stand.told] == [False, False, True, True]

    on_a_stand(scene)


def test_nobody_publishes_what_was_not_asked_of_them() -> None:
    async def scene(stand: Stand) -> None:
        reading = asyncio.create_task(drain(stand.read()))
        await told(stand, 2)
        stand.told.append(("n9", stand.told[0][1]))
        with pytest.raises(InvalidArgument, match="nobody asked"):
            await stand.publish(2, "forged")
        for index in (0, 1):
            await stand.publish(index)
        assert await reading == ([], [])

    on_a_stand(scene)


def test_logs_of_nothing_are_refused() -> None:
    async def scene(stand: Stand) -> None:
        for request in (ReadLogsRequest(service_id="none"), ReadLogsRequest(task_id="none")):
            with pytest.raises(NotFound):
                await drain(stand.server._read_logs(request, ROOT))

    on_a_stand(scene)


def test_nobody_speaks_for_another_nodes_tasks() -> None:
    async def scene(stand: Stand) -> None:
        reading = asyncio.create_task(drain(stand.read()))
        await told(stand, 2)
        stand.told[0][1].task_ids[:] = ["t2"]
        with pytest.raises(PeerFault, match="'t2', which it was not asked for"):
            await stand.publish(0, "forged")
        await stand.publish(1, "two")
        lines, warnings = await reading
        assert (lines, len(warnings)) == (["two"], 1)

    on_a_stand(scene)


def test_an_agent_that_goes_before_it_answers_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "log_source_look_s", 0.05)

    async def scene(stand: Stand) -> None:
        reading = asyncio.create_task(drain(stand.read()))
        await told(stand, 2)
        stand.sessions["n2"] = "second"
        await asyncio.sleep(0.2)
        await stand.publish(0, "one")
        lines, warnings = await reading
        assert (lines, warnings) == (["one"], ["node  went away: the logs of 1 tasks are missing"])

    on_a_stand(scene)


def test_a_follower_that_fell_behind_misses_no_task(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(stand: Stand) -> None:
        watch = stand.store.watch

        def short() -> Watch:
            stand.store.watch = watch  # type: ignore[method-assign]
            return watch(1)

        stand.store.watch = short  # type: ignore[assignment,method-assign]
        reading = asyncio.create_task(drain(stand.read(follow=True)))
        await told(stand, 2)
        puts = [stand.put(Node(id=f"n{n}")) for n in range(3, 9)]
        await asyncio.gather(*puts, stand.put(task("t3", "n2", TaskState.RUNNING)))
        await told(stand, 3)
        assert list(stand.told[2][1].task_ids) == ["t3"]
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading

    on_a_stand(scene)


def test_a_reader_who_leaves_holds_up_no_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(stand: Stand) -> None:
        responses = stand.read(follow=True)
        first = asyncio.ensure_future(anext(responses))
        await told(stand, 2)
        node_id, subscription = stand.told[0]

        async def requests() -> AsyncIterator[PublishLogsRequest]:
            while True:
                record = LogRecord(task_id="t1", data=b"much")
                yield PublishLogsRequest(subscription_id=subscription.subscription_id, records=[record])

        publishing = asyncio.create_task(stand.server._publish_logs(requests(), Caller(Role.WORKER, node_id)))
        await first
        await asyncio.sleep(0.05)
        assert not publishing.done(), "it waits for the reader"
        await responses.aclose()  # type: ignore[attr-defined]
        await publishing

    on_a_stand(scene)
