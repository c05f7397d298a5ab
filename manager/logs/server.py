"""Both gRPC sides of the logs: readers subscribe, agents publish."""

import asyncio
import contextlib
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from random import Random

from covey import limits
from covey.errors import InvalidArgument, NotFound, PeerFault, Unavailable
from covey.ids import new_id
from covey.model.objects import Node, Service, Task
from covey.model.states import TaskState
from covey.v1.dispatcher_pb2 import LogOptions, LogSubscription, ManagerMessage
from covey.v1.logs_pb2 import PublishLogsRequest, PublishLogsResponse, ReadLogsRequest, ReadLogsResponse
from covey.wire.service import Binding, Caller, bind
from covey.wire.services import LogBroker, Logs
from manager.store.driver import Store, Watch
from manager.store.view import BY_SERVICE
from manager.store.watch import Lagged

Tell = Callable[[str, ManagerMessage], bool]
"""Send a message to a node's agent; False if it has no session here."""

SessionOf = Callable[[str], str]
"""The id of a node's session, an empty one if it has none here."""


@dataclass(slots=True)
class Source:
    """What one agent was asked for: in which of its sessions, for which tasks, and whether it has begun."""

    session_id: str
    task_ids: frozenset[str]
    begun: bool = False


@dataclass(slots=True)
class Reader:
    """One reader's request: what has arrived for it, and which agents have not finished.

    `publishing` is keyed by (subscription, node): each batch of tasks asked for is a subscription of its own.
    `follows` is set while new tasks of the service may still come; `lost`, once agents hand their logs to
    another manager.
    """

    follows: bool
    lost: bool = False
    tasks: set[str] = field(default_factory=set[str])
    publishing: dict[tuple[str, str], Source] = field(default_factory=dict[tuple[str, str], Source])
    arrived: asyncio.Queue[ReadLogsResponse] = field(
        default_factory=lambda: asyncio.Queue[ReadLogsResponse](limits.log_batches_queued_max)
    )

    @property
    def finished(self) -> bool:
        """Tell whether nothing more will come."""
        return not self.follows and not self.publishing and self.arrived.empty()

    async def finish(self, subscription_id: str, node_id: str, warning: str = "") -> None:
        """Note that nothing more comes from an agent; wakes the reader."""
        if self.publishing.pop((subscription_id, node_id), None) is not None:
            await self.arrived.put(ReadLogsResponse(warnings=[warning] if warning else []))


