"""Writes the state of a manager as the version with one manager did: a log and snapshots in the clear.

Frozen: this is not to follow the product's code, but what is on people's disks.
"""

import hashlib
import os
import sqlite3
import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec


def data(place: int) -> bytes:
    """Give what entry `place` holds."""
    return b"entry %d " % place + b"secret" * (place * 37 % 200)


def chunks(index: int) -> list[bytes]:
    """Give what a snapshot holds."""
    return [b"first of %d " % index + b"secret" * 500, b"second"]


def write(
    directory: Path,
    cluster_id: str,
    count: int,
    *,
    snapshots: Sequence[int] | None = None,
    data: Callable[[int], bytes] = data,
    chunks: Callable[[int], list[bytes]] = chunks,
) -> None:
    """Write `count` entries and two snapshots, compacted through the older one, as a killed manager leaves them."""
    indexes = (count // 3, count * 2 // 3) if snapshots is None else snapshots
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "snapshots").mkdir(exist_ok=True)
    for index in indexes:
        snapshot(directory / "snapshots" / f"{index:020}.snap", cluster_id, index, chunks(index))
    db = sqlite3.connect(directory / "log.db", isolation_level=None)
    db.execute("PRAGMA locking_mode = EXCLUSIVE")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA wal_autocheckpoint = 0")
    db.execute("BEGIN IMMEDIATE")
    db.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID")
    db.execute("CREATE TABLE entry (place INTEGER PRIMARY KEY, crc INTEGER, data BLOB)")
    compacted = min(indexes) if len(indexes) > 1 else 0
    facts = {"format": 1, "cluster_id": cluster_id, "compacted": compacted}
    db.executemany("INSERT INTO meta VALUES (?, ?)", facts.items())
    db.execute("COMMIT")
    half = (compacted + count) // 2
    for first, last in ((compacted + 1, half), (half + 1, count)):
        rows = [(place, zlib.crc32(data(place)), data(place)) for place in range(first, last + 1)]
        db.execute("BEGIN IMMEDIATE")
        db.executemany("INSERT INTO entry VALUES (?, ?, ?)", rows)
        db.execute("COMMIT")
        if last == half:
            db.execute("PRAGMA wal_checkpoint(PASSIVE)")  # so that half is in the one file, half in the other
    for path in (directory, directory / "snapshots", directory.parent):
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
    keep_wal(db, directory)


def keep_wal(db: sqlite3.Connection, directory: Path) -> None:
    """Close the database, but leave what was written ahead of it, as a kill does."""
    left = {path.name: path.read_bytes() for path in directory.glob("log.db*")}
    db.close()
    for name, content in left.items():
        with (directory / name).open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    descriptor = os.open(directory, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def snapshot(path: Path, cluster_id: str, index: int, pieces: Sequence[bytes]) -> None:
    """Write a snapshot file."""
    header = msgspec.msgpack.encode({"format": 1, "cluster_id": cluster_id, "index": index})
    content = b"COVEYSNP"
    for frame in (header, *pieces):
        content += struct.pack(">I", len(frame)) + frame
    content += struct.pack(">I", 0)
    with path.open("wb") as file:
        file.write(content + hashlib.sha256(content).digest())
        file.flush()
        os.fsync(file.fileno())
