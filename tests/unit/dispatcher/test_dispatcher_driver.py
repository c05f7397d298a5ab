"""The dispatcher in motion, over a real store: what it does when the store is slow, full, or far ahead."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from random import Random

import pytest
from msgspec.structs import replace

from covey import limits
from covey.errors import FailedPrecondition, NotLeader, PeerFault
from covey.model.assignments import TaskReport
from covey.model.objects import Node, NodeDescription, NodeNetworking, Task, TaskStatus, TunnelKey
from covey.model.states import NodeRole, NodeState, TaskState
from covey.v1 import assignments_pb2, objects_pb2, types_pb2
from covey.v1.dispatcher_pb2 import (
    AgentMessage,
    Heartbeat,
    ManagerMessage,
    Redirect,
    Register,
    SignOffRequest,
    StatusReport,
)
from covey.wire.codec import to_message
from covey.wire.service import Caller, Role
from manager.dispatcher.driver import Dispatcher, Outbox, Writes
from manager.dispatcher.events import HeartbeatReceived, WriteNode, WriteStatuses
from manager.dispatcher.server import DispatcherServer
from manager.dispatcher.writes import parts, write_statuses
from manager.store.draft import Draft
from manager.store.driver import Store
from manager.store.log.fake import FakeLog
from manager.store.log.faulty import FaultyLog
from tests.support.cluster_objects import two_nodes_one_service

DESCRIPTION = NodeDescription(hostname="host1", data_address="192.0.2.1")


class Stand:
    """A dispatcher over a store whose disk can be full, and agents that are queues."""

    def __init__(self, store: Store, log: FaultyLog) -> None:
        self.store, self.log = store, log
        self.managers: tuple[str, ...] = ("192.0.2.9:2377",)
        self.dispatcher = Dispatcher(store, lambda: self.managers, 4789)
        self.leading: Dispatcher | None = self.dispatcher
        self.server = DispatcherServer(lambda: self.leading, self.elsewhere, Random(1))

    def elsewhere(self) -> Redirect:
        return Redirect(leader="192.0.2.8:2377", managers=["192.0.2.8:2377", *self.managers])

    def session(
        self, said: "asyncio.Queue[AgentMessage]", node_id: str = "n1"
    ) -> AsyncIterator[ManagerMessage]:
        async def messages() -> AsyncIterator[AgentMessage]:
            while True:
                yield await said.get()

        return self.server._session(messages(), Caller(Role.WORKER, node_id, "c", "192.0.2.1"))

    async def until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            await asyncio.sleep(0.005)


def on_a_stand(
    scene: Callable[[Stand], Awaitable[None]], before: Callable[[Stand], Awaitable[None]] | None = None
) -> None:
    async def run() -> None:
        log = FaultyLog(FakeLog())
        store = await Store.start(log)
        tables = two_nodes_one_service()

        def fill(draft: Draft) -> None:
            for rows in tables.objects().values():
                for item in rows.values():
                    draft.put(replace(item, meta=type(item)().meta))

        await store.update(fill)
        stand = Stand(store, log)
        if before is not None:
            await before(stand)
        running = asyncio.create_task(stand.dispatcher.run())
        try:
            async with asyncio.timeout(20):
                await scene(stand)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await store.close()

    asyncio.run(run())


def register(description: NodeDescription = DESCRIPTION) -> AgentMessage:
    return AgentMessage(register=Register(description=to_message(description, objects_pb2.NodeDescription)))


def report(state: TaskState, sequence: int = 1) -> AgentMessage:
    said = to_message(TaskReport("t1", TaskStatus(state=state)), assignments_pb2.TaskReport)
    return AgentMessage(status_report=StatusReport(sequence=sequence, reports=[said]))


async def until_kind(messages: AsyncIterator[ManagerMessage], kind: str) -> ManagerMessage:
    async for message in messages:
        if message.WhichOneof("kind") == kind:
            return message
    raise AssertionError(f"the session ended without {kind}")


def test_reports_wait_while_the_disk_is_full() -> None:
    async def scene(stand: Stand) -> None:
        said: asyncio.Queue[AgentMessage] = asyncio.Queue()
        session = stand.session(said)
        said.put_nowait(register())
        await until_kind(session, "session_started")
        stand.log.full = True
        said.put_nowait(report(TaskState.RUNNING))
        await asyncio.sleep(0.3)
        stand.log.full = False
        assert (await until_kind(session, "status_acknowledged")).status_acknowledged.sequence == 1
        present = stand.store.get(Task, "t1")
        assert present is not None
        assert present.status.state is TaskState.RUNNING
        await session.aclose()  # type: ignore[attr-defined]

    on_a_stand(scene)


def test_a_dispatcher_that_fell_behind_has_every_agent_register_again() -> None:
    async def before(stand: Stand) -> None:
        for n in range(limits.watch_queue_commits_max + 1):
            node = stand.store.get(Node, "n2")
            assert node is not None
            await stand.store.update(
                lambda draft, n=n, node=node: draft.put(
                    replace(node, status=replace(node.status, message=str(n)))
                )  # type: ignore[misc]
            )

    async def scene(stand: Stand) -> None:
        said: asyncio.Queue[AgentMessage] = asyncio.Queue()
        said.put_nowait(register())
        session = stand.session(said)
        with pytest.raises(FailedPrecondition, match="register again"):
            await until_kind(session, "status_acknowledged")
        said.put_nowait(register())
        session = stand.session(said)
        await until_kind(session, "session_started")
        said.put_nowait(report(TaskState.RUNNING))
        await until_kind(session, "status_acknowledged")
        await session.aclose()  # type: ignore[attr-defined]

    on_a_stand(scene, before)


def test_an_agent_that_is_too_far_behind_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "session_queue_messages_max", 2)

    async def run() -> None:
        outbox = Outbox()
        for _ in range(5):
            outbox.put(ManagerMessage())
        outbox.end("something else")
        assert await outbox.next() is None
        assert "2 messages behind" in outbox.reason

    asyncio.run(run())


GOOD_KEY = b64encode(bytes(range(32))).decode()


def with_keys(*keys: TunnelKey) -> NodeDescription:
    """What a node says that has these keys: others would give them to their WireGuard, and one bad row stops it."""
    return replace(DESCRIPTION, networking=NodeNetworking(encryption="kernel", tunnel_keys=keys))


@pytest.mark.parametrize(
    ("description", "rule"),
    [
        (replace(DESCRIPTION, data_address="nowhere"), "'nowhere' is no IP address"),
        (replace(DESCRIPTION, data_address="0.0.0.0"), "is no IP address"),
        (replace(DESCRIPTION, hostname="a\nb"), "printable"),
        (replace(DESCRIPTION, engine_labels={"a": "b" * 9000}), "at most 8192 bytes"),
        (with_keys(TunnelKey(1, "a2V5", 4794)), "'a2V5' is no public key"),
        (with_keys(TunnelKey(1, "not base64!", 4794)), "is no public key"),
        (with_keys(TunnelKey(1, GOOD_KEY, 1 << 16)), "65536 is no port"),
        (with_keys(TunnelKey(1, GOOD_KEY, 4794), TunnelKey(1, GOOD_KEY, 4793)), "one of each"),
    ],
)
def test_a_node_that_describes_itself_as_none_can_be_is_refused(
    description: NodeDescription, rule: str
) -> None:
    async def scene(stand: Stand) -> None:
        said: asyncio.Queue[AgentMessage] = asyncio.Queue()
        said.put_nowait(register(description))
        with pytest.raises(PeerFault, match=rule):
            await until_kind(stand.session(said), "session_started")

    on_a_stand(scene)


def test_writes_are_cut_into_parts_that_fit_into_the_log() -> None:
    most = limits.reports_per_commit_max
    reports = tuple(("n1", TaskReport(f"t{n}")) for n in range(2 * most + 1))
    down = WriteNode("n2", NodeState.DOWN, "")
    cut = list(parts([WriteStatuses(reports[:10], ()), down, WriteStatuses(reports[10:], (("s", 1),))]))
    assert [len(part) for part in cut] == [2, 1, 1]
    said = [pair for part in cut for item in part if isinstance(item, WriteStatuses) for pair in item.reports]
    assert tuple(said) == reports
    assert list(parts([WriteStatuses((), (("s", 1),))])) == []


def test_what_an_agent_says_is_cut_to_what_the_log_takes() -> None:
    tables = two_nodes_one_service()
    draft = Draft(tables)
    status = TaskStatus(state=TaskState.FAILED, err="e" * 5_000_000, message="m" * 5_000_000)
    write_statuses(draft, [("n1", TaskReport("t1", status))])
    present = draft.get(Task, "t1")
    assert present is not None
    assert len(present.status.err) == len(present.status.message) == limits.task_error_chars_max


def test_a_manager_that_does_not_lead_sends_agents_to_the_one_that_does() -> None:
    async def scene(stand: Stand) -> None:
        stand.leading = None
        said: asyncio.Queue[AgentMessage] = asyncio.Queue()
        said.put_nowait(register())
        told = [message async for message in stand.session(said)]
        assert [message.WhichOneof("kind") for message in told] == ["redirect"]
        assert told[0].redirect == stand.elsewhere()
        with pytest.raises(NotLeader):
            await stand.server._sign_off(SignOffRequest(), Caller(Role.WORKER, "n1", "c", ""))

    on_a_stand(scene)


def test_sessions_end_with_leadership_and_say_where_to_go() -> None:
    async def scene(stand: Stand) -> None:
        said: asyncio.Queue[AgentMessage] = asyncio.Queue()
        said.put_nowait(register())
        session = stand.session(said)
        await until_kind(session, "session_started")
        stand.dispatcher.send_elsewhere(Redirect(leader="192.0.2.7:2377"))
        rest = [message async for message in session]
        assert rest[-1].redirect.leader == "192.0.2.7:2377"

    on_a_stand(scene)


def test_agents_hear_that_they_are_heard_and_where_the_managers_are() -> None:
    async def scene(stand: Stand) -> None:
        said: asyncio.Queue[AgentMessage] = asyncio.Queue()
        said.put_nowait(register())
        session = stand.session(said)
        assert (await until_kind(session, "membership")).membership.managers == list(stand.managers)
        said.put_nowait(AgentMessage(heartbeat=Heartbeat()))
        await until_kind(session, "alive")
        stand.managers = ("192.0.2.8:2377", "192.0.2.9:2377")
        assert (await until_kind(session, "membership")).membership.managers == list(stand.managers)
        node = stand.store.get(Node, "n1")
        assert node is not None
        await stand.store.update(lambda draft: draft.put(replace(node, role=NodeRole.MANAGER)))
        assert (await until_kind(session, "membership")).membership.role == types_pb2.NODE_ROLE_MANAGER
        await session.aclose()  # type: ignore[attr-defined]

    on_a_stand(scene)


def test_a_node_that_describes_itself_without_end_is_written_once() -> None:
    async def run() -> None:
        writes = Writes()
        for n in range(1000):
            writes.put(WriteNode("n1", NodeState.READY, "", "", replace(DESCRIPTION, hostname=f"h{n}")))
        writes.put(WriteNode("n1", NodeState.DOWN, "silent"))
        (written,) = await writes.take()
        assert written == WriteNode("n1", NodeState.DOWN, "silent", "", replace(DESCRIPTION, hostname="h999"))

    asyncio.run(run())


def test_an_agent_that_reports_without_waiting_is_shown_out() -> None:
    async def scene(stand: Stand) -> None:
        said: asyncio.Queue[AgentMessage] = asyncio.Queue()
        session = stand.session(said)
        said.put_nowait(register())
        await until_kind(session, "session_started")
        stand.log.full = True
        for n in range(limits.status_reports_in_flight_max + 1):
            said.put_nowait(report(TaskState.RUNNING, n + 1))
        with pytest.raises(FailedPrecondition, match="unacknowledged"):
            await until_kind(session, "status_acknowledged")
        stand.log.full = False

    on_a_stand(scene)


def test_a_report_on_more_tasks_than_agents_put_into_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "status_report_tasks_max", 0)

    async def scene(stand: Stand) -> None:
        said: asyncio.Queue[AgentMessage] = asyncio.Queue()
        said.put_nowait(register())
        said.put_nowait(report(TaskState.RUNNING))
        with pytest.raises(PeerFault, match="more than 0 tasks"):
            await until_kind(stand.session(said), "status_acknowledged")

    on_a_stand(scene)


def test_streams_are_not_read_while_too_much_waits_to_be_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "dispatcher_events_max", 3)

    async def run() -> None:
        store = await Store.start(FakeLog())
        dispatcher = Dispatcher(store, lambda: (), 4789)  # nobody runs it, so nothing is heard
        for _ in range(3):
            dispatcher.post(HeartbeatReceived("s"))
        waiting = asyncio.create_task(dispatcher.room())
        await asyncio.sleep(0.05)
        assert not waiting.done()
        running = asyncio.create_task(dispatcher.run())
        await waiting
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await store.close()

    asyncio.run(run())
