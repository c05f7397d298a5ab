"""The agent's database: assignments, last statuses and network tables, in one sqlite file.

It is a copy for bad days: a restarted agent works on from it while no manager answers. Writes are states,
not steps ("this row is this now"), gathered for a few milliseconds and written in one transaction by a
thread of their own, so a batch that could not be written (a full disk) is simply tried again, together with
what came since. `settled` waits until what was put before is durable. Credentials never come here
(`agent.tasks.assigned.without_credentials`).
"""

import asyncio
import logging
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec

from agent.tasks.assigned import KINDS
from agent.tasks.events import Local
from covey import limits
from covey.errors import Corrupt, FailedPrecondition, Unavailable
from covey.model.assignments import AssignmentSet
from covey.model.objects import ClusterVersion
from covey.model.tables import NetworkTable, NetworkTableDelta

from .journal import CHANGE, TABLE, TableJournal, put_together

log = logging.getLogger(__name__)

FORMAT = "1"
_Row = tuple[str, str]


class Remembered(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the session keeps over restarts."""

    last_seen: ClusterVersion = ClusterVersion()
    managers: tuple[str, ...] = ()


class Stored(msgspec.Struct, frozen=True):
    """Everything a former agent left."""

    assigned: AssignmentSet
    locals: dict[str, Local]
    tables: dict[str, NetworkTable]
    remembered: Remembered


_TYPES: dict[str, type[msgspec.Struct]] = {
    **KINDS,
    "local": Local,
    TABLE: NetworkTable,
    CHANGE: NetworkTableDelta,
    "session": Remembered,
}


class Database:
    """Rows of (kind, id) in `path`. Open it, `load` once, then `run` its writer while it is used."""

    def __init__(self, path: Path, cluster_id: str) -> None:
        """Open or make the file.

        Raises:
            Corrupt: the file is not ours, or damaged.
            FailedPrecondition: it is of another cluster, or of a format this version does not know.
            Unavailable: the disk refuses.
        """
        self._path = path
        self._dirty: dict[_Row, msgspec.Struct | None] = {}
        self.tables = TableJournal(self)
        self._put = 0
        self._written = 0
        self._news = asyncio.Event()
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="agent-db")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._sqlite = self._open(cluster_id)
        except sqlite3.OperationalError as error:
            raise self._refusal(error) from error
        except sqlite3.DatabaseError as error:
            raise self._damage(str(error)) from error

    def _open(self, cluster_id: str) -> sqlite3.Connection:
        sqlite = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
        try:
            sqlite.execute("PRAGMA journal_mode=WAL")
            sqlite.execute("PRAGMA synchronous=FULL")
            sqlite.execute(
                "CREATE TABLE IF NOT EXISTS rows (kind TEXT, id TEXT, body BLOB, PRIMARY KEY (kind, id)) WITHOUT ROWID"
            )
            sqlite.execute("INSERT OR IGNORE INTO rows VALUES ('meta', 'format', ?)", (FORMAT,))
            sqlite.execute("INSERT OR IGNORE INTO rows VALUES ('meta', 'cluster', ?)", (cluster_id,))
            found = dict(sqlite.execute("SELECT id, body FROM rows WHERE kind = 'meta'"))
            if found["format"] != FORMAT:
                raise FailedPrecondition(
                    f"{self._path} has format {found['format']}, this version of Covey reads {FORMAT}: "
                    "install the version that wrote it"
                )
            if found["cluster"] != cluster_id:
                raise FailedPrecondition(
                    f"{self._path} belongs to cluster {found['cluster']}, this node to {cluster_id}: "
                    "run `covey leave`, or remove the file if that cluster is gone"
                )
        except BaseException:
            sqlite.close()
            raise
        return sqlite

    def load(self) -> Stored:
        """Everything that is there. Raises `Corrupt` if a row cannot be read."""
        rows: dict[str, dict[str, Any]] = {kind: {} for kind in _TYPES}
        try:
            for kind, id, body in self._sqlite.execute(
                "SELECT kind, id, body FROM rows WHERE kind != 'meta'"
            ):
                rows[kind][id] = msgspec.msgpack.decode(body, type=_TYPES[kind])
        except (msgspec.DecodeError, KeyError, sqlite3.DatabaseError) as error:
            raise self._damage(str(error)) from error
        assigned = AssignmentSet(
            tasks=tuple(rows["task"].values()),
            revisions=tuple(rows["revision"].values()),
            networks=tuple(rows["network"].values()),
            endpoints=tuple(rows["endpoint"].values()),
            nodes=tuple(rows["node"].values()),
        )
        self.tables = TableJournal(self, rows[CHANGE])
        tables = put_together(rows[TABLE], rows[CHANGE])
        return Stored(assigned, rows["local"], tables, rows["session"].get("", Remembered()))

    def put(self, kind: str, id: str, value: msgspec.Struct | None) -> None:
        """The row is `value` from now on, or gone if it is None. Written soon; see `settled`."""
        self._dirty[kind, id] = value
        self._put += 1
        self._news.set()

    @property
    def ticket(self) -> int:
        """The number of the last `put`, to hand to `settled`."""
        return self._put

    async def settled(self, ticket: int) -> None:
        """Wait until everything up to `ticket` is durable; `Unavailable` if the disk refuses it."""
        if ticket <= self._written:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((ticket, future))
        await future

    async def run(self) -> None:
        """Write what is put, until cancelled; call `close` then."""
        while True:
            await self._news.wait()
            await asyncio.sleep(limits.agent_write_batch_ms / 1000)
            self._news.clear()
            if not await self._flush():
                await asyncio.sleep(limits.task_retry_delay_ms / 1000)
                self._news.set()

    async def close(self) -> None:
        """Write what is left, and close the file."""
        if self._dirty:
            await self._flush()
        self._thread.shutdown(wait=True)
        self._sqlite.close()
        for _, future in self._waiting:
            future.cancel()

    async def _flush(self) -> bool:
        batch, ticket, self._dirty = self._dirty, self._put, {}
        try:
            loop = asyncio.get_running_loop()
            await asyncio.shield(loop.run_in_executor(self._thread, self._write, batch))
        except sqlite3.Error as error:
            self._dirty = {**batch, **self._dirty}
            refusal = self._refusal(error)
            log.error("%s", refusal)
            self._answer(self._put, refusal)
            return False
        self._written = ticket
        self._answer(ticket, None)
        return True

    def _answer(self, ticket: int, error: Unavailable | None) -> None:
        still = []
        for wanted, future in self._waiting:
            if wanted > ticket:
                still.append((wanted, future))
            elif future.done():
                continue
            elif error is None:
                future.set_result(None)
            else:
                future.set_exception(Unavailable(str(error)))
        self._waiting = still

    def _write(self, batch: dict[_Row, msgspec.Struct | None]) -> None:
        encode = msgspec.msgpack.encode
        rows = [(kind, id, encode(value)) for (kind, id), value in batch.items() if value is not None]
        gone = [row for row, value in batch.items() if value is None]
        self._sqlite.execute("BEGIN IMMEDIATE")
        try:
            self._sqlite.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?, ?)", rows)
            self._sqlite.executemany("DELETE FROM rows WHERE kind = ? AND id = ?", gone)
            self._sqlite.execute("COMMIT")
        except sqlite3.Error:
            if self._sqlite.in_transaction:
                self._sqlite.execute("ROLLBACK")
            raise

    def _refusal(self, error: sqlite3.Error) -> Unavailable:
        return Unavailable(
            f"the agent cannot write {self._path} ({error}); no container is started until it can: free space "
            "on that disk, or make it writable"
        )

    def _damage(self, what: str) -> Corrupt:
        return Corrupt(
            f"{self._path} cannot be read ({what}); move it away and restart coveyd: containers on this node "
            "are then removed, and the managers start them anew"
        )
