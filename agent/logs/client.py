"""Publishing logs: one stream to the asking manager per subscription."""

import asyncio
import heapq
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

from agent.session.messages import LogSubscription
from covey import limits
from covey.errors import CoveyError
from covey.v1.logs_pb2 import LogRecord, LogStream, PublishLogsRequest
from covey.wire.client import Channel
from covey.wire.services import LogBroker

from .files import LogFiles
from .lines import Record

log = logging.getLogger(__name__)

Spawn = Callable[[Coroutine[None, None, None], str], asyncio.Task[None]]
_Tagged = tuple[Record, str]


class LogPublisher:
    """Serves the subscriptions of one session.

    `log_path` gives the file of a task's log; `ended` tells whether a task writes no more.
    """

    def __init__(
        self,
        connect: Callable[[str], Channel],
        spawn: Spawn,
        log_path: Callable[[str], Path],
        ended: Callable[[str], bool],
        node_id: str,
    ) -> None:
        self._connect = connect
        self._spawn = spawn
        self._log_path = log_path
        self._ended = ended
        self._node_id = node_id
        self._running: dict[str, asyncio.Task[None]] = {}

    def subscribe(self, subscription: LogSubscription, address: str) -> None:
        """Begin to publish to the manager at `address`, or stop, as the subscription says."""
        id = subscription.subscription_id
        if subscription.cancel:
            if id in self._running:
                self._running[id].cancel()
        elif id not in self._running:
            self._running[id] = self._spawn(self._publish(subscription, address), f"logs {id}")
            self._running[id].add_done_callback(lambda _: self._running.pop(id, None))

    def session_ended(self) -> None:
        """Whoever asked over it has been told that the logs broke off."""
        for task in self._running.values():
            task.cancel()

    async def _publish(self, subscription: LogSubscription, address: str) -> None:
        try:
            async with self._connect(address) as channel:
                await channel.send(LogBroker.publish_logs, self._requests(subscription))
        except (CoveyError, OSError) as error:
            log.warning("logs for %s broke off: %s", subscription.subscription_id, error)

    async def _requests(self, subscription: LogSubscription) -> AsyncIterator[PublishLogsRequest]:
        yield PublishLogsRequest(subscription_id=subscription.subscription_id)
        with ExitStack() as stack:
            files = {}
            for task_id in subscription.task_ids:
                files[task_id] = LogFiles(self._log_path(task_id), subscription.options)
                stack.callback(files[task_id].close)
            history = _merged(files)
            while batch := await _in_thread(lambda: _batch(history)):
                for part in _parts(batch):
                    yield self._request(part)
            while subscription.options.follow and files:
                over = {task_id for task_id in files if self._ended(task_id)}
                if batch := await _in_thread(lambda: _appended(files)):
                    for part in _parts(batch):
                        yield self._request(part)
                    continue
                for task_id in over:  # it had ended before its file was found at its end
                    files.pop(task_id).close()
                await asyncio.sleep(limits.container_log_follow_ms / 1000)
        yield PublishLogsRequest(finished=True)

    def _request(self, batch: Sequence[_Tagged]) -> PublishLogsRequest:
        return PublishLogsRequest(
            records=[
                LogRecord(
                    task_id=task_id,
                    node_id=self._node_id,
                    at_ns=record.at_ns,
                    stream=LogStream.LOG_STREAM_STDERR if record.stderr else LogStream.LOG_STREAM_STDOUT,
                    data=record.data,
                )
                for record, task_id in batch
            ]
        )


async def _in_thread(read: Callable[[], list[_Tagged]]) -> list[_Tagged]:
    """Run `read` in a thread, and let it end even if we are cancelled: the files are closed after it."""
    reading = asyncio.ensure_future(asyncio.to_thread(read))
    try:
        return await asyncio.shield(reading)
    except asyncio.CancelledError:
        await asyncio.wait([reading])
        raise


def _merged(files: dict[str, LogFiles]) -> Iterator[_Tagged]:
    """All histories as one, by time."""

    def tagged(task_id: str) -> Iterator[_Tagged]:
        return ((record, task_id) for record in files[task_id].history())

    return heapq.merge(*map(tagged, files))


def _appended(files: dict[str, LogFiles]) -> list[_Tagged]:
    return sorted((record, task_id) for task_id, each in files.items() for record in each.appended())


def _parts(batch: Sequence[_Tagged]) -> Iterator[Sequence[_Tagged]]:
    """Cut a batch into parts that fit a message, however long its lines are."""
    first, size = 0, 0
    for place, (record, _) in enumerate(batch):
        if size and size + len(record.data) > limits.container_log_batch_bytes:
            yield batch[first:place]
            first, size = place, 0
        size += len(record.data)
    yield batch[first:]


def _batch(records: Iterator[_Tagged]) -> list[_Tagged]:
    return list(islice(records, limits.container_log_batch_records))
