"""The store in motion: commits go to the log, records come back and are applied, watchers hear of them."""

import asyncio
import itertools
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable, Hashable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

from covey import errors, limits
from covey.model.objects import Object

from . import entry, snapshot
from .draft import Draft
from .kinds import Kind, T
from .log.seam import Log, Record, Snapshot, Standing
from .tables import Tables
from .transaction import Commit, Transaction
from .view import Index
from .watch import Lagged, WatchQueue

R = TypeVar("R")
_log = logging.getLogger(__name__)


class Watch:
    """Every commit from a moment on: iterate, or take them by the `batch`. Ends when the store is closed.

    Raises `Lagged` when it was not read in time, and what stopped the store if that was a failure.
    """

    def __init__(self, bound: int, forget: Callable[["Watch"], None]) -> None:
        self._queue = WatchQueue(bound)
        self._news = asyncio.Event()
        self._forget = forget
        self._taken: list[Commit] = []

    def __aiter__(self) -> "Watch":
        return self

    async def __anext__(self) -> Commit:
        if not self._taken:
            self._taken = (await self.batch())[::-1]
        if not self._taken:
            raise StopAsyncIteration
        return self._taken.pop()

    async def batch(self) -> list[Commit]:
        """Wait for at least one commit and give all there are, in order; none at the end."""
        if self._taken:
            taken, self._taken = self._taken[::-1], []
            return taken
        while True:
            self._news.clear()
            commits = self._queue.take()
            if commits is None:
                return []
            if commits:
                return commits
            await self._news.wait()

    def close(self) -> None:
        """Stop watching."""
        self._forget(self)
        self.end()

    def offer(self, commit: Commit) -> None:
        """Tell of a commit (for the store)."""
        self._queue.offer(commit)
        self._news.set()

    def end(self, error: errors.CoveyError | None = None) -> None:
        """Tell that nothing follows (for the store)."""
        self._queue.end(error)
        self._news.set()


