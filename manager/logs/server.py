"""Both gRPC sides of the logs: readers subscribe, agents publish."""

import asyncio
import logging
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass, field
from random import Random

from covey import limits
from covey.errors import InvalidArgument, NotFound
from covey.ids import new_id
from covey.model.objects import Node, Service, Task
from covey.v1.dispatcher_pb2 import LogSubscription, ManagerMessage
from covey.v1.logs_pb2 import PublishLogsRequest, PublishLogsResponse, ReadLogsRequest, ReadLogsResponse
from covey.wire.service import Binding, Caller, bind
from covey.wire.services import LogBroker, Logs
from manager.dispatcher.driver import Dispatcher
from manager.store.view import BY_SERVICE, View

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Subscription:
    """One reader's request: what has arrived for it, and which nodes have not finished."""

    id: str
    waiting_for: set[str] = field(default_factory=set[str])
    arrived: asyncio.Queue[ReadLogsResponse] = field(
        default_factory=lambda: asyncio.Queue[ReadLogsResponse](limits.log_batches_queued_max)
    )

    async def finish(self, node_id: str, warning: str = "") -> None:
        """Note that nothing more comes from a node; wakes the reader."""
        if node_id in self.waiting_for:
            self.waiting_for.discard(node_id)
            await self.arrived.put(ReadLogsResponse(warnings=[warning] if warning else []))


class LogsServer:
    """Serves `covey.v1.Logs` to people and `covey.v1.LogBroker` to agents."""

    def __init__(self, view: View, dispatcher: Dispatcher, dice: Random) -> None:
        self._view = view
        self._dispatcher = dispatcher
        self._dice = dice
        self._subscriptions: dict[str, Subscription] = {}

    def reader_bindings(self) -> list[Binding]:
        """List the methods people call."""
        return [bind(Logs.read_logs, self._read_logs)]

    def broker_bindings(self) -> list[Binding]:
        """List the methods agents call."""
        return [bind(LogBroker.publish_logs, self._publish_logs)]

    def _tasks(self, request: ReadLogsRequest) -> list[Task]:
        if request.task_id:
            task = self._view.get(Task, request.task_id)
            if task is None:
                raise NotFound(f"there is no task {request.task_id!r}")
            return [task]
        if self._view.get(Service, request.service_id) is None:
            raise NotFound(f"there is no service {request.service_id!r}")
        return list(self._view.find(Task, BY_SERVICE, request.service_id))

    async def _read_logs(self, request: ReadLogsRequest, caller: Caller) -> AsyncIterator[ReadLogsResponse]:
        by_node: dict[str, list[str]] = {}
        for task in self._tasks(request):
            if task.node_id:
                by_node.setdefault(task.node_id, []).append(task.id)
        subscription = Subscription(new_id(self._dice))
        self._subscriptions[subscription.id] = subscription
        try:
            missing = self._subscribe(subscription, request, by_node)
            if missing:
                yield ReadLogsResponse(warnings=missing)
            while subscription.waiting_for or not subscription.arrived.empty():
                response = await subscription.arrived.get()
                if response.records or response.warnings:
                    yield response
        finally:
            del self._subscriptions[subscription.id]
            cancel = LogSubscription(subscription_id=subscription.id, cancel=True)
            for node_id in subscription.waiting_for:
                self._dispatcher.tell(node_id, ManagerMessage(log_subscription=cancel))

    def _subscribe(
        self, subscription: Subscription, request: ReadLogsRequest, by_node: dict[str, list[str]]
    ) -> list[str]:
        """Ask every agent concerned; return a warning for each that cannot be asked."""
        warnings = []
        for node_id, task_ids in sorted(by_node.items()):
            asked = LogSubscription(
                subscription_id=subscription.id, task_ids=task_ids, options=request.options
            )
            if self._dispatcher.tell(node_id, ManagerMessage(log_subscription=asked)):
                subscription.waiting_for.add(node_id)
            else:
                node = self._view.get(Node, node_id)
                name = node.description.hostname if node is not None else node_id
                warnings.append(
                    f"node {name} is not connected: the logs of {len(task_ids)} tasks are missing"
                )
        return warnings

    async def _publish_logs(
        self, requests: AsyncIterable[PublishLogsRequest], caller: Caller
    ) -> PublishLogsResponse:
        subscription: Subscription | None = None
        try:
            async for request in requests:
                if subscription is None:
                    subscription = self._subscriptions.get(request.subscription_id)
                    if subscription is None or caller.node_id not in subscription.waiting_for:
                        raise InvalidArgument(f"nobody asked {caller} for logs {request.subscription_id!r}")
                if request.records or request.warnings:
                    await subscription.arrived.put(
                        ReadLogsResponse(records=request.records, warnings=request.warnings)
                    )
                if request.finished:
                    await subscription.finish(caller.node_id)
                    return PublishLogsResponse()
        finally:
            if subscription is not None and subscription.id in self._subscriptions:
                await subscription.finish(caller.node_id, f"the logs of node {caller.node_id} broke off")
        return PublishLogsResponse()
