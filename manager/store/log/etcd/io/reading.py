"""Giving the entries: what there is, then what comes, anew whenever the watch breaks."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any

from covey import limits
from covey.errors import Corrupt, CoveyError, Unavailable

from ...seam import Record, Snapshot
from .. import layout
from ..layout import Assembler, Head, Layout, Part
from ..sealing import Sealing
from .client import Compacted, Etcd, first
from .watching import watch

log = logging.getLogger(__name__)

News = Sequence[Record] | Snapshot


class _Gap(Exception):
    """What follows an index is not there any more."""

    def __init__(self, after: int, begins: int, ends: int) -> None:
        super().__init__(f"the log holds {begins} to {ends}, in etcd, and not what follows {after}")


class Reader:
    """Reads the log from an index on. `closing` is set when it is to end, once it has given all up to `due()`."""

    def __init__(
        self,
        etcd: Etcd,
        keys: Layout,
        sealing: Sealing,
        closing: asyncio.Event,
        due: Callable[[], int],
        newest: Callable[[], Awaitable[Snapshot | None]],
        heard: Callable[[Head], None],
    ) -> None:
        self._etcd, self._keys, self._sealing = etcd, keys, sealing
        self._closing = closing
        self._due = due
        self._newest = newest
        self._heard = heard
        self._key = 0  # the last key read
        self._record = 0  # the last record given
        self._revision = 0  # what was read is as of then
        self._parts = Assembler()

    async def records(self, after: int) -> AsyncGenerator[News, None]:
        """Give every record after an index, as `Log.records`."""
        self._key = self._record = after
        begun, pause_ms = False, limits.etcd_retry_ms_min
        while not self._is_done():
            try:
                async for records in self._pages():
                    begun, pause_ms = True, limits.etcd_retry_ms_min
                    if records:
                        yield records
                begun = True
                async for records in self._watched():
                    yield records
            except _Gap as gap:
                if not begun:
                    raise Corrupt(f"{gap}; restore a backup") from None
                found = await self._newest_after(gap)
                self._key = self._record = found.index
                self._parts = Assembler()
                yield found
            except Compacted as error:
                log.info("reading the log anew: %s", error)
            except Unavailable as error:
                log.info("the log is read again from index %s in a moment: %s", self._record, error)
                await self._pause(pause_ms)
                pause_ms = min(2 * pause_ms, limits.etcd_retry_ms_max)

    def _is_done(self) -> bool:
        return self._closing.is_set() and self._record >= self._due()

    async def _newest_after(self, gap: _Gap) -> Snapshot:
        found = await self._newest()
        if found is None or found.index <= self._record:
            raise Corrupt(f"{gap}, nor a snapshot of it; restore a backup")
        return found

    async def _pages(self) -> AsyncGenerator[list[Record], None]:
        """Read what there is, page by page, as of one revision."""
        etcd, keys = self._etcd, self._keys
        end = layout.after(keys.entries)
        answer = await etcd.txn([], [etcd.get(keys.head), etcd.get(keys.entries, end, limit=1)])
        kv, oldest = first(answer.found[0]), first(answer.found[1])
        head = layout.head(None if kv is None else kv.value, keys.head)
        begins = head.index + 1 if oldest is None else layout.index_of(oldest.key)
        if not begins - 1 <= self._key <= head.index:
            raise _Gap(self._key, begins, head.record)
        self._heard(head)
        self._revision = answer.revision
        while self._key < head.index:
            request = etcd.rpc.RangeRequest(
                key=keys.entry(self._key + 1),
                range_end=end,
                limit=limits.etcd_page_keys,
                revision=self._revision,
            )
            found = await etcd.range(request)
            if not found.kvs:
                raise layout.damaged(keys.entry(self._key + 1), "it is missing")
            yield self._take(found.kvs)

    async def _watched(self) -> AsyncGenerator[list[Record], None]:
        """Give what comes, until the watch breaks or the log is closed."""
        keys = self._keys
        end = layout.after(keys.entries)
        events = watch(self._etcd, keys.entries, end, self._revision + 1, deletions=False)
        try:
            while not self._is_done():
                found = await self._next(events)
                if found is None:
                    continue
                if records := self._take([event.kv for event in found]):
                    yield records
        finally:
            await events.aclose()

    async def _next(self, events: AsyncGenerator[list[Any], None]) -> list[Any] | None:
        """Wait for events; none if there is nothing left to wait for."""
        coming = asyncio.ensure_future(anext(events))
        closing = asyncio.ensure_future(self._closing.wait())
        try:
            if self._closing.is_set():
                await asyncio.wait((coming,), timeout=limits.etcd_request_timeout_s)
                return coming.result() if coming.done() else None
            await asyncio.wait((coming, closing), return_when=asyncio.FIRST_COMPLETED)
            if not coming.done() and not self._is_done():
                await asyncio.wait((coming,), timeout=limits.etcd_request_timeout_s)
            return coming.result() if coming.done() else None
        finally:
            for waiting in (coming, closing):
                if not waiting.done():
                    waiting.cancel()
                    with contextlib.suppress(asyncio.CancelledError, CoveyError):
                        await waiting

    def _take(self, kvs: Sequence[Any]) -> list[Record]:
        """Open what was read, see that nothing is missing, and put it together."""
        found: list[tuple[int, Part]] = []
        for kv in kvs:
            index = layout.index_of(kv.key)
            if index <= self._key:
                continue  # read before
            if index != self._key + 1:
                raise layout.damaged(self._keys.entry(self._key + 1), "it is missing")
            self._key = index
            found.append((index, self._sealing.open(kv.key, kv.value)))
        records = self._parts.feed_all(found)
        if records:
            self._record = records[-1].index
        return records

    async def _pause(self, pause_ms: int) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause_ms / 1000):
                await self._closing.wait()
        if self._closing.is_set():
            raise Unavailable("the log was closed before all of it was read") from None
