"""The sqlite file that holds the log: STATE/manager/log.db. Synchronous; used from one thread at a time.

Every row that matters is sealed, and bound to cluster, member and place, so that none can pass for another:
the entries; and the one row of `state`, which is written with every transaction and says where the log
begins and ends, so that a row that vanished is missed. What stands in `meta` is needed to open them.
"""

import contextlib
import logging
import secrets
import sqlite3
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from covey import errors, limits
from covey.errors import LogFailed

from ..entry import Entry, EntryKind, HardState, SnapshotMark
from .database import FORMAT, Failure, connect, format_of, unopened
from .files import rejoin
from .keys import SALT_BYTES, DataKey, Seal, Unsealable

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE session (number INTEGER PRIMARY KEY, salt BLOB);
CREATE TABLE state (place INTEGER PRIMARY KEY, session INTEGER, number INTEGER, sealed BLOB);
CREATE TABLE entry (place INTEGER PRIMARY KEY, term INTEGER, kind INTEGER, session INTEGER, number INTEGER,
                    sealed BLOB);
"""
_ABOUT = struct.Struct(">QQB")  # index, term, kind
_log = logging.getLogger(__name__)


class State(Struct, frozen=True, array_like=True):
    """Where the log stands. `installed`: the index of the last snapshot that replaced the log, 0 for none."""

    hard_state: HardState = HardState()
    kept_index: int = 0
    kept_term: int = 0
    last_index: int = 0
    installed: int = 0


class Write(Struct, frozen=True, gc=False):
    """What one `Disk.write` asks for."""

    hard_state: HardState | None
    entries: Sequence[Entry]


class Journal:
    """A member's log in one sqlite database. See the package for its settings."""

    def __init__(self, path: Path, cluster_id: str, key: DataKey) -> None:
        """Open or make the log of a cluster; raises `FailedPrecondition` or `Corrupt` on a file not ours."""
        self.path = path
        self._key = key
        self._unchecked_bytes = 0
        self._seals: dict[int, Seal] = {}
        self._session = 0  # whose seal closes; 0 until the first write
        self.database = connect(path)
        try:
            self._open(cluster_id)
        except Failure as error:
            self.database.close()
            raise unopened(path, error) from error
        except errors.CoveyError:
            self.database.close()
            raise

    def _open(self, cluster_id: str) -> None:
        found = format_of(self.database, self.path, cluster_id)
        if found not in {None, FORMAT}:
            raise errors.FailedPrecondition(
                f"the log {self.path} has format {found}, and must be upgraded first"
            )
        self._pragma("journal_mode = WAL", "wal")
        self.database.execute("PRAGMA synchronous = FULL")
        self._pragma("synchronous", 2)
        self._pragma("wal_autocheckpoint = 0", 0)
        self.database.execute("PRAGMA secure_delete = OFF")  # what is deleted was never readable
        # At random, from 1: a member that lost its disk must not be taken for the one that voted.
        id = secrets.randbelow(2**63 - 1) + 1 if found is None else self._fact("id")
        self.id: int = id
        self._about_entry = f"entry\0{cluster_id}\0{id}\0".encode()
        self._about_state = f"state\0{cluster_id}\0{id}\0".encode()
        if found is None:
            self._create(cluster_id)
        if self._fact("key") != self._key.fingerprint:
            raise errors.FailedPrecondition(
                f"the log {self.path} is encrypted with another key than the one beside it; put the right key "
                f"back, or {rejoin(self.path.parent)}"
            )
        self._checkpoint_if_room()
        self.state = self._read_state()

    def _create(self, cluster_id: str) -> None:
        facts = {"format": FORMAT, "cluster_id": cluster_id, "id": self.id, "key": self._key.fingerprint}
        self.database.execute("BEGIN IMMEDIATE")
        for statement in filter(str.strip, _SCHEMA.split(";")):
            self.database.execute(statement)
        self.database.executemany("INSERT INTO meta VALUES (?, ?)", facts.items())
        self._begin_session()
        self._write_state(State(), self._seals[self._session])
        self.database.execute("COMMIT")

    def _pragma(self, pragma: str, expected: str | int) -> None:
        answer = self.database.execute(f"PRAGMA {pragma}").fetchone()
        if answer != (expected,):
            raise errors.FailedPrecondition(
                f"sqlite answers {answer} to {pragma} for {self.path}, not {expected}"
            )

    def _fact(self, key: str) -> Any:
        row = self.database.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    # --- reading ---

    def entries(self) -> Iterator[Entry]:
        """Give every entry, in order. Raises `Corrupt` if one is damaged, missing or too many."""
        place, term = self.state.kept_index, self.state.kept_term
        try:
            rows = self.database.execute("SELECT * FROM entry ORDER BY place")
            with contextlib.closing(rows):
                for row in rows:
                    entry = self._entry(place + 1, row)
                    if entry.term < term:
                        raise self._damaged(f"entry {entry.index}")
                    place, term = place + 1, entry.term
                    yield entry
        except Failure as error:
            raise unopened(self.path, error) from error
        if place != self.state.last_index:
            raise self._damaged(f"what follows entry {place}")

    def entry(self, place: int) -> Entry:
        """Give one entry that must be there; raises `Corrupt`."""
        try:
            row = self.database.execute("SELECT * FROM entry WHERE place = ?", (place,)).fetchone()
        except Failure as error:
            raise unopened(self.path, error) from error
        if row is None:
            raise self._damaged(f"entry {place}")
        return self._entry(place, row)

    def _entry(self, expected: int, row: Sequence[Any]) -> Entry:
        place, term, kind, session, number, sealed = row
        try:
            if place == expected:
                about = self._about_entry + _ABOUT.pack(place, term, kind)
                data = self._seal(session).open(number, sealed, about)
                return Entry(place, term, EntryKind(kind), data)
        except (Unsealable, ValueError, TypeError, struct.error):
            pass
        raise self._damaged(f"entry {expected}")

    def _read_state(self) -> State:
        row = self.database.execute("SELECT session, number, sealed FROM state").fetchone()
        if row is None:
            raise self._damaged("its state")
        try:
            return msgspec.msgpack.decode(
                self._seal(row[0]).open(row[1], row[2], self._about_state), type=State
            )
        except (Unsealable, msgspec.DecodeError, ValueError, TypeError, struct.error) as error:
            raise self._damaged("its state") from error

    def _seal(self, session: int) -> Seal:
        if session not in self._seals:
            row = self.database.execute("SELECT salt FROM session WHERE number = ?", (session,)).fetchone()
            if row is None or not isinstance(row[0], bytes):
                raise self._damaged(f"session {session}")
            self._seals[session] = Seal(self._key, "log", row[0])
        return self._seals[session]

    def _damaged(self, what: str) -> errors.Corrupt:
        return errors.Corrupt(
            f"the log {self.path} is damaged: {what} is not what was written; {rejoin(self.path.parent)}"
        )

    # --- writing ---

    def write(self, group: Sequence[Write]) -> None:
        """Make everything in the group durable in one transaction, one write after another.

        Raises `ResourceExhausted` if the disk is full: nothing is written then. Raises `LogFailed` if it is
        unknown what is on disk; the journal must not be used again.
        """
        state, rows, size = self.state, list[tuple[object, ...]](), 0
        with self._transaction() as seal:
            for write in group:
                if write.entries:
                    first, last = write.entries[0].index, write.entries[-1].index
                    if not state.kept_index < first <= state.last_index + 1:
                        raise errors.Bug(f"entry {first} is written where {state} is kept")
                    if first <= state.last_index:
                        self._insert(rows)
                        self.database.execute("DELETE FROM entry WHERE place >= ?", (first,))
                    for place, entry in enumerate(write.entries, first):
                        assert entry.index == place, "entries follow each other without a gap"
                        size += len(entry.data)
                        about = self._about_entry + _ABOUT.pack(place, entry.term, entry.kind)
                        sealed = seal.close(entry.data, about)
                        rows.append((place, entry.term, int(entry.kind), self._session, *sealed))
                    state = msgspec.structs.replace(state, last_index=last)
                if write.hard_state is not None:
                    state = msgspec.structs.replace(state, hard_state=write.hard_state)
            self._insert(rows)
            self._write_state(state, seal)
        self.state = state
        self._unchecked_bytes += size

    def _insert(self, rows: list[tuple[object, ...]]) -> None:
        self.database.executemany("INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?)", rows)
        rows.clear()

    def _write_state(self, state: State, seal: Seal) -> None:
        number, sealed = seal.close(msgspec.msgpack.encode(state), self._about_state)
        self.database.execute(
            "INSERT OR REPLACE INTO state VALUES (0, ?, ?, ?)", (self._session, number, sealed)
        )

    def reset(self, mark: SnapshotMark, hard_state: HardState | None) -> None:
        """Forget all entries: a snapshot stands for them, and is installed from this moment on."""
        state = State(hard_state or self.state.hard_state, mark.index, mark.term, mark.index, mark.index)
        with self._transaction() as seal:
            self.database.execute("DELETE FROM entry")
            self._write_state(state, seal)
        self.state = state

    def begin_after(self, mark: SnapshotMark) -> None:
        """Let an empty log begin after a place that entries of another log led to."""
        assert not self.state.last_index, "only an empty log"
        state = State(self.state.hard_state, mark.index, mark.term, mark.index)
        with self._transaction() as seal:
            self._write_state(state, seal)
        self.state = state

    def compact(self, through: int) -> None:
        """Forget the entries up to and including an index."""
        if through <= self.state.kept_index:
            return
        assert through <= self.state.last_index, "only what is there is compacted"
        state = msgspec.structs.replace(self.state, kept_index=through, kept_term=self.entry(through).term)
        with self._transaction() as seal:
            self.database.execute("DELETE FROM entry WHERE place <= ?", (through,))
            # Sessions rise along the log, for a suffix is only ever replaced by what is written later.
            self.database.execute(
                "DELETE FROM session WHERE number < ? AND number < "
                "(SELECT coalesce(min(session), ?) FROM entry WHERE place = ?)",
                (self._session, self._session, through + 1),
            )
            self._write_state(state, seal)
        self.state = state

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[Seal]:
        begins = not self._session
        try:
            self.database.execute("BEGIN IMMEDIATE")
            if begins:
                self._begin_session()
            yield self._seals[self._session]
            self.database.execute("COMMIT")
        except BaseException as error:
            # sqlite has rolled back by itself, or does here; where it cannot, closing does.
            if self.database.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    self.database.execute("ROLLBACK")
            if begins:
                self._seals.pop(self._session, None)
                self._session = 0
            if isinstance(error, Failure):
                raise self._failure(error) from error
            raise

    def _begin_session(self) -> None:
        newest = self.database.execute("SELECT coalesce(max(number), 0) FROM session").fetchone()[0]
        salt = secrets.token_bytes(SALT_BYTES)
        self.database.execute("INSERT INTO session VALUES (?, ?)", (newest + 1, salt))
        self._session = newest + 1
        self._seals[self._session] = Seal(self._key, "log", salt)

    def _failure(self, error: Exception) -> errors.CoveyError:
        if (
            getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
            and not self.database.in_transaction
        ):
            return errors.ResourceExhausted(f"no space left for {self.path}; free some on that disk")
        return LogFailed(
            f"the log {self.path} failed ({error}), and what was just written may be lost: nothing more is "
            "accepted; check the disk, then restart the manager"
        )

    # --- sqlite's write-ahead file ---

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
            busy, _, _ = self.database.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except Failure as error:
            raise self._failure(error) from error
        assert not busy, "nobody else has the journal open"

    def close(self) -> None:
        """Let go of the file."""
        self.database.close()
