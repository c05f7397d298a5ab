"""Writing, for as long as one leadership lasts.

One transaction is under way at a time, and takes along all that has come in meanwhile: as with a disk, the more there
is to write, the more goes at once.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import Any

from msgspec import Struct

from covey import limits
from covey.errors import CoveyError, Interrupted, NotLeader, ResourceExhausted, Unavailable

from .. import layout
from ..layout import Head, Layout, Part
from ..sealing import Sealing
from .client import Etcd, first
from .session import Won

log = logging.getLogger(__name__)

DOUBT = "nobody knows whether the change was made; look"


class _Batch:
    """One call of append."""

    def __init__(self, outcome: "asyncio.Future[None]") -> None:
        self.outcome = outcome
        self.records_written = 0
        outcome.add_done_callback(
            lambda done: done.cancelled() or done.exception()
        )  # whoever waited may be gone

    def fail(self, error: CoveyError) -> None:
        if self.outcome.done():
            return
        if self.records_written:
            error = Unavailable(f"a part was written, then: {error}")
        self.outcome.set_exception(error)


class _Piece(Struct, frozen=True):
    """What goes into one key."""

    part: Part
    batch: _Batch
    last: bool  # of its batch


class _Became(Enum):
    WRITTEN = auto()
    DEPOSED = auto()
    DOUBTFUL = auto()
    MOVED = auto()  # the head is not what it was thought to be; nothing of this was written


class Tenure:
    """Appends to the log in one term. `alive` says whether this manager may still think that it leads."""

    def __init__(
        self,
        etcd: Etcd,
        keys: Layout,
        sealing: Sealing,
        won: Won,
        alive: Callable[[], bool],
        written: Callable[[Head], None],
    ) -> None:
        self.won = won
        self._etcd, self._keys, self._sealing = etcd, keys, sealing
        self._alive = alive
        self._written = written
        self._head = won.head
        self._known = won.head != Head()  # whether there is a head at all
        self._waiting: deque[_Piece] = deque()
        self._waiting_bytes = 0
        self._news = asyncio.Event()
        self._over: CoveyError | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    async def append(self, batch: Sequence[bytes]) -> None:
        """Have entries written; see `Log.append`."""
        if self._over is not None:
            raise self._over
        if self._waiting_bytes > limits.raft_uncommitted_bytes_max:
            raise ResourceExhausted(
                f"{self._waiting_bytes} bytes wait to be written to etcd; try again later"
            )
        if not batch:
            return
        calling = _Batch(asyncio.get_running_loop().create_future())
        pieces = [_Piece(part, calling, False) for data in batch for part in layout.parts(data)]
        pieces[-1] = _Piece(pieces[-1].part, calling, True)
        self._waiting.extend(pieces)
        self._waiting_bytes += sum(len(piece.part.data) for piece in pieces)
        self._idle.clear()
        self._news.set()
        await asyncio.shield(calling.outcome)

    def end(self, error: CoveyError) -> None:
        """Take nothing more, and refuse what waits."""
        self._over = self._over or error
        self._news.set()
        self._refuse_waiting(error)

    async def drained(self) -> None:
        """Wait until nothing waits."""
        await self._idle.wait()

    async def run(self) -> CoveyError:
        """Write what comes, until this leadership is over; gives why."""
        try:
            while self._over is None:
                self._news.clear()
                if not self._waiting:
                    self._idle.set()
                    await self._news.wait()
                elif (ending := await self._write(self._next())) is not None:
                    self.end(ending)
            return self._over
        finally:
            self.end(Unavailable("the log is being closed"))
            self._idle.set()

    def _next(self) -> list[_Piece]:
        """Take what fits one transaction."""
        taken: list[_Piece] = []
        size = 0
        while self._waiting and len(taken) < limits.etcd_request_puts_max:
            more = len(self._waiting[0].part.data)
            if taken and size + more > limits.etcd_request_bytes_max:
                break
            taken.append(self._waiting.popleft())
            size += more
        self._waiting_bytes -= size
        return taken

    async def _write(self, pieces: list[_Piece]) -> CoveyError | None:
        """Write pieces, or refuse them; gives what ends this leadership, if anything does."""
        while True:
            puts, head = self._sealed(pieces)
            try:
                became = await self._settle(puts, head)
            except asyncio.CancelledError:
                self._refuse(pieces, Unavailable(f"the manager is stopping; {DOUBT}"))
                raise
            except CoveyError as error:  # etcd refused it, and nothing of it was written
                self._refuse(pieces, error)
                return None
            if became is _Became.WRITTEN:
                self._acknowledge(pieces, head)
                return None
            if became is _Became.DEPOSED:
                gone = NotLeader("this manager does not lead any more; another one does, or will in a moment")
                self._refuse(pieces, gone)
                return gone
            if became is _Became.DOUBTFUL:
                lost = Unavailable(f"this manager lost the lead, or etcd, while it wrote; {DOUBT}")
                self._refuse(pieces, lost)
                return NotLeader("this manager does not lead any more, as far as it knows")

    def _sealed(self, pieces: Sequence[_Piece]) -> tuple[list[tuple[bytes, bytes]], Head]:
        puts: list[tuple[bytes, bytes]] = []
        record = self._head.record
        for index, piece in enumerate(pieces, self._head.index + 1):
            key = self._keys.entry(index)
            puts.append((key, self._sealing.close(key, piece.part)))
            if piece.part.flags & layout.ENDS:
                record = index
        return puts, Head(self._head.index + len(pieces), record, self.won.term)

    async def _settle(self, puts: Sequence[tuple[bytes, bytes]], head: Head) -> _Became:
        """Try a transaction until it is known what became of it, or this leadership is over.

        Trying again is safe: it is the very same, on the condition of a head that it replaces, so it happens once.
        Raises what etcd refused it with, if it was never in doubt.
        """
        etcd, keys = self._etcd, self._keys
        before = layout.encode(self._head) if self._known else None
        compares = [etcd.was_made_at(keys.leader, self.won.term), etcd.holds(keys.head, before)]
        then = [*(etcd.put(key, value) for key, value in puts), etcd.put(keys.head, layout.encode(head))]
        otherwise = [etcd.get(keys.leader), etcd.get(keys.head), etcd.get(puts[0][0])]
        doubt, pause_ms = False, limits.etcd_retry_ms_min
        while True:
            try:
                answer = await etcd.txn(compares, then, otherwise)
            except Interrupted as error:
                doubt = True
                log.info("%s; trying again", error)
            except CoveyError as error:
                if not doubt:
                    raise
                log.info("%s; trying again", error)
            else:
                if answer.succeeded:
                    return _Became.WRITTEN
                return self._read_back(answer.found, puts[0][1], head, doubt)
            if not self._alive() or self._over is not None:
                return _Became.DOUBTFUL
            await asyncio.sleep(pause_ms / 1000)
            pause_ms = min(2 * pause_ms, limits.etcd_retry_ms_max)

    def _read_back(self, found: Sequence[Any], own: bytes, wanted: Head, doubt: bool) -> _Became:
        """Find out from what stands there why a transaction found its condition not met."""
        leader, head, entry = (first(kvs) for kvs in found)
        now = layout.head(None if head is None else head.value, self._keys.head)
        if entry is not None and entry.value == own:
            return _Became.WRITTEN  # by an attempt whose answer was lost
        if leader is None or leader.create_revision != self.won.term:
            gone = entry is None and now.index >= wanted.index  # another leader has compacted it
            return _Became.DOUBTFUL if doubt and gone else _Became.DEPOSED
        self._head, self._known = now, head is not None
        return _Became.MOVED

    def _acknowledge(self, pieces: Sequence[_Piece], head: Head) -> None:
        self._head, self._known = head, True
        self._written(head)
        for piece in pieces:
            if piece.part.flags & layout.ENDS:
                piece.batch.records_written += 1
            if piece.last and not piece.batch.outcome.done():
                piece.batch.outcome.set_result(None)

    def _refuse(self, pieces: Sequence[_Piece], error: CoveyError) -> None:
        """Refuse pieces, and what else waits of the same calls: what is left of an entry is worth nothing."""
        refused = {id(piece.batch) for piece in pieces}
        for piece in pieces:
            piece.batch.fail(error)
        kept = [piece for piece in self._waiting if id(piece.batch) not in refused]
        self._waiting = deque(kept)
        self._waiting_bytes = sum(len(piece.part.data) for piece in kept)

    def _refuse_waiting(self, error: CoveyError) -> None:
        for piece in self._waiting:
            piece.batch.fail(error)
        self._waiting.clear()
        self._waiting_bytes = 0
