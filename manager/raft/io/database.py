"""A log's sqlite file as such: opening it for one process, and telling whose it is."""

import os
import sqlite3
from pathlib import Path

from covey import errors
from covey.errors import LogFailed

from .files import make_directory, refusal, rejoin, sync_directory, sync_file
from .wal import lost_frame

FORMAT = 2
# What sqlite raises; a complaint that quotes damaged bytes cannot even be decoded.
Failure = (sqlite3.Error, UnicodeDecodeError)


def connect(path: Path) -> sqlite3.Connection:
    """Open or make a database of ours alone, for one process."""
    try:
        make_directory(path.parent)
        if not path.exists():
            # Made by hand for its mode. sqlite gives its other files the same.
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        # A run that was killed may have left in the page cache what it never synced. It is about to be
        # read and acted on, so it must be durable first.
        sync_file(path.with_name(f"{path.name}-wal"))
        sync_directory(path.parent)
    except OSError as error:
        raise refusal(path, error) from error
    database = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    database.text_factory = lambda text: text.decode(errors="replace")  # damage is found by what it says
    try:
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
    except Failure as error:
        database.close()
        raise unopened(path, error) from error
    return database


def probe(path: Path, cluster_id: str) -> int | None:
    """Say which format a log has, None if there is none yet; raises `FailedPrecondition` if it is not ours.

    To be asked before anything else opens it: sqlite forgets what it takes for the torn end of a log.
    """
    if not path.exists():
        return None
    ahead = path.with_name(f"{path.name}-wal")
    if (frame := lost_frame(ahead)) is not None:
        raise errors.Corrupt(
            f"the write-ahead file {ahead} of the log is damaged: frame {frame} was durable, and what leads to it is "
            f"not what was written; {rejoin(path.parent)}"
        )
    database = connect(path)
    try:
        return format_of(database, path, cluster_id)
    except Failure as error:
        raise unopened(path, error) from error
    finally:
        database.close()


def format_of(database: sqlite3.Connection, path: Path, cluster_id: str) -> int | None:
    """Do the same for one that is open."""
    tables = {row[0] for row in database.execute("SELECT name FROM sqlite_master").fetchall()}
    if not tables:
        return None
    if "meta" not in tables:
        raise errors.FailedPrecondition(f"{path} is a database, but not a log of Covey; move it away")
    facts = dict(database.execute("SELECT key, value FROM meta WHERE key IN ('format', 'cluster_id')"))
    format, owner = facts.get("format"), facts.get("cluster_id")
    if not isinstance(format, int) or not isinstance(owner, str):
        raise errors.Corrupt(f"the log {path} is damaged: it does not say whose it is; {rejoin(path.parent)}")
    if not 1 <= format <= FORMAT:
        raise errors.FailedPrecondition(
            f"the log {path} has format {format}, and this version reads {FORMAT}; run the version that wrote it"
        )
    if owner != cluster_id:
        raise errors.FailedPrecondition(
            f"the log {path} belongs to cluster {owner}, and this node to {cluster_id}; move it away"
        )
    return format


def unopened(path: Path, error: Exception) -> errors.CoveyError:
    """Say in words why a log cannot be read."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return errors.FailedPrecondition(
            f"the log {path} is in use: another manager runs on this state; stop it"
        )
    damaged = {
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_ERROR,
    }  # the last: its tables are not ours
    if code in damaged or isinstance(error, UnicodeDecodeError):
        return errors.Corrupt(f"the log {path} is damaged ({error}); {rejoin(path.parent)}")
    if code == sqlite3.SQLITE_FULL:
        return errors.ResourceExhausted(f"no space left for {path}; free some on that disk")
    return LogFailed(f"the log {path} cannot be used ({error}); check the disk")
