"""The log of a cluster with one manager: a journal, snapshots, and the one thread that touches the journal."""

import asyncio
import contextlib
import logging
import queue
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Struct

from covey import errors, limits
from covey.errors import LogFailed

from ..seam import Record, Snapshot, Standing
from .journal import Journal
from .snapshots import Snapshots

R = TypeVar("R")
_log = logging.getLogger(__name__)


class _Append(Struct, frozen=True):
    """Entries to be made durable, together with those of others that wait."""

    batch: Sequence[bytes]
    future: asyncio.Future[None]
    size: int


Job = Callable[[], None]


class SqliteLog:
    """A `Log` in STATE/manager: `log.db` and `snapshots/`. Make it with `open`."""

    def __init__(self, journal: Journal, snapshots: Snapshots) -> None:
        self._journal = journal
        self._snapshots = snapshots
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[_Append | Job | None] = queue.SimpleQueue()  # None: finish
        self._last_index = journal.last_index
        self._fresh: deque[Sequence[Record]] | None = (
            None  # what the reader, once it has caught up, gets next
        )
        self._news = asyncio.Event()
        self._failure: errors.CoveyError | None = None
        self._closing = False  # nothing more is taken
        self._closed = False  # nothing more will come
        self._thread = threading.Thread(target=self._work, name="covey-log", daemon=True)
        self._thread.start()

    @classmethod
    async def open(cls, directory: Path, cluster_id: str) -> "SqliteLog":
        """Open or make the log in `directory` (STATE/manager); refuses, in a sentence, one that is not ours."""
        journal = await asyncio.to_thread(Journal, directory / "log.db", cluster_id)
        try:
            return cls(journal, await asyncio.to_thread(Snapshots, directory / "snapshots", cluster_id))
        except BaseException:
            journal.close()
            raise

    @property
    def last_index(self) -> int:
        """The index of the last durable entry, 0 before the first."""
        return self._last_index

    @property
    def standing(self) -> Standing:
        """Alone, it always leads."""
        return Standing(term=1, leads=True)

    async def standing_after(self, known: Standing) -> Standing:
        """Wait for the end, if what is known is so."""
        while self.standing == known:
            await asyncio.sleep(1)
            self._refuse_if_stopped()
        return self.standing

    async def confirm(self) -> int:
        """Give the last index: what is acknowledged is here."""
        return self._last_index

    async def append(self, batch: Sequence[bytes]) -> None:
        """Make entries durable; what waits meanwhile shares the next fsync."""
        self._refuse_if_stopped()
        future: asyncio.Future[None] = self._loop.create_future()
        self._jobs.put(_Append(batch, future, sum(len(data) for data in batch)))
        await future

    async def records(self, after: int) -> AsyncIterator[Sequence[Record] | Snapshot]:
        """Give every durable entry after `after`, in order, and wait for more."""
        assert self._fresh is None, "one reader at a time"
        fresh = self._fresh = deque[Sequence[Record]]()
        until = self._last_index  # what is durable later comes through `fresh`
        try:
            while after != until:
                old = await self._read(after)
                old = [record for record in old if record.index <= until]
                assert old, "the journal holds what it said it holds"
                after = old[-1].index
                yield old
            while True:
                self._news.clear()
                while fresh:
                    yield fresh.popleft()
                if self._failure is not None:
                    raise self._failure
                if self._closed:
                    return
                await self._news.wait()
        finally:
            self._fresh = None

    async def save_snapshot(self, index: int, chunks: Iterable[bytes]) -> None:
        """Write a snapshot, in a thread of its own: appends go on meanwhile."""
        await asyncio.to_thread(self._snapshots.save, index, chunks)

    async def newest_snapshot(self) -> Snapshot | None:
        """Find the newest whole snapshot."""
        return await asyncio.to_thread(self._snapshots.newest)

    async def compact(self, kept: int) -> None:
        """Forget old snapshots, and the entries that no kept one needs."""
        oldest = await asyncio.to_thread(self._snapshots.forget_old)
        if oldest is not None:
            await self._do(lambda: self._journal.compact(min(oldest, self._journal.last_index - kept)))

    async def close(self) -> None:
        """Finish what was asked for, and let go of the files."""
        if not self._closing:
            self._closing = True
            self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)
        self._closed = True
        self._news.set()

    def _refuse_if_stopped(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._closing:
            raise LogFailed("the log is closed: the manager is stopping")

    async def _read(self, after: int) -> Sequence[Record]:
        return await self._do(lambda: self._journal.read(after))

    async def _do(self, call: Callable[[], R]) -> R:
        """Have the log's thread do something, and wait for what it gives."""
        self._refuse_if_stopped()
        future: asyncio.Future[R] = self._loop.create_future()

        def job() -> None:
            try:
                result = call()
            except errors.CoveyError as error:
                self._report(_refuse, [future], error)
            else:
                self._report(_resolve, future, result)

        self._jobs.put(job)
        return await future

    def _settle(self, group: Sequence[_Append], records: Sequence[Record]) -> None:
        """A group of appends is durable."""
        self._last_index = records[-1].index
        if self._fresh is not None:
            self._fresh.append(records)
        self._news.set()
        for append in group:
            _resolve(append.future, None)

    def _stop(self, failure: errors.CoveyError) -> None:
        self._failure = failure
        self._news.set()

    # --- what follows runs on the log's own thread ---

    def _report(self, call: Callable[..., object], *arguments: Any) -> None:
        self._loop.call_soon_threadsafe(call, *arguments)

    def _work(self) -> None:
        waiting: deque[_Append | Job | None] = deque()
        failure: errors.CoveyError | None = None
        while True:
            waiting.append(self._jobs.get()) if not waiting else None
            with contextlib.suppress(queue.Empty):
                while True:
                    waiting.append(self._jobs.get_nowait())
            if group := _take_group(waiting):
                failure = failure or self._append(group)
                if failure is not None:
                    self._report(_refuse, [append.future for append in group], failure)
                continue
            job = waiting.popleft()
            if not callable(job):
                break
            job()
        self._finish(failure)

    def _append(self, group: Sequence[_Append]) -> errors.CoveyError | None:
        """Make a group durable and tell; give the reason if the log must stop."""
        futures = [append.future for append in group]
        try:
            records = self._journal.append([data for append in group for data in append.batch])
            self._report(self._settle, group, records)
            self._journal.checkpoint_if_due()
        except errors.ResourceExhausted as error:  # nothing was written: the log stays as sound as it was
            self._report(_refuse, futures, error)
        except errors.CoveyError as error:
            return self._fail(error)
        except Exception as error:  # noqa: BLE001 -- whatever it is, nobody may be left waiting
            _log.exception("the log's thread met something nobody foresaw")
            return self._fail(LogFailed(f"the log failed ({error!r}); restart the manager"))
        return None

    def _fail(self, failure: errors.CoveyError) -> errors.CoveyError:
        _log.error("%s", failure)
        self._report(self._stop, failure)
        return failure

    def _finish(self, failure: errors.CoveyError | None) -> None:
        if failure is None:
            # Not needed for what was acknowledged; it makes the next start quicker.
            try:
                self._journal.checkpoint()
            except errors.CoveyError as error:
                _log.error("%s", error)
        self._journal.close()


def _take_group(waiting: "deque[_Append | Job | None]") -> list[_Append]:
    """Take the appends that can share one transaction off the front of what waits."""
    group: list[_Append] = []
    size = 0
    while waiting and isinstance(append := waiting[0], _Append):
        if group and size + append.size > limits.log_group_bytes_max:
            break
        size += append.size
        group.append(append)
        waiting.popleft()
    return group


def _resolve(future: "asyncio.Future[R]", result: R) -> None:
    if not future.done():  # whoever waited may have given up
        future.set_result(result)


def _refuse(futures: "Sequence[asyncio.Future[Any]]", error: errors.CoveyError) -> None:
    for future in futures:
        if not future.done():
            future.set_exception(error)
