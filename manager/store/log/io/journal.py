"""The sqlite file that holds the log. Synchronous; used from one thread at a time."""

import contextlib
import logging
import os
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from covey import errors, limits
from covey.errors import LogFailed

from ..seam import Record
from .files import make_directory, refusal, sync_directory, sync_file

FORMAT = 1
_log = logging.getLogger(__name__)


class Journal:
    """Entries, and the few facts about them, in one sqlite database. See the package for its settings."""

    def __init__(self, path: Path, cluster_id: str) -> None:
        """Open or make the journal of a cluster; raises `FailedPrecondition` or `Corrupt` on a file not ours."""
        self._path = path
        self._unchecked_bytes = 0
        try:
            make_directory(path.parent)
            if not path.exists():
                # Made by hand for its mode: it holds secrets. sqlite gives its other files the same.
                os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            # A run that was killed may have left in the page cache what it never synced. It is about to be
            # read and acted on, so it must be durable first.
            sync_file(path.with_name(f"{path.name}-wal"))
            sync_directory(path.parent)
        except OSError as error:
            raise refusal(path, error) from error
        self._db = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            self._open(cluster_id)
        except sqlite3.Error as error:
            self._db.close()
            raise _unopened(path, error) from error
        except errors.CoveyError:
            self._db.close()
            raise

    def _open(self, cluster_id: str) -> None:
        self._pragma("locking_mode = EXCLUSIVE", "exclusive")
        if self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            self._check_owner(cluster_id)
        self._pragma("journal_mode = WAL", "wal")
        self._db.execute("PRAGMA synchronous = FULL")
        self._pragma("synchronous", 2)
        self._pragma("wal_autocheckpoint = 0", 0)
        self._db.execute("BEGIN IMMEDIATE")
        self._db.execute("CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS entry (place INTEGER PRIMARY KEY, crc INTEGER, data BLOB)"
        )
        facts = {"format": FORMAT, "cluster_id": cluster_id, "compacted": 0}
        self._db.executemany("INSERT OR IGNORE INTO meta VALUES (?, ?)", facts.items())
        self._db.execute("COMMIT")
        self._checkpoint_if_room()
        self.compacted: int = self._fact("compacted")
        newest = self._db.execute("SELECT max(place) FROM entry").fetchone()[0]
        self.last_index: int = self.compacted if newest is None else newest

    def _pragma(self, pragma: str, expected: str | int) -> None:
        answer = self._db.execute(f"PRAGMA {pragma}").fetchone()
        if answer != (expected,):
            raise errors.FailedPrecondition(
                f"sqlite answers {answer} to {pragma} for {self._path}, not {expected}"
            )

    def _check_owner(self, cluster_id: str) -> None:
        if not self._db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'meta'").fetchone()[0]:
            raise errors.FailedPrecondition(
                f"{self._path} is a database, but not a log of Covey; move it away"
            )
        found, owner = self._fact("format"), self._fact("cluster_id")
        if found != FORMAT:
            raise errors.FailedPrecondition(
                f"the log {self._path} has format {found}, and this version reads {FORMAT}; run the version that wrote it"
            )
        if owner != cluster_id:
            raise errors.FailedPrecondition(
                f"the log {self._path} belongs to cluster {owner}, and this node to {cluster_id}; move it away"
            )

    def _fact(self, key: str) -> Any:
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def append(self, batch: Sequence[bytes], hard_state: bytes | None = None) -> list[Record]:
        """Make entries (and a consensus protocol's hard state) durable in one transaction.

        Raises `ResourceExhausted` if the disk is full: nothing is written then. Raises `LogFailed` if it is
        unknown what is on disk; the journal must not be used again.
        """
        records = [Record(place, data) for place, data in enumerate(batch, self.last_index + 1)]
        with self._transaction():
            self._db.executemany(
                "INSERT INTO entry VALUES (?, ?, ?)",
                [(record.index, zlib.crc32(record.data), record.data) for record in records],
            )
            if hard_state is not None:
                self._db.execute("INSERT OR REPLACE INTO meta VALUES ('hard_state', ?)", (hard_state,))
        self.last_index += len(records)
        self._unchecked_bytes += sum(len(data) for data in batch)
        return records

    @property
    def hard_state(self) -> bytes | None:
        """What the last append with a hard state said."""
        row = self._db.execute("SELECT value FROM meta WHERE key = 'hard_state'").fetchone()
        return row[0] if row else None

    def read(self, after: int) -> list[Record]:
        """Give some of the entries after an index, in order; none only if there are none. Raises `Corrupt`."""
        if not self.compacted <= after <= self.last_index:
            raise errors.Corrupt(
                f"the log {self._path} holds {self.compacted + 1} to {self.last_index}, and not what follows "
                f"{after}: a file of the state was lost or damaged; restore it from a backup"
            )
        records: list[Record] = []
        size = 0
        try:
            rows = self._db.execute(
                "SELECT place, crc, data FROM entry WHERE place > ? ORDER BY place", (after,)
            )
            with contextlib.closing(rows):
                for place, crc, data in rows:
                    if place != after + 1 or zlib.crc32(data) != crc:
                        raise errors.Corrupt(
                            f"entry {after + 1} of the log {self._path} is damaged; restore the state from a backup"
                        )
                    records.append(Record(place, data))
                    after, size = place, size + len(data)
                    if size >= limits.log_read_bytes:
                        break
        except sqlite3.Error as error:
            raise _unopened(self._path, error) from error
        return records

    def compact(self, through: int) -> None:
        """Forget the entries up to and including an index."""
        if through <= self.compacted:
            return
        assert through <= self.last_index, "only what is there is compacted"
        with self._transaction():
            self._db.execute("DELETE FROM entry WHERE place <= ?", (through,))
            self._db.execute("UPDATE meta SET value = ? WHERE key = 'compacted'", (through,))
        self.compacted = through

    def checkpoint_if_due(self) -> None:
        """Bring sqlite's write-ahead file home once it has grown."""
        if self._unchecked_bytes >= limits.log_checkpoint_bytes:
            self._checkpoint_if_room()

    def _checkpoint_if_room(self) -> None:
        self._unchecked_bytes = 0
        try:
            self.checkpoint()
        except errors.ResourceExhausted as error:
            # Nothing is lost: what was written stays in the write-ahead file. The next one comes soon enough.
            _log.error("%s", error)

    def checkpoint(self) -> None:
        """Bring sqlite's write-ahead file home, so that it starts from its beginning again."""
        try:
            busy, _, _ = self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error as error:
            raise self._failure(error) from error
        assert not busy, "nobody else has the journal open"

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            # sqlite has rolled back by itself, or does here; where it cannot, closing does.
            if self._db.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
            raise self._failure(error) from error

    def _failure(self, error: sqlite3.Error) -> errors.CoveyError:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL and not self._db.in_transaction:
            return errors.ResourceExhausted(f"no space left for {self._path}; free some on that disk")
        return LogFailed(
            f"the log {self._path} failed ({error}), and what was just written may be lost: nothing more is "
            "accepted; check the disk, then restart the manager"
        )


def _unopened(path: Path, error: sqlite3.Error) -> errors.CoveyError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return errors.FailedPrecondition(
            f"the log {path} is in use: another manager runs on this state; stop it"
        )
    if code in {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}:
        return errors.Corrupt(f"the log {path} is damaged ({error}); restore the state from a backup")
    if code == sqlite3.SQLITE_FULL:
        return errors.ResourceExhausted(f"no space left for {path}; free some on that disk")
    return LogFailed(f"the log {path} cannot be used ({error}); check the disk")
