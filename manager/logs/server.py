"""Both gRPC sides of the logs: readers subscribe, agents publish."""

import asyncio
import contextlib
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from random import Random

from covey import limits
from covey.errors import InvalidArgument, NotFound
from covey.ids import new_id
from covey.model.objects import Node, Service, Task
from covey.model.states import TaskState
from covey.v1.dispatcher_pb2 import LogOptions, LogSubscription, ManagerMessage
from covey.v1.logs_pb2 import PublishLogsRequest, PublishLogsResponse, ReadLogsRequest, ReadLogsResponse
from covey.wire.service import Binding, Caller, bind
from covey.wire.services import LogBroker, Logs
from manager.store.driver import Store, Watch
from manager.store.view import BY_SERVICE

Tell = Callable[[str, ManagerMessage], bool]
"""Send a message to a node's agent; False if it has no session here."""


@dataclass(slots=True)
class Reader:
    """One reader's request: what has arrived for it, and which agents have not finished.

    `publishing` holds (subscription, node) pairs: each batch of tasks asked for is a subscription of its own.
    `follows` is set while new tasks of the service may still come.
    """

    follows: bool
    tasks: set[str] = field(default_factory=set[str])
    publishing: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    arrived: asyncio.Queue[ReadLogsResponse] = field(
        default_factory=lambda: asyncio.Queue[ReadLogsResponse](limits.log_batches_queued_max)
    )

    @property
    def finished(self) -> bool:
        """Tell whether nothing more will come."""
        return not self.follows and not self.publishing and self.arrived.empty()

    async def finish(self, subscription_id: str, node_id: str, warning: str = "") -> None:
        """Note that nothing more comes from an agent; wakes the reader."""
        if (subscription_id, node_id) in self.publishing:
            self.publishing.discard((subscription_id, node_id))
            await self.arrived.put(ReadLogsResponse(warnings=[warning] if warning else []))


class LogsServer:
    """Serves `covey.v1.Logs` to people and `covey.v1.LogBroker` to agents."""

    def __init__(self, store: Store, tell: Tell, dice: Random) -> None:
        self._store = store
        self._tell = tell
        self._dice = dice
        self._readers: dict[str, Reader] = {}

    def reader_bindings(self) -> list[Binding]:
        """List the methods people call."""
        return [bind(Logs.read_logs, self._read_logs)]

    def broker_bindings(self) -> list[Binding]:
        """List the methods agents call."""
        return [bind(LogBroker.publish_logs, self._publish_logs)]

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
        following = None
        if reader.follows:
            # The watch opens in the same breath as the tasks are read, so that none falls in between.
            following = asyncio.create_task(self._follow(reader, request, self._store.watch()))
        try:
            missing = self._subscribe(reader, tasks, request.options)
            if missing:
                yield ReadLogsResponse(warnings=missing)
            while not reader.finished:
                response = await reader.arrived.get()
                if response.records or response.warnings:
                    yield response
        finally:
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
        with contextlib.closing(watch):
            async for commit in watch:
                came = [
                    change.after
                    for change in commit.changes
                    if isinstance(change.after, Task) and change.after.service_id == request.service_id
                ]
                for warning in self._subscribe(reader, came, options):
                    await reader.arrived.put(ReadLogsResponse(warnings=[warning]))
                if self._store.get(Service, request.service_id) is None:
                    break
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
            if self._tell(node_id, ManagerMessage(log_subscription=asked)):
                self._readers[asked.subscription_id] = reader
                reader.publishing.add((asked.subscription_id, node_id))
            else:
                node = self._store.get(Node, node_id)
                name = node.description.hostname if node is not None else node_id
                warnings.append(
                    f"node {name} is not connected: the logs of {len(task_ids)} tasks are missing"
                )
        return warnings

    def _unsubscribe(self, reader: Reader) -> None:
        """Have agents stop that still publish for a reader who left."""
        for subscription_id, node_id in reader.publishing:
            cancel = LogSubscription(subscription_id=subscription_id, cancel=True)
            self._tell(node_id, ManagerMessage(log_subscription=cancel))
        self._readers = {id: other for id, other in self._readers.items() if other is not reader}

    async def _publish_logs(
        self, requests: AsyncIterable[PublishLogsRequest], caller: Caller
    ) -> PublishLogsResponse:
        reader: Reader | None = None
        subscription_id = ""
        try:
            async for request in requests:
                if reader is None:
                    subscription_id = request.subscription_id
                    reader = self._readers.get(subscription_id)
                    if reader is None or (subscription_id, caller.node_id) not in reader.publishing:
                        raise InvalidArgument(f"nobody asked {caller} for logs {subscription_id!r}")
                if request.records or request.warnings:
                    await reader.arrived.put(
                        ReadLogsResponse(records=request.records, warnings=request.warnings)
                    )
                if request.finished:
                    await reader.finish(subscription_id, caller.node_id)
                    return PublishLogsResponse()
        finally:
            if reader is not None and subscription_id in self._readers:
                broke_off = f"the logs of node {caller.node_id} broke off"
                await reader.finish(subscription_id, caller.node_id, broke_off)
        return PublishLogsResponse()
