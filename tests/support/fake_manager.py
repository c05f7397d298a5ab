"""A manager for agents' tests: real TLS and streams, and no more sense than the test gives it."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import Message

from agent.session.client import DOWN
from agent.session.messages import (
    Alive,
    Down,
    Redirect,
    SessionStarted,
    StatusAcknowledged,
    StatusReport,
    TablesApplied,
)
from covey.model.objects import ClusterVersion, TaskStatus
from covey.model.states import NodeRole, TaskState
from covey.v1.dispatcher_pb2 import AgentMessage, ManagerMessage, SignOffRequest, SignOffResponse
from covey.v1.logs_pb2 import LogRecord, PublishLogsRequest, PublishLogsResponse
from covey.wire.codec import from_message, to_message
from covey.wire.server import Server, serve_control
from covey.wire.service import Caller, bind
from covey.wire.services import Dispatcher, LogBroker
from tests.support.pki import Authority

BOUND_S = 30.0
_NAMES = {struct: name for name, struct in DOWN.items()}


def wrap(message: Down) -> ManagerMessage:
    name = _NAMES[type(message)]
    parts: dict[str, Any] = {name: to_message(message, type(getattr(ManagerMessage(), name)))}
    return ManagerMessage(**parts)


STARTED = SessionStarted("s1", 200, ClusterVersion(1, 1))


@dataclass
class FakeManager:
    """Answers Register with SessionStarted (or `redirect`), acknowledges statuses, and says what `say` is given."""

    authority: Authority
    started: SessionStarted = STARTED
    acknowledges: bool = True
    redirect: Redirect | None = None
    registers: list[Message] = field(default_factory=list)
    heartbeats: int = 0
    statuses: dict[str, TaskStatus] = field(default_factory=dict)
    history: list[tuple[str, TaskState]] = field(default_factory=list)
    applied: dict[str, ClusterVersion] = field(default_factory=dict)
    records: list[LogRecord] = field(default_factory=list)
    finished_logs: set[str] = field(default_factory=set)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    _sessions: list[asyncio.Queue[ManagerMessage | None]] = field(default_factory=list)
    _server: Server | None = None

    async def serve(self, address: str = "127.0.0.1:0") -> str:
        identity = self.authority.node(NodeRole.MANAGER)
        bindings = [
            bind(Dispatcher.session, self._session),
            bind(Dispatcher.sign_off, self._sign_off),
            bind(LogBroker.publish_logs, self._publish),
        ]
        self._server = await serve_control(
            address, bindings, lambda: identity, lambda _id, _method: NodeRole.MANAGER
        )
        return self._server.address

    async def stop(self) -> None:
        assert self._server is not None
        self.end_sessions()
        await self._server.stop(0)

    async def _sign_off(self, request: SignOffRequest, caller: Caller) -> SignOffResponse:
        raise AssertionError("it is coveyd that signs off, not the agent")

    def say(self, *messages: Down) -> None:
        """Say it on every open session."""
        for queue in self._sessions:
            for message in messages:
                queue.put_nowait(wrap(message))

    def end_sessions(self) -> None:
        for queue in self._sessions:
            queue.put_nowait(None)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds; it is looked at whenever the agent has said something."""
        async with asyncio.timeout(BOUND_S):
            while not condition():
                self.news.clear()
                await self.news.wait()

    def state(self, task_id: str) -> TaskState:
        return self.statuses.get(task_id, TaskStatus()).state

    async def _session(
        self, requests: AsyncIterable[AgentMessage], caller: Caller
    ) -> AsyncIterator[ManagerMessage]:
        queue: asyncio.Queue[ManagerMessage | None] = asyncio.Queue()
        self._sessions.append(queue)
        hearing = asyncio.create_task(self._hear(requests, queue))
        try:
            while (message := await queue.get()) is not None:
                yield message
        finally:
            self._sessions.remove(queue)
            hearing.cancel()

    async def _hear(
        self, requests: AsyncIterable[AgentMessage], queue: asyncio.Queue[ManagerMessage | None]
    ) -> None:
        async for request in requests:
            match request.WhichOneof("kind"):
                case "register":
                    self.registers.append(request.register)
                    queue.put_nowait(wrap(self.redirect or self.started))
                case "heartbeat":
                    self.heartbeats += 1
                    queue.put_nowait(wrap(Alive()))
                case "status_report":
                    report = from_message(request.status_report, StatusReport)
                    for each in report.reports:
                        self.statuses[each.task_id] = each.status
                        self.history.append((each.task_id, each.status.state))
                    if self.acknowledges:
                        queue.put_nowait(wrap(StatusAcknowledged(report.sequence)))
                case "tables_applied":
                    applied = from_message(request.tables_applied, TablesApplied)
                    self.applied.update({t.network_id: t.version for t in applied.tables})
            self.news.set()
        queue.put_nowait(None)

    async def _publish(
        self, requests: AsyncIterable[PublishLogsRequest], caller: Caller
    ) -> PublishLogsResponse:
        subscription = ""
        async for request in requests:
            subscription = subscription or request.subscription_id
            self.records += request.records
            if request.finished:
                self.finished_logs.add(subscription)
            self.news.set()
        return PublishLogsResponse()
