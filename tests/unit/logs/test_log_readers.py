"""Logs on their way through a manager: who is asked, what is passed on, what is missing."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from covey.errors import InvalidArgument, NotFound
from covey.model.objects import Node, Service
from covey.model.states import TaskState
from covey.v1.dispatcher_pb2 import LogOptions, LogSubscription, ManagerMessage
from covey.v1.logs_pb2 import LogRecord, PublishLogsRequest, ReadLogsRequest, ReadLogsResponse
from covey.wire.service import Caller, Role
from manager.logs.server import LogsServer
from manager.store.draft import Draft
from manager.store.driver import Store
from manager.store.log.fake import Disk, FakeLog
from tests.support.cluster_objects import task

ROOT = Caller(Role.LOCAL)


class Stand:
    """A manager's logs over a real store; agents are the messages they were told."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.told: list[tuple[str, LogSubscription]] = []
        self.away: set[str] = set()
        self.server = LogsServer(store, self._tell, Random(1))

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
