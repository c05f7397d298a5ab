"""A member's disk: log and snapshots under one roof, and the one thread that touches the log."""

import asyncio
import contextlib
import logging
import queue
import threading
from collections import deque
from collections.abc import AsyncIterable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Struct

from covey import errors, limits
from covey.errors import LogFailed

from ..entry import Entry, HardState, Member, SnapshotMark, Stored
from ..seam import SavedSnapshot
from .files import DirectoryLock, refusal
from .journal import Journal, Write
from .keys import DataKey
from .snapshots import Snapshots
from .state import Files, open_files, read

R = TypeVar("R")
Job = Callable[[], None]
_log = logging.getLogger(__name__)


class _Waiting(Struct, frozen=True):
    """A write, and who waits for it, together with those of others."""

    write: Write
    future: asyncio.Future[None]
    size: int


class SqliteDisk:
    """A `Disk` in STATE/manager. Make it with `open`.

    Writes are carried out in the order of the calls, and may be given while others are under way: those that
    wait share one transaction and one fsync. Once one is refused for want of room, those that continue what
    it would have written are refused like it.
    """

    def __init__(self, directory: Path, files: Files) -> None:
        self._directory = directory
        self._journal: Journal = files.journal
        self._snapshots: Snapshots = files.snapshots
        self._lock: DirectoryLock = files.lock
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[_Waiting | Job | None] = queue.SimpleQueue()  # None: finish
        self._room = asyncio.Semaphore(limits.log_writes_queued_max)
        self._failure: errors.CoveyError | None = None
        self._refused: errors.ResourceExhausted | None = (
            None  # why there may be a gap before the next entries
        )
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="covey-log", daemon=True)
        self._thread.start()

    @classmethod
    async def open(
        cls, directory: Path, cluster_id: str, key: DataKey | None = None, upgrade: Member | None = None
    ) -> "SqliteDisk":
        """Open or make what a member keeps in `directory` (STATE/manager).

        Without `key`, it is read from the directory, or drawn if there is nothing yet. `upgrade` is this
        manager as the only member, its `id` left out: what the version with one manager left is converted.
        Refuses, in a sentence, files that are another cluster's, of another format, in use, or damaged.
        """
        return cls(directory, await asyncio.to_thread(open_files, directory, cluster_id, key, upgrade))

    @property
    def id(self) -> int:
        """This member's Raft id."""
        return self._journal.id

    async def load(self) -> Stored:
        """Read everything back; raises `Corrupt`."""
        return await self._do(lambda: read(self._journal, self._snapshots))

    async def write(self, hard_state: HardState | None, entries: Sequence[Entry]) -> None:
        """Make both durable; what waits meanwhile shares the next fsync."""
        if hard_state is None and not entries:
            return
        await self._room.acquire()  # in the order of the calls
        try:
            self._refuse_if_stopped()
            future: asyncio.Future[None] = self._loop.create_future()
            size = sum(len(entry.data) for entry in entries)
            self._jobs.put(_Waiting(Write(hard_state, entries), future, size))
            await future
        finally:
            self._room.release()

    async def save_snapshot(self, mark: SnapshotMark, chunks: Iterable[bytes]) -> None:
        """Write a snapshot, in a thread of its own: writes go on meanwhile."""
        self._refuse_if_stopped()
        if mark.index > self._journal.state.last_index:
            raise errors.Bug(
                f"a snapshot of {mark.index}, and the log ends at {self._journal.state.last_index}"
            )
        await self._beside(lambda: self._snapshots.save(mark, chunks))

    async def newest_snapshot(self) -> SavedSnapshot | None:
        """Find the newest sound snapshot."""
        since = self._journal.state.kept_index
        return await self._beside(lambda: self._snapshots.newest(since))

    async def stage_snapshot(self, mark: SnapshotMark, chunks: AsyncIterable[bytes]) -> None:
        """Write a leader's snapshot as it comes; nothing of it stays if it does not come whole."""
        self._refuse_if_stopped()
        writer = await self._beside(lambda: self._snapshots.writer(mark))
        try:
            async for chunk in chunks:
                await self._beside(lambda chunk=chunk: writer.write(chunk))  # type: ignore[misc]
            await self._beside(writer.finish)
            await self._beside(lambda: self._snapshots.stage_only(mark.index))
        finally:
            writer.abandon()

    async def install_snapshot(self, mark: SnapshotMark, hard_state: HardState | None) -> None:
        """Make the staged snapshot count: from the transaction that empties the log, whatever happens after."""

        def install() -> None:
            staged = self._snapshots.staged()
            if staged != mark:
                raise errors.Bug(f"the snapshot {mark} is to be installed, and {staged} is staged")
            if (newest := self._snapshots.indexes()[-1:]) > [mark.index]:
                raise errors.Bug(f"the snapshot {mark} is to be installed over a newer one of {newest[0]}")
            self._journal.reset(mark, hard_state)
            try:
                self._snapshots.promote(mark.index)
            except OSError as error:
                raise LogFailed(
                    f"cannot put the snapshot of {mark.index} in {self._directory} in its place "
                    f"({error.strerror}); check the disk, then restart the manager: it finishes that"
                ) from error

        await self._do(install)

    async def compact(self, through: int) -> None:
        """Forget old snapshots, and the entries that no kept one needs."""
        self._refuse_if_stopped()
        oldest = await self._beside(self._snapshots.forget_old)
        if oldest is not None:
            await self._do(
                lambda: self._journal.compact(min(oldest, through, self._journal.state.last_index))
            )

    async def close(self) -> None:
        """Finish what was asked for, and let go of the files."""
        if not self._closing:
            self._closing = True
            self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)

    def _refuse_if_stopped(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._closing:
            raise LogFailed("the log is closed: the manager is stopping")

    async def _beside(self, call: Callable[[], R]) -> R:
        """Do something with snapshot files, in another thread than the log's."""
        try:
            return await asyncio.to_thread(call)
        except LogFailed as failure:
            self._stop(failure)
            raise
        except OSError as error:
            raise refusal(self._directory, error) from error

    async def _do(self, call: Callable[[], R]) -> R:
        """Have the log's thread do something, and wait for what it gives."""
        self._refuse_if_stopped()
        future: asyncio.Future[R] = self._loop.create_future()

        def job() -> None:
            if self._failure is not None:
                self._report(_refuse, [future], self._failure)
                return
            try:
                result = call()
            except errors.CoveyError as error:
                if isinstance(error, LogFailed):
                    self._fail(error)
                self._report(_refuse, [future], error)
            except Exception as error:  # noqa: BLE001 -- whatever it is, nobody may be left waiting
                self._report(_refuse, [future], self._fail(_unforeseen(error)))
            else:
                self._report(_resolve, future, result)

        self._jobs.put(job)
        return await future

    def _stop(self, failure: errors.CoveyError) -> None:
        if self._failure is None:
            _log.error("%s", failure)
            self._failure = failure

    # --- what follows runs on the log's own thread ---

    def _report(self, call: Callable[..., object], *arguments: Any) -> None:
        # A loop that has ended has nobody left who waits.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call, *arguments)

    def _work(self) -> None:
        waiting: deque[_Waiting | Job | None] = deque()
        while True:
            waiting.append(self._jobs.get()) if not waiting else None
            with contextlib.suppress(queue.Empty):
                while True:
                    waiting.append(self._jobs.get_nowait())
            if group := _take_group(waiting):
                self._write(group)
                continue
            job = waiting.popleft()
            if not callable(job):
                break
            job()
        self._finish()

    def _write(self, group: Sequence[_Waiting]) -> None:
        """Make a group durable, and tell."""
        group = self._without_refused(group)
        futures = [waiting.future for waiting in group]
        if self._failure is not None:
            self._report(_refuse, futures, self._failure)
            return
        try:
            self._journal.write([waiting.write for waiting in group])
            self._report(_resolve_all, futures)
            self._journal.checkpoint_if_due()
        except errors.ResourceExhausted as error:  # nothing was written: the log stays as sound as it was
            self._refused = error
            self._report(_refuse, futures, error)
        except errors.CoveyError as error:
            self._report(_refuse, futures, self._fail(error))
        except Exception as error:  # noqa: BLE001 -- whatever it is, nobody may be left waiting
            self._report(_refuse, futures, self._fail(_unforeseen(error)))

    def _without_refused(self, group: Sequence[_Waiting]) -> Sequence[_Waiting]:
        """Refuse what continues a write that was refused itself: it came too early to know."""
        if self._refused is None:
            return group
        last, kept = self._journal.state.last_index, list[_Waiting]()
        for waiting in group:
            entries = waiting.write.entries
            if entries and entries[0].index > last + 1:
                self._report(_refuse, [waiting.future], self._refused)
                continue
            if entries:
                last = entries[-1].index
            kept.append(waiting)
        return kept

    def _fail(self, failure: errors.CoveyError) -> errors.CoveyError:
        self._stop(failure)
        return failure

    def _finish(self) -> None:
        if self._failure is None:
            # Not needed for what was acknowledged; it makes the next start quicker.
            try:
                self._journal.checkpoint()
            except errors.CoveyError as error:
                _log.error("%s", error)
        self._journal.close()
        self._lock.release()


def _unforeseen(error: Exception) -> LogFailed:
    _log.exception("the log's thread met something nobody foresaw")
    return LogFailed(f"the log failed ({error!r}); restart the manager")


def _take_group(waiting: "deque[_Waiting | Job | None]") -> list[_Waiting]:
    """Take the writes that can share one transaction off the front of what waits."""
    group: list[_Waiting] = []
    size = 0
    while waiting and isinstance(next_one := waiting[0], _Waiting):
        if group and size + next_one.size > limits.log_group_bytes_max:
            break
        size += next_one.size
        group.append(next_one)
        waiting.popleft()
    return group


def _resolve(future: "asyncio.Future[R]", result: R) -> None:
    if not future.done():  # whoever waited may have given up
        future.set_result(result)


def _resolve_all(futures: "Sequence[asyncio.Future[None]]") -> None:
    for future in futures:
        _resolve(future, None)


def _refuse(futures: "Sequence[asyncio.Future[Any]]", error: errors.CoveyError) -> None:
    for future in futures:
        if not future.done():
            future.set_exception(error)
