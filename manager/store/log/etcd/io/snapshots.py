"""Snapshots in etcd: chunks first, then the marker that makes them one. Only the leader writes and removes them."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

import msgspec

from covey import limits
from covey.errors import Corrupt, NotLeader

from ...seam import Snapshot
from .. import layout
from ..layout import ENDS, Layout, Marker, Part
from ..sealing import Sealing
from .client import Etcd

log = logging.getLogger(__name__)


class Snapshots:
    """The snapshots of one cluster."""

    def __init__(self, etcd: Etcd, keys: Layout, sealing: Sealing) -> None:
        self._etcd, self._keys, self._sealing = etcd, keys, sealing

    async def save(self, index: int, chunks: Iterable[bytes], term: int) -> None:
        """Write a snapshot; raises `NotLeader` once another one leads."""
        number = 0
        async for part in _with_end(chunks):
            key = self._keys.chunk(index, term, number)
            await self._as_leader(term, self._etcd.put(key, self._sealing.close(key, part)))
            number += 1
        marker = layout.encode(Marker(term, number))
        await self._as_leader(term, self._etcd.put(self._keys.snapshot(index), marker))

    async def newest(self) -> Snapshot | None:
        """Find the newest that is whole and sound."""
        for index, marker in reversed(await self._markers()):
            try:
                return Snapshot(index, await self._read(index, marker))
            except Corrupt as error:
                log.error("the snapshot at index %s: %s; the one before is used", index, error)
        return None

    async def forget_old(self, term: int) -> int | None:
        """Remove all but the newest few, and what attempts left; give the oldest kept, if as many are kept."""
        etcd, keys = self._etcd, self._keys
        markers = await self._markers()
        kept = markers[-limits.snapshots_kept :]
        for index, _ in markers[: -limits.snapshots_kept]:
            await self._as_leader(term, etcd.delete(keys.snapshot(index)))
        groups = {keys.group(index, marker.term) for index, marker in kept}
        for group in sorted(await self._groups() - groups):
            await self._as_leader(term, etcd.delete(group, layout.after(group)))
        return kept[0][0] if len(kept) >= limits.snapshots_kept else None

    async def forget_entries(self, through: int, term: int) -> None:
        """Remove entries up to an index, a bounded number at once."""
        keys, rpc = self._keys, self._etcd.rpc
        found = await self._etcd.range(
            rpc.RangeRequest(key=keys.entries, range_end=layout.after(keys.entries), limit=1, keys_only=True)
        )
        oldest = layout.index_of(found.kvs[0].key) if found.kvs else through + 1
        for begin in range(oldest, through + 1, limits.etcd_delete_keys):
            end = min(begin + limits.etcd_delete_keys, through + 1)
            await self._as_leader(term, self._etcd.delete(keys.entry(begin), keys.entry(end)))

    async def _as_leader(self, term: int, act: Any) -> None:
        # Done twice it does no harm, so one whose answer is lost is simply done again at the next snapshot.
        answer = await self._etcd.txn([self._etcd.was_made_at(self._keys.leader, term)], [act])
        if not answer.succeeded:
            raise NotLeader("this manager does not lead any more, so another one keeps the snapshots")

    async def _markers(self) -> list[tuple[int, Marker]]:
        keys, rpc = self._keys, self._etcd.rpc
        found = await self._etcd.range(
            rpc.RangeRequest(key=keys.snapshots, range_end=layout.after(keys.snapshots))
        )
        markers: list[tuple[int, Marker]] = []
        for kv in found.kvs:
            try:
                marker = msgspec.msgpack.decode(kv.value, type=Marker)
            except msgspec.DecodeError as error:
                log.error("%s; it is passed over", layout.damaged(kv.key, error))
                continue
            markers.append((layout.index_of(kv.key), marker))
        return markers

    async def _groups(self) -> set[bytes]:
        keys, rpc = self._keys, self._etcd.rpc
        found = await self._etcd.range(
            rpc.RangeRequest(key=keys.chunks, range_end=layout.after(keys.chunks), keys_only=True)
        )
        return {kv.key.rpartition(b"/")[0] + b"/" for kv in found.kvs}

    async def _read(self, index: int, marker: Marker) -> list[bytes]:
        keys = self._keys
        chunks: list[bytes] = []
        begun: list[bytes] = []
        for number in range(marker.chunks):
            key = keys.chunk(index, marker.term, number)
            value = await self._etcd.value(key)
            if value is None:
                raise layout.damaged(key, "it is missing")
            part = self._sealing.open(key, value)
            if bool(part.flags & _LAST) is not (number == marker.chunks - 1):
                raise layout.damaged(key, "the snapshot has another length")
            if part.flags & _LAST:
                break
            begun.append(part.data)
            if part.flags & ENDS:
                chunks.append(b"".join(begun))
                begun = []
        if marker.chunks == 0 or begun:
            raise layout.damaged(keys.snapshot(index), "it was cut off")
        return chunks


_LAST = 4  # the flag of the last part of the last chunk; it stands alone, in a part that holds nothing


async def _with_end(chunks: Iterable[bytes]) -> AsyncIterator[Part]:
    """Give a snapshot's parts, made in another thread, and one that says that these were all."""
    iterator: Iterator[bytes] = iter(chunks)
    while (chunk := await asyncio.to_thread(next, iterator, None)) is not None:
        for part in layout.parts(chunk):
            yield part
    yield Part(_LAST, b"")
