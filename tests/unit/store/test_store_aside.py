"""Plans and explanations are made beside the manager's work: of a copy, in turn, and not for nobody."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from random import Random

import pytest
from msgspec.structs import replace

from covey import limits
from covey.errors import Unavailable
from covey.model.objects import Node, NodeDescription, NodeStatus, Service, Task
from covey.model.specs import ContainerSpec, ServiceMode, ServiceSpec, TaskSpec
from covey.model.states import NodeState
from covey.v1.control_pb2 import PLAN_ACTION_CREATE
from manager.control.services import changes
from manager.explaining.driver import Explanations
from manager.rehearsal.driver import Rehearsals
from manager.store.draft import Draft
from manager.store.driver import Store
from manager.store.io.aside import Aside, GivenUp
from manager.store.log.fake import FakeLog
from manager.store.tables import Tables

WEB = ServiceSpec(
    name="web", task=TaskSpec(container=ContainerSpec(image="web:1")), mode=ServiceMode(replicas=300)
)


def run(test: Awaitable[None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await test

    asyncio.run(bounded())


@asynccontextmanager
async def started(nodes: int = 0) -> AsyncIterator[Store]:
    store = await Store.start(FakeLog(), clock_ns=lambda: 5)
    try:
        if nodes:
            await store.update(lambda draft: _settle(draft, nodes))
        yield store
    finally:
        await store.close()


def _settle(draft: Draft, nodes: int) -> None:
    for name in (f"n{number}" for number in range(nodes)):
        described, status = NodeDescription(hostname=name), NodeStatus(state=NodeState.READY)
        draft.put(Node(id=name, status=status, description=described))


def create(draft: Draft, dice: Random) -> str:
    return changes.create_service(draft, WEB, dice).id


def test_a_plan_is_made_of_one_moment_while_all_goes_on() -> None:
    async def test() -> None:
        async with started(nodes=50) as store:
            rehearsals = Rehearsals(Aside(store), Random(1))
            begun, changed = threading.Event(), threading.Event()

            def make(draft: Draft, dice: Random) -> str:
                begun.set()
                assert changed.wait(30), "the manager waited for the plan"
                return create(draft, dice)

            planning = asyncio.ensure_future(rehearsals.rehearse(make))
            while not begun.is_set():
                await asyncio.sleep(0.001)
            # Nodes change and go, and somebody takes the very name: none of it is in the plan.
            for number in range(20):
                await store.update(lambda draft, id=f"n{number}": _paint(draft, id))  # type: ignore[misc]
            await store.update(lambda draft: draft.delete(Node, "n49"))
            await store.update(lambda draft: changes.create_service(draft, WEB, Random(2)))
            changed.set()
            while not planning.done():  # and on it goes while the planners run
                await store.update(lambda draft: _paint(draft, "n1"))
                await asyncio.sleep(0)
            plan = planning.result()
            assert [step.action for step in plan.steps] == [PLAN_ACTION_CREATE] * 300
            assert len({step.node_name for step in plan.steps}) == 50
            assert len(list(store.all(Service))) == 1, "the one that was really made"
            assert not list(store.all(Task)), "nobody has planned anything in the store itself"
            store._tables.validate()

    run(test())


def _paint(draft: Draft, id: str) -> None:
    node = draft.get(Node, id)
    assert node is not None
    draft.put(replace(node, spec=replace(node.spec, labels={"painted": str(node.meta.version)})))


def test_explanations_are_made_while_all_goes_on_too() -> None:
    async def test() -> None:
        async with started(nodes=50) as store:
            await store.update(lambda draft: changes.create_service(draft, WEB, Random(2)))
            explaining = asyncio.ensure_future(Explanations(Aside(store)).explain("web"))
            await store.update(lambda draft: draft.delete(Node, "n0"))
            assert (await explaining).nodes in (49, 50)  # of before or after, and not of both

    run(test())


def test_one_is_made_at_a_time_and_who_waits_too_long_hears_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "aside_wait_s", 0.01)

    async def test() -> None:
        async with started() as store:
            aside, go_on = Aside(store), threading.Event()
            first = asyncio.ensure_future(aside.work(lambda tables, _: (go_on.wait(30), tables.index)))
            await asyncio.sleep(0)
            with pytest.raises(
                Unavailable, match=r"other plans and explanations took longer than 0\.01 s; ask again"
            ):
                await aside.work(lambda tables, _: tables.index)
            go_on.set()
            assert await first == (True, 0)
            assert await aside.work(lambda tables, _: tables.index) == 0  # the next one has its turn

    run(test())


def test_what_nobody_waits_for_ends_and_leaves_the_turn_to_others() -> None:
    async def test() -> None:
        async with started() as store:
            aside, begun, heard = Aside(store), threading.Event(), threading.Event()

            def endless(tables: Tables, given_up: GivenUp) -> None:
                begun.set()
                while not given_up():
                    heard.wait(0.001)
                heard.set()

            asked = asyncio.ensure_future(aside.work(endless))
            while not begun.is_set():
                await asyncio.sleep(0.001)
            asked.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asked
            assert heard.is_set()
            assert await aside.work(lambda tables, _: tables.index) == 0

    run(test())