class Store:
    """The cluster's state on this manager: a `View`, and the way to change it. Make it with `start`."""

    def __init__(self, log: Log, tables: Tables, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._log = log
        self._tables = tables
        self._clock_ns = clock_ns
        # Other managers' proposals, and our own of an earlier life, come through the same log.
        self._proposals = itertools.count(secrets.randbits(62))
        self._waiting: dict[int, asyncio.Future[Commit | errors.Refused]] = {}
        self._watches: set[Watch] = set()
        self._retrying = asyncio.Lock()
        self._stopped: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._applied = asyncio.Event()
        self._still = asyncio.Lock()
        self._snapshot_index = tables.index
        self._bytes_since_snapshot = 0
        self._snapshotting: asyncio.Task[None] | None = None
        self._following: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, log: Log, clock_ns: Callable[[], int] = time.time_ns) -> "Store":
        """Read everything back from a log, which is the store's to close from here on.

        Raises `FailedPrecondition` if the files are another cluster's or of another format, `Corrupt` if they
        are damaged beyond what the log itself can mend.
        """
        try:
            found = await log.newest_snapshot()
            tables = await _decode(found) if found else Tables()
            if tables.index > log.last_index:
                raise errors.Corrupt(
                    f"the newest snapshot is of index {tables.index}, and the log ends at {log.last_index}: the log was "
                    "lost or replaced; restore the whole state from a backup"
                )
            store = cls(log, tables, clock_ns)
            store._following = asyncio.create_task(store._follow(), name="covey-store")
        except BaseException:
            await log.close()
            raise
        try:
            await store.reach(log.last_index, timeout_s=None)
        except BaseException:
            await store.close()
            raise
        return store

    # --- who leads, and reading what is so now ---

    @property
    def standing(self) -> Standing:
        """Who leads, as far as this manager knows."""
        return self._log.standing

    async def standing_after(self, known: Standing) -> Standing:
        """Wait until who leads is no longer as `known`; raises what ended the store or its log."""
        return await self._log.standing_after(known)

    async def barrier(self) -> int:
        """Wait until whatever was acknowledged anywhere before this call can be read here; give that index.

        Raises `Unavailable` if no majority of the managers answers, or the store stays behind for too long.
        """
        index = await self._log.confirm()
        await self.reach(index)
        return index

    async def reach(self, index: int, timeout_s: float | None = limits.store_reach_timeout_s) -> None:
        """Wait until everything up to `index` has been applied here; raises `Unavailable` after `timeout_s`."""
        if self.index >= index and not self._stopped.done():
            return
        try:
            async with asyncio.timeout(timeout_s):
                while self.index < index and not self._stopped.done():
                    await self._applied.wait()
        except TimeoutError as error:
            raise errors.Unavailable(
                f"this manager has applied changes up to {self.index}, and not yet up to {index}; try again, "
                "or ask another manager"
            ) from error
        self._refuse_if_stopped()

    async def close(self) -> None:
        """Stop: what was proposed is finished, watches end, files are let go."""
        if self._snapshotting is not None:
            await asyncio.wait([self._snapshotting])
        await self._log.close()
        if self._following is not None:
            await asyncio.wait([self._following])
        self._stop(None)

    async def stopped(self) -> None:
        """Wait until the store has stopped; raises the failure, if it was one. A manager ends then."""
        await asyncio.shield(self._stopped)

    # --- reading ---

    @property
    def index(self) -> int:
        """The log index of the last entry applied."""
        return self._tables.index

    def get(self, kind: type[T], id: str) -> T | None:
        """Find one object by id."""
        return self._tables.get(kind, id)

    def all(self, kind: type[T]) -> Iterable[T]:
        """Give all objects of a kind, ordered by id."""
        return self._tables.all(kind)

    def count(self, kind: type[T]) -> int:
        """Say how many objects of a kind there are."""
        return self._tables.count(kind)

    def find(self, kind: type[T], by: Index, value: Hashable) -> Sequence[T]:
        """Give the objects filed under `value`, ordered by id."""
        return self._tables.find(kind, by, value)

    def objects(self) -> tuple[int, dict[Kind, dict[str, Object]]]:
        """Give the index of what is now and every object of it by kind and id, unmoved by later commits."""
        return self._tables.index, self._tables.objects()

    def watch(self, bound: int = limits.watch_queue_commits_max) -> Watch:
        """Watch from now on: what is read before the next await, and every commit after, leave no gap."""
        watch = Watch(bound, self._watches.discard)
        if self._stopped.done():
            watch.end(self._failure())
        else:
            self._watches.add(watch)
        return watch

    @asynccontextmanager
    async def still(self) -> AsyncIterator[None]:
        """Have nothing applied for a while, so that another thread may read what there is."""
        async with self._still:
            yield

    def draft(self) -> Draft:
        """Begin a transaction."""
        return Draft(self._tables)

    # --- writing ---

    async def commit(self, transaction: Transaction) -> int:
        """Make a transaction durable and apply it; give its index. An empty one is no entry.

        Raises `Conflict` if an object changed since it was read, `AlreadyExists` if a name is taken,
        `ResourceExhausted` if it is too large, too many wait or the disk is full, `NotLeader` if another
        manager leads: nothing of it was applied then. After any other `Unavailable` (leadership was lost
        meanwhile, or `LogFailed`), nobody knows.
        """
        if not transaction:
            return self.index
        self._refuse_if_stopped()
        if len(self._waiting) >= limits.commits_waiting_max:
            raise errors.ResourceExhausted(
                f"{len(self._waiting)} changes wait to be committed; try again later"
            )
        proposal = next(self._proposals)
        data = entry.encode(entry.Entry(transaction, self._clock_ns(), proposal))
        outcome: asyncio.Future[Commit | errors.Refused] = asyncio.get_running_loop().create_future()
        self._waiting[proposal] = outcome
        try:
            await self._log.append((data,))
            result = await outcome
        finally:
            del self._waiting[proposal]
            outcome.cancel()
        if isinstance(result, errors.Refused):
            raise result
        return result.index

    async def update(self, change: Callable[[Draft], R]) -> R:
        """Have `change` write a draft and commit it, anew on a conflict; give what `change` gave.

        `change` may run several times, and must do nothing but read and write the draft. What it raises
        itself ends the update.
        """
        result, transaction = self._draft(change)
        try:
            await self.commit(transaction)
            return result
        except errors.Conflict:
            pass
        # Those that met a conflict queue up, so that they do not go on defeating each other.
        async with self._retrying:
            for retries_left in reversed(range(limits.commit_retries_max)):
                result, transaction = self._draft(change)
                try:
                    await self.commit(transaction)
                    return result
                except errors.Conflict:
                    if not retries_left:
                        raise
            raise AssertionError("the last retry returns or raises")

    def _draft(self, change: Callable[[Draft], R]) -> tuple[R, Transaction]:
        draft = self.draft()
        return change(draft), draft.transaction()

    # --- applying ---

    async def _follow(self) -> None:
        """Apply what the log gives, for as long as it gives."""
        failure: errors.CoveyError | None = None
        try:
            async for news in self._log.records(self._tables.index):
                async with self._still:
                    if isinstance(news, Snapshot):
                        await self._replace(news)
                    else:
                        for record in news:
                            self._apply(record)
                        self._snapshot_if_due()
                self._tell_applied()
        except errors.CoveyError as error:
            failure = error
        except Exception as error:  # noqa: BLE001 -- whatever it is, nobody may be left waiting
            _log.exception("applying the log failed")
            failure = errors.Bug(f"applying the log failed: {error!r}")
        self._stop(failure)

    def _apply(self, record: Record) -> None:
        decoded = entry.decode(record.data)
        outcome = self._tables.apply(decoded.transaction, record.index, decoded.at_ns)
        self._bytes_since_snapshot += len(record.data)
        if isinstance(outcome, Commit):
            for watch in self._watches:
                watch.offer(outcome)
        waiting = self._waiting.get(decoded.proposal)
        if waiting is not None and not waiting.done():
            waiting.set_result(outcome)

    def _refuse_if_stopped(self) -> None:
        if self._stopped.done():
            raise self._failure() or errors.Unavailable("the store is closed: the manager is stopping")

    async def _replace(self, found: Snapshot) -> None:
        """Take a whole snapshot in place of everything: this manager was away for long."""
        self._tables = await _decode(found)
        self._snapshot_index, self._bytes_since_snapshot = found.index, 0
        ending = f"a snapshot at index {found.index} replaced what this manager held"
        self._refuse_waiting(errors.Unavailable(f"{ending}: nobody knows whether the change was made; look"))
        lagged = Lagged(f"{ending}; read the store again and watch from there")
        for watch in self._watches:
            watch.end(lagged)
        self._watches.clear()

    def _stop(self, failure: errors.CoveyError | None) -> None:
        if self._stopped.done():
            return
        if failure is None:
            self._stopped.set_result(None)
        else:
            _log.error("the store stops: %s", failure)
            self._stopped.set_exception(failure)
            self._stopped.exception()  # asked for here, lest the loop complains if nobody else asks
        ending = failure or errors.Unavailable("the store is closed: the manager is stopping")
        self._refuse_waiting(ending)
        for watch in self._watches:
            watch.end(failure)
        self._watches.clear()
        self._tell_applied()

    def _refuse_waiting(self, error: errors.CoveyError) -> None:
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(error)
                waiting.exception()  # asked for here: whoever waits may have given up

    def _tell_applied(self) -> None:
        self._applied.set()
        self._applied = asyncio.Event()

    def _failure(self) -> errors.CoveyError | None:
        error = self._stopped.exception()
        assert error is None or isinstance(error, errors.CoveyError), "only such are put there"
        return error

    # --- snapshots ---

    def _snapshot_if_due(self) -> None:
        entries = self.index - self._snapshot_index
        due = entries >= limits.log_entries_between_snapshots
        due = due or self._bytes_since_snapshot >= limits.log_bytes_between_snapshots
        if due and (self._snapshotting is None or self._snapshotting.done()):
            self._snapshotting = asyncio.create_task(self.save_snapshot(), name="covey-snapshot")

    async def save_snapshot(self) -> None:
        """Write a snapshot of what is now, beside everything else, and compact the log."""
        index, objects = self.index, self._tables.objects()
        self._snapshot_index, self._bytes_since_snapshot = index, 0
        try:
            await self._log.save_snapshot(index, snapshot.encode(objects))
            await self._log.compact(limits.log_entries_kept_for_followers)
        except errors.CoveyError as error:
            # The log still holds everything; the next one is tried when as much again has been written.
            _log.error("no snapshot at index %s: %s", index, error)


async def _decode(found: Snapshot) -> Tables:
    """Read a snapshot in another thread: a large one would hold up heartbeats."""
    return await asyncio.to_thread(snapshot.decode, found.index, found.chunks)
