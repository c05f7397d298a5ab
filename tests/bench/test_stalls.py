"""How long a leader's loop stands still at 100,000 tasks, against the time after which followers elect another one."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from random import Random

from msgspec.structs import replace

from covey import limits
from covey.model.objects import (
    Cluster,
    Node,
    NodeDescription,
    NodeStatus,
    Revision,
    Service,
    Task,
    TaskStatus,
)
from covey.model.specs import ClusterSpec, ContainerSpec, NodeSpec, ServiceMode, ServiceSpec, TaskSpec
from covey.model.states import Availability, NodeState, TaskState
from covey.v1 import control_pb2, objects_pb2
from covey.v1.dispatcher_pb2 import AgentMessage, Heartbeat, Register
from covey.wire.codec import to_message
from covey.wire.service import Caller, Role
from manager.collector import spare_the_old
from manager.control.server import ControlServer
from manager.control.services.server import ServiceServer
from manager.dispatcher.driver import Dispatcher
from manager.dispatcher.server import DispatcherServer
from manager.leader.driver import lead
from manager.store.driver import Store
from manager.store.log.fake import FakeLog
from manager.store.view import BY_SERVICE

TASKS = int(os.environ.get("COVEY_BENCH_TASKS", "100000"))
NODES = 200
ELECTION_MS = limits.raft_election_ticks * limits.raft_tick_ms
BOUND_S = 900.0


class Pulse:
    """Notes how late a heartbeat of a few milliseconds comes, by what goes on meanwhile."""

    def __init__(self) -> None:
        self.worst: dict[str, float] = {}
        self.doing = "start"

    async def beat(self) -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.002)
            late = (time.perf_counter() - before - 0.002) * 1000
            self.worst[self.doing] = max(self.worst.get(self.doing, 0.0), late)

    @contextmanager
    def during(self, what: str) -> Iterator[None]:
        self.doing, began = what, time.perf_counter()
        yield
        spent = time.perf_counter() - began
        self.doing = "between"
        print(
            f"  {what:44} longest stall {self.worst.get(what, 0):6.0f} ms   (took {spent:6.1f} s)", flush=True
        )


def node(n: int) -> Node:
    return Node(
        id=f"n{n:024}",
        spec=NodeSpec(availability=Availability.ACTIVE),
        description=NodeDescription(hostname=f"n{n}", data_address=f"10.99.{n >> 8}.{n & 255}"),
        status=NodeStatus(state=NodeState.READY, address=f"10.99.{n >> 8}.{n & 255}"),
    )


def spec(replicas: int) -> ServiceSpec:
    return ServiceSpec(
        name="web",
        task=TaskSpec(container=ContainerSpec(image="img")),
        mode=ServiceMode(replicas=replicas),
    )


async def until(holds: Callable[[], bool]) -> None:
    while not holds():
        await asyncio.sleep(0.2)


class Agents:
    """Sessions of all nodes; they take what they are told, and report that it runs."""

    def __init__(self, store: Store, dispatcher: Dispatcher) -> None:
        self._server = DispatcherServer(lambda: dispatcher, lambda: None, Random(2))  # type: ignore[arg-type,return-value]
        self._store = store
        self.running: list[asyncio.Task[None]] = []

    def start(self) -> None:
        for n in range(NODES):
            self.running.append(asyncio.create_task(self._session(node(n))))

    async def _session(self, own: Node) -> None:
        said: asyncio.Queue[AgentMessage] = asyncio.Queue()

        async def messages():  # type: ignore[no-untyped-def]
            yield await said.get()
            while True:
                await asyncio.sleep(limits.heartbeat_period_ms / 1000)
                yield AgentMessage(heartbeat=Heartbeat())

        described = to_message(own.description, objects_pb2.NodeDescription)
        said.put_nowait(AgentMessage(register=Register(description=described)))
        async for _ in self._server._session(messages(), Caller(Role.WORKER, own.id, "c", "10.99.0.1")):
            pass


async def run_all(store: Store, pulse: Pulse) -> None:
    dice = Random(1)
    parts = [asyncio.create_task(pulse.beat())]

    def everywhere(state: TaskState) -> Callable[[], bool]:
        return lambda: (
            all(task.status.state >= state for task in store.all(Task)) and bool(len(list(store.all(Task))))
        )

    def first(draft) -> None:  # type: ignore[no-untyped-def]
        draft.put(Cluster(id="c", spec=ClusterSpec()))
        draft.put(Service(id="web", name="web", revision_id="r1"))
        draft.put(Revision(id="r1", service_id="web", number=1, spec=spec(TASKS)))
        for n in range(NODES):
            draft.put(node(n))

    await store.update(first)
    dispatcher = Dispatcher(store, lambda: (), 4789)
    agents = Agents(store, dispatcher)
    parts.append(asyncio.create_task(dispatcher.run()))
    agents.start()
    await asyncio.sleep(1)
    with pulse.during("planning the tasks of one service"):
        leading = asyncio.create_task(lead(store, dice))
        await until(
            lambda: len(store.find(Task, BY_SERVICE, "web")) >= TASKS and everywhere(TaskState.ASSIGNED)()
        )
    with pulse.during("statuses of all of them"):
        await report(store)
    with pulse.during("another leader takes over"):
        leading.cancel()
        await asyncio.sleep(0.1)
        leading = asyncio.create_task(lead(store, dice))
        await asyncio.sleep(3)
    with pulse.during("a snapshot"):
        await store.save_snapshot()
    control = ControlServer(store, dice, None, None)  # type: ignore[arg-type]
    with pulse.during("ListTasks"):
        count = 0
        async for page in control._list_tasks(control_pb2.ListTasksRequest(), Caller(Role.LOCAL)):
            count += len(page.tasks)
            await asyncio.sleep(0)
        assert count >= TASKS
    with pulse.during("one moment of WatchService"):
        services = ServiceServer(store, dice, None, "")  # type: ignore[arg-type]
        request = control_pb2.WatchServiceRequest(service_id="web")
        watching = services._watch_service(request, Caller(Role.LOCAL))
        await anext(watching)
    with pulse.during("a node is lost"):
        lost = node(0)
        held = store.get(Node, lost.id)
        assert held is not None
        await store.update(
            lambda draft: draft.put(replace(held, status=replace(held.status, state=NodeState.DOWN)))
        )
        await asyncio.sleep(5)
    with pulse.during("removing the service"):
        service = store.get(Service, "web")
        assert service is not None
        await store.update(lambda draft: draft.put(replace(service, pending_delete=True)))
        await asyncio.sleep(15)
    for part in (*parts, *agents.running, leading):
        part.cancel()
    await asyncio.gather(*parts, *agents.running, leading, return_exceptions=True)


async def report(store: Store) -> None:
    ids = [task.id for task in store.all(Task)]
    for at in range(0, len(ids), limits.reports_per_commit_max):

        def write(draft, at=at) -> None:  # type: ignore[no-untyped-def]
            for id in ids[at : at + limits.reports_per_commit_max]:
                task = draft.get(Task, id)
                draft.put(replace(task, status=TaskStatus(state=TaskState.RUNNING, message="started")))

        await store.update(write)


def measured(work: Callable[[Store, Pulse], Awaitable[None]]) -> Pulse:
    pulse = Pulse()

    async def main() -> None:
        store = await Store.start(FakeLog())
        try:
            async with asyncio.timeout(BOUND_S):
                await work(store, pulse)
        finally:
            await store.close()

    asyncio.run(main())
    return pulse


def test_no_stall_costs_an_election() -> None:
    print(f"\n  {'followers elect another leader after':44}               {ELECTION_MS:6} ms")
    undo = spare_the_old()
    try:
        measured(run_all)
    finally:
        undo()
