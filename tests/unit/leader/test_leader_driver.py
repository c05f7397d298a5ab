"""The leader on a real store (its log in memory)."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

import pytest
from msgspec.structs import replace

from covey import limits
from covey.model.objects import Cluster, Node, NodeStatus, Service, Task
from covey.model.specs import ServiceMode, ServiceSpec
from covey.model.states import NodeState, TaskState
from manager.leader.driver import lead
from manager.orchestrator.revisions import adopt, first_revision
from manager.store.draft import Draft
from manager.store.driver import Store
from manager.store.log.fake import FakeLog
from manager.store.watch import Lagged


async def until(store: Store, true: Callable[[], object]) -> None:
    watch = store.watch()
    async with asyncio.timeout(20):
        while not true():
            await watch.batch()
    watch.close()


def with_leader(story: Callable[[Store], Awaitable[None]]) -> None:
    async def play() -> None:
        store = await Store.start(FakeLog())
        leading = asyncio.create_task(lead(store, Random(1)))
        try:
            await story(store)
        finally:
            leading.cancel()
            await asyncio.wait([leading])
            await store.close()

    asyncio.run(play())


def create(draft: Draft) -> None:
    draft.put(Cluster(id="c"))
    draft.put(Node(id="n", status=NodeStatus(state=NodeState.READY)))
    revision = first_revision("s", ServiceSpec(name="web", mode=ServiceMode(replicas=3)), Random(2))
    draft.put(revision)
    draft.put(adopt(Service(id="s", name="web"), None, revision))


def test_a_service_is_planned_and_removed() -> None:
    async def story(store: Store) -> None:
        await store.update(create)
        await until(store, lambda: [t.status.state for t in store.all(Task)] == [TaskState.ASSIGNED] * 3)

        def remove(draft: Draft) -> None:
            service = draft.get(Service, "s")
            assert service is not None
            draft.put(replace(service, pending_delete=True))
            for task in draft.all(Task):
                draft.put(replace(task, status=replace(task.status, state=TaskState.FAILED)))

        await store.update(remove)
        await until(store, lambda: store.get(Service, "s") is None)
        assert list(store.all(Task)) == []

    with_leader(story)


def test_a_leader_that_fell_behind_starts_anew() -> None:
    async def story(store: Store) -> None:
        await asyncio.sleep(0)
        for watch in list(store._watches):
            watch.end(Lagged("too slow"))
        await store.update(create)
        await until(store, lambda: len(list(store.all(Task))) == 3)

    with_leader(story)


def test_leading_ends_with_the_store() -> None:
    async def play() -> None:
        store = await Store.start(FakeLog())
        leading = asyncio.create_task(lead(store, Random(1)))
        await asyncio.sleep(0)
        await store.close()
        async with asyncio.timeout(10):
            await leading

    asyncio.run(play())


def test_planners_in_another_thread_plan_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "planner_thread_tasks", 0)
    test_a_service_is_planned_and_removed()


def test_nothing_is_applied_while_another_thread_reads() -> None:
    async def run() -> None:
        store = await Store.start(FakeLog())
        async with store.still():
            writing = asyncio.create_task(store.update(lambda draft: draft.put(Node(id="n"))))
            await asyncio.sleep(0.05)
            assert store.get(Node, "n") is None
            assert store.count(Node) == 0
        await writing
        assert store.count(Node) == 1
        await store.close()

    asyncio.run(run())