class LogsServer:
    """Serves `covey.v1.Logs` to people and `covey.v1.LogBroker` to agents."""

    def __init__(self, store: Store, tell: Tell, session_of: SessionOf, dice: Random) -> None:
        self._store = store
        self._tell = tell
        self._session_of = session_of
        self._dice = dice
        self._readers: dict[str, Reader] = {}
        self._reading: list[Reader] = []

    def reader_bindings(self) -> list[Binding]:
        """List the methods people call."""
        return [bind(Logs.read_logs, self._read_logs)]

    def broker_bindings(self) -> list[Binding]:
        """List the methods agents call."""
        return [bind(LogBroker.publish_logs, self._publish_logs)]

    def step_down(self) -> None:
        """Send readers away: agents publish to the manager that leads, and that is another one now."""
        for reader in self._reading:
            reader.lost = True
            if reader.arrived.empty():
                reader.arrived.put_nowait(ReadLogsResponse())

    def _tasks(self, request: ReadLogsRequest) -> list[Task]:
        if request.task_id:
            task = self._store.get(Task, request.task_id)
            if task is None:
                raise NotFound(f"there is no task {request.task_id!r}")
            return [task]
        if self._store.get(Service, request.service_id) is None:
            raise NotFound(f"there is no service {request.service_id!r}")
        return list(self._store.find(Task, BY_SERVICE, request.service_id))

    async def _read_logs(self, request: ReadLogsRequest, caller: Caller) -> AsyncIterator[ReadLogsResponse]:
        tasks = self._tasks(request)
        reader = Reader(follows=request.options.follow and not request.task_id)
        self._reading.append(reader)
        following = None
        if reader.follows:
            # The watch opens in the same breath as the tasks are read, so that none falls in between.
            following = asyncio.create_task(self._follow(reader, request, self._store.watch()))
        try:
            missing = self._subscribe(reader, tasks, request.options)
            if missing:
                yield ReadLogsResponse(warnings=missing)
            while not reader.finished:
                try:
                    async with asyncio.timeout(limits.log_source_look_s):
                        response = await reader.arrived.get()
                except TimeoutError:
                    response = ReadLogsResponse(warnings=self._give_up_lost(reader))
                if response.records or response.warnings:
                    yield response
                if reader.lost:
                    raise Unavailable("another manager leads now, and logs come to that one; ask again")
        finally:
            self._reading.remove(reader)
            if following is not None:
                following.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await following
            self._unsubscribe(reader)

    async def _follow(self, reader: Reader, request: ReadLogsRequest, watch: Watch) -> None:
        """Subscribe to the tasks that come up while the reader reads, until the service is gone.

        Their logs are read from the beginning, whatever was asked of those that were there already.
        """
        options = LogOptions()
        options.CopyFrom(request.options)
        options.tail = -1
        try:
            while self._store.get(Service, request.service_id) is not None:
                try:
                    commits = await watch.batch()
                except Lagged:
                    watch.close()
                    watch = self._store.watch()
                    came = list(self._store.find(Task, BY_SERVICE, request.service_id))
                else:
                    if not commits:
                        break
                    after = [change.after for commit in commits for change in commit.changes]
                    came = [t for t in after if isinstance(t, Task) and t.service_id == request.service_id]
                if warnings := self._subscribe(reader, came, options):
                    await reader.arrived.put(ReadLogsResponse(warnings=warnings))
        finally:
            watch.close()
        reader.follows = False
        await reader.arrived.put(ReadLogsResponse())

    def _subscribe(self, reader: Reader, tasks: Iterable[Task], options: LogOptions) -> list[str]:
        """Ask the agents of tasks not asked for yet; return a warning for each that cannot be asked.

        A task that does not run yet has written nothing, and its agent may not even know it: it is passed over.
        """
        by_node: dict[str, list[str]] = {}
        for task in tasks:
            begun = task.node_id and task.status.state >= TaskState.RUNNING
            if begun and task.id not in reader.tasks:
                reader.tasks.add(task.id)
                by_node.setdefault(task.node_id, []).append(task.id)
        warnings = []
        for node_id, task_ids in sorted(by_node.items()):
            asked = LogSubscription(subscription_id=new_id(self._dice), task_ids=task_ids, options=options)
            source = Source(self._session_of(node_id), frozenset(task_ids))
            if self._tell(node_id, ManagerMessage(log_subscription=asked)):
                self._readers[asked.subscription_id] = reader
                reader.publishing[asked.subscription_id, node_id] = source
            else:
                warnings.append(self._missing(node_id, "is not connected", source))
        return warnings

    def _missing(self, node_id: str, why: str, source: Source) -> str:
        node = self._store.get(Node, node_id)
        name = node.description.hostname if node is not None else node_id
        return f"node {name} {why}: the logs of {len(source.task_ids)} tasks are missing"

    def _give_up_lost(self, reader: Reader) -> list[str]:
        """Wait no more for agents that were asked in a session that has ended since, before they began."""
        warnings = []
        for (subscription_id, node_id), source in list(reader.publishing.items()):
            if not source.begun and self._session_of(node_id) != source.session_id:
                del reader.publishing[subscription_id, node_id]
                warnings.append(self._missing(node_id, "went away", source))
        return warnings

    def _unsubscribe(self, reader: Reader) -> None:
        """Have agents stop that still publish for a reader who left."""
        for subscription_id, node_id in reader.publishing:
            cancel = LogSubscription(subscription_id=subscription_id, cancel=True)
            self._tell(node_id, ManagerMessage(log_subscription=cancel))
        self._readers = {id: other for id, other in self._readers.items() if other is not reader}
        while not reader.arrived.empty():  # lest an agent's stream waits for room for ever
            reader.arrived.get_nowait()

    async def _publish_logs(
        self, requests: AsyncIterable[PublishLogsRequest], caller: Caller
    ) -> PublishLogsResponse:
        reader: Reader | None = None
        source: Source | None = None
        subscription_id = ""
        try:
            async for request in requests:
                if reader is None or source is None:
                    subscription_id = request.subscription_id
                    reader, source = self._asked(subscription_id, caller)
                    source.begun = True
                if subscription_id not in self._readers:
                    break
                if request.records or request.warnings:
                    await reader.arrived.put(_passed_on(request, source, caller))
                if request.finished:
                    await reader.finish(subscription_id, caller.node_id)
                    break
        finally:
            if reader is not None and subscription_id in self._readers:
                broke_off = f"the logs of node {caller.node_id} broke off"
                await reader.finish(subscription_id, caller.node_id, broke_off)
        return PublishLogsResponse()

    def _asked(self, subscription_id: str, caller: Caller) -> tuple[Reader, Source]:
        reader = self._readers.get(subscription_id)
        source = reader.publishing.get((subscription_id, caller.node_id)) if reader is not None else None
        if reader is None or source is None:
            raise InvalidArgument(f"nobody asked {caller} for logs {subscription_id!r}")
        return reader, source


def _passed_on(request: PublishLogsRequest, source: Source, caller: Caller) -> ReadLogsResponse:
    """Check that an agent speaks for its own tasks, and for no other node."""
    for record in request.records:
        if record.task_id not in source.task_ids:
            raise PeerFault(f"{caller} sent logs of task {record.task_id!r}, which it was not asked for")
        record.node_id = caller.node_id
    return ReadLogsResponse(records=request.records, warnings=request.warnings)
