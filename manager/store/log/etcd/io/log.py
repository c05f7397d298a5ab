"""A `Log` in etcd, from its parts."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterable, Sequence

import msgspec

from covey import limits
from covey.errors import CoveyError, FailedPrecondition, Interrupted, LogFailed, NotLeader, Unavailable
from covey.model.store_access import StoreAccess

from ...seam import Record, Snapshot, Standing
from .. import layout
from ..layout import FORMAT, Format, Head, Layout, Who
from ..sealing import Sealing
from .client import Etcd
from .reading import Reader
from .session import Session, Won
from .snapshots import Snapshots
from .tenure import Tenure

log = logging.getLogger(__name__)


async def open_etcd(
    access: StoreAccess, cluster_id: str, *, node_id: str, address: str, founding: bool = False
) -> "EtcdLog":
    """Open the log of a cluster, or make it if `founding`.

    It may take a moment until somebody leads: see `standing_after`. Raises `Unavailable` if etcd does not answer,
    `FailedPrecondition` if what lies there is another cluster's, of another format or key, or not there.
    """
    keys = Layout(access.prefix, cluster_id)
    sealing = Sealing(access.data_key, keys)
    etcd = Etcd(access)
    try:
        head = await _begin(etcd, keys, sealing, founding)
        return EtcdLog(etcd, keys, sealing, Who(node_id, address), head)
    except BaseException:
        await etcd.close()
        raise


async def ping(access: StoreAccess) -> None:
    """See whether an etcd cluster can be used as it is meant to be; raises why not. Leaves nothing behind."""
    etcd = Etcd(access)
    try:
        where = f"{access.prefix}/ping".encode()
        said = ""
        for _ in access.endpoints * 2:
            try:
                await etcd.txn([], [etcd.put(where, b"")])
                await etcd.txn([], [etcd.delete(where)])
                return
            except Interrupted as error:
                said = str(error)
        raise Unavailable(said)
    finally:
        await etcd.close()


async def _begin(etcd: Etcd, keys: Layout, sealing: Sealing, founding: bool) -> Head:
    """Check what lies there, and give how far it reaches; waits for etcd, but not for long."""
    said = "etcd does not answer"
    try:
        async with asyncio.timeout(limits.etcd_open_timeout_s):
            while True:
                try:
                    if founding:
                        await etcd.txn(
                            [etcd.was_made_at(keys.format, 0)], [etcd.put(keys.format, sealing.format)]
                        )
                    _check_format(await etcd.value(keys.format), sealing, keys)
                    return layout.head(await etcd.value(keys.head), keys.head)
                except Interrupted as error:
                    said = str(error)
                    await asyncio.sleep(limits.etcd_retry_ms_max / 1000)
    except TimeoutError:
        raise Unavailable(said) from None


def _check_format(found: bytes | None, sealing: Sealing, keys: Layout) -> None:
    where = keys.format.decode()
    if found is None:
        raise FailedPrecondition(
            f"there is no {where} in etcd, so nothing of this cluster; was it removed, or is this another etcd? "
            "Restore it, or `covey leave --force`"
        )
    if found == sealing.format:
        return
    try:
        told = msgspec.msgpack.decode(found, type=Format)
    except msgspec.DecodeError as error:
        raise layout.damaged(keys.format, error) from error
    if told.format != FORMAT:
        raise FailedPrecondition(
            f"{where} in etcd is of format {told.format}, and this version reads {FORMAT}; run the version that wrote it"
        )
    raise FailedPrecondition(
        f"what lies at {where} in etcd was encrypted with another key, or is cluster {told.cluster_id}'s; copy "
        "STATE/manager/store.msgpack from another manager of this cluster"
    )


class EtcdLog:
    """A `Log` that an etcd cluster keeps."""

    def __init__(self, etcd: Etcd, keys: Layout, sealing: Sealing, own: Who, head: Head) -> None:
        self._etcd, self._keys, self._sealing = etcd, keys, sealing
        self._own = own
        self._last = head.record
        self._acknowledged = 0
        self._changed = asyncio.Event()
        self._closing = asyncio.Event()
        self._reading: set[asyncio.Event] = set()
        self._tenure: Tenure | None = None
        self._writing: set[asyncio.Task[None]] = set()
        self._snapshots = Snapshots(etcd, keys, sealing)
        self.session = Session(etcd, keys, own, self)
        self.session.start()

    # --- who leads ---

    @property
    def standing(self) -> Standing:
        """Who leads now."""
        session, own = self.session, self._own
        if (won := session.leading) is not None:
            return Standing(won.term, own.node_id, own.address, leads=True, since=won.head.record)
        leader = session.leader
        if (
            leader is None or leader.node_id == own.node_id
        ):  # what this node was before its restart leads nobody
            return Standing(session.term)
        return Standing(session.term, leader.node_id, leader.address)

    async def standing_after(self, known: Standing) -> Standing:
        """Wait until who leads is no longer as `known`."""
        while True:
            self._refuse_if_closed()
            if (standing := self.standing) != known:
                return standing
            left_s = self.session.good_for_s()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left_s + 0.001 if left_s > 0 else None):
                    await self._changed.wait()

    def won(self, won: Won) -> None:
        """Begin to write: this manager leads."""
        self._last = max(self._last, won.head.record)
        tenure = Tenure(
            self._etcd,
            self._keys,
            self._sealing,
            won,
            lambda: self.session.leading == won,
            self._note_written,
        )
        self._tenure = tenure
        writing = asyncio.create_task(self._write(tenure), name="covey-etcd-writer")
        self._writing.add(writing)
        writing.add_done_callback(self._writing.discard)

    async def _write(self, tenure: Tenure) -> None:
        ending = await tenure.run()
        if self._tenure is tenure:
            log.info("no more is written in term %s: %s", tenure.won.term, ending)
            self.session.resign()

    def lost(self) -> None:
        """Write no more: this manager does not lead."""
        tenure, self._tenure = self._tenure, None
        if tenure is not None:
            tenure.end(NotLeader("this manager does not lead any more, as far as it knows"))

    def tell(self) -> None:
        """Wake whoever waits for a change."""
        self._changed.set()
        self._changed = asyncio.Event()

    # --- entries ---

    @property
    def last_index(self) -> int:
        """The index of the last record this manager knows of."""
        return self._last

    async def confirm(self) -> int:
        """Give the last index, as a majority of etcd's members knows it."""
        self._refuse_if_closed()
        head = layout.head(await self._etcd.value(self._keys.head), self._keys.head)
        self._note(head)
        return head.record

    async def append(self, batch: Sequence[bytes]) -> None:
        """Have entries written."""
        self._refuse_if_closed()
        tenure = self._tenure
        if tenure is None or self.session.leading is None:
            leader = self.standing.leader
            raise NotLeader(f"this manager does not lead; {f'node {leader}' if leader else 'nobody'} does")
        await tenure.append(batch)

    async def records(self, after: int) -> AsyncIterator[Sequence[Record] | Snapshot]:
        """Give every record after an index, and wait for more."""
        reader = Reader(
            self._etcd,
            self._keys,
            self._sealing,
            self._closing,
            lambda: self._acknowledged,
            self._snapshots.newest,
            self._note,
        )
        finished = asyncio.Event()
        self._reading.add(finished)
        giving = reader.records(after)
        try:
            async for news in giving:
                last = news.index if isinstance(news, Snapshot) else news[-1].index
                self._last = max(self._last, last)
                yield news
        finally:
            await giving.aclose()
            finished.set()
            self._reading.discard(finished)

    def _note(self, head: Head) -> None:
        self._last = max(self._last, head.record)

    def _note_written(self, head: Head) -> None:
        self._note(head)
        self._acknowledged = max(self._acknowledged, head.record)

    # --- snapshots ---

    async def save_snapshot(self, index: int, chunks: Iterable[bytes]) -> None:
        """Make a snapshot durable. The leader does: it is everybody's."""
        self._refuse_if_closed()
        if (won := self.session.leading) is not None:
            await self._snapshots.save(index, chunks, won.term)

    async def newest_snapshot(self) -> Snapshot | None:
        """Find the newest sound snapshot."""
        return await self._snapshots.newest()

    async def compact(self, kept: int) -> None:
        """Forget what no kept snapshot needs, but a tail. The leader does."""
        self._refuse_if_closed()
        if (won := self.session.leading) is not None:
            oldest = await self._snapshots.forget_old(won.term)
            if oldest is not None:
                await self._snapshots.forget_entries(min(oldest, self._last - kept), won.term)

    # --- the end ---

    async def close(self) -> None:
        """Finish what was asked for, let the reader have it, and give the lease back."""
        if self._closing.is_set():
            return
        with contextlib.suppress(TimeoutError, CoveyError):
            async with asyncio.timeout(limits.etcd_close_timeout_s):
                if self._tenure is not None:
                    await self._tenure.drained()
        self._closing.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limits.etcd_close_timeout_s):
                for finished in list(self._reading):
                    await finished.wait()
        for writing in self._writing:
            writing.cancel()
        await asyncio.gather(*self._writing, return_exceptions=True)
        await self.session.close()
        await self._etcd.close()
        self.tell()

    def _refuse_if_closed(self) -> None:
        if self._closing.is_set():
            raise LogFailed("the log is closed: the manager is stopping")
