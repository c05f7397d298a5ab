"""Takes over what the version with one manager kept: format 1, a log and snapshots in the clear.

    log.db               entries (place, crc, data), and where they begin; converted into log.db.new
    snapshots/N.snap     converted into snapshots/N.snapshot

The old files are complete until log.db.new, complete and durable, is renamed over log.db: before that moment
whatever is new is thrown away and made again, after it whatever is old is swept. What one manager had made
durable was committed, so all of it is taken over, as of term 1.
"""

import contextlib
import hashlib
import logging
import sqlite3
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from covey import errors, limits

from ..entry import Entry, EntryKind, HardState, Member, Membership, SnapshotMark
from ..membership import encode_membership
from .database import Failure, connect, unopened
from .files import remove, sync_directory, sync_file
from .journal import Journal, Write
from .keys import DataKey
from .snapshots import Snapshots

TERM = 1
_MAGIC = b"COVEYSNP"
_LENGTH = struct.Struct(">I")
_DIGEST_BYTES = hashlib.sha256().digest_size
_log = logging.getLogger(__name__)


class _Header(Struct, frozen=True):
    format: int
    cluster_id: str
    index: int


def convert(directory: Path, cluster_id: str, key: DataKey, only: Member | None) -> None:
    """Convert a format 1 state in place; `only` is this manager, its `id` left out.

    Raises `Corrupt`, and changes nothing, if something is damaged; `ResourceExhausted` without room for a
    second copy of the log.
    """
    path, folder = directory / "log.db", directory / "snapshots"
    if only is None:
        raise errors.FailedPrecondition(
            f"the log {path} was written by a version with one manager; start the manager, which converts it"
        )
    remove([*directory.glob("log.db.new*"), *folder.glob("*.snapshot"), *folder.glob("*.staged")])
    old = connect(path)
    try:
        _leave_wal(old, path)
        new = Journal(path.with_name("log.db.new"), cluster_id, key)
        try:
            membership = Membership((replace(only, id=new.id, voter=True),))
            _convert_snapshots(old, path, Snapshots(folder, cluster_id, key), cluster_id, membership)
            last = _convert_entries(old, path, new, membership)
            _leave_wal(new.database, new.path)
        finally:
            new.close()
    except Failure as error:
        raise unopened(path, error) from error
    finally:
        old.close()
    sync_file(new.path)
    sync_directory(directory)
    new.path.rename(path)
    sync_directory(directory)
    _log.warning("the log %s was converted to the format of replicated managers, up to entry %d", path, last)


def sweep(directory: Path) -> None:
    """Remove what an upgrade has left: the old snapshots, and a new log that never got its name."""
    remove([*directory.glob("log.db.new*"), *(directory / "snapshots").glob("*.snap")])


def _leave_wal(database: sqlite3.Connection, path: Path) -> None:
    """Bring the write-ahead file home and remove it: beside another log it would be taken for that one's."""
    answer = database.execute("PRAGMA journal_mode = DELETE").fetchone()
    if answer != ("delete",) or path.with_name(f"{path.name}-wal").exists():
        raise errors.Unavailable(
            f"cannot bring the write-ahead file of {path} home (sqlite answers {answer}); check the disk"
        )
    sync_directory(path.parent)


def _convert_entries(old: sqlite3.Connection, path: Path, new: Journal, membership: Membership) -> int:
    """Copy the entries, then say who keeps the log; give the last index."""
    begins = last = _compacted(old)
    if begins:
        new.begin_after(SnapshotMark(begins, TERM))
    batch: list[Entry] = []
    size = 0
    for place, data in _entries(old, path, begins):
        batch.append(Entry(place, TERM, EntryKind.DATA, data))
        last, size = place, size + len(data)
        if size >= limits.log_group_bytes_max:
            new.write([Write(None, batch)])
            batch, size = [], 0
    last += 1
    batch.append(Entry(last, TERM, EntryKind.MEMBERSHIP, encode_membership(membership)))
    new.write([Write(HardState(TERM, new.id, last), batch)])
    return last


def _compacted(old: sqlite3.Connection) -> int:
    row = old.execute("SELECT value FROM meta WHERE key = 'compacted'").fetchone()
    return int(row[0]) if row else 0


def _entries(old: sqlite3.Connection, path: Path, after: int) -> Iterator[tuple[int, bytes]]:
    with contextlib.closing(old.execute("SELECT place, crc, data FROM entry ORDER BY place")) as rows:
        for place, crc, data in rows:
            after += 1
            if place != after or zlib.crc32(data) != crc:
                raise errors.Corrupt(
                    f"entry {after} of the log {path} is damaged; restore the state from a backup"
                )
            yield place, data


def _convert_snapshots(
    old: sqlite3.Connection, path: Path, new: Snapshots, cluster_id: str, membership: Membership
) -> None:
    """Copy every sound snapshot that the log continues; a damaged one is named and stays as it is."""
    begins = _compacted(old)
    newest = old.execute("SELECT max(place) FROM entry").fetchone()[0]
    ends = begins if newest is None else newest
    sound = 0
    for snapshot in sorted(new.directory.glob("*.snap")):
        try:
            index = _verify(snapshot, cluster_id)
        except errors.Corrupt as error:
            _log.error("%s; it is put aside as %s.corrupt", error, snapshot.name)
            snapshot.rename(snapshot.with_name(f"{snapshot.name}.corrupt"))
            continue
        if index > ends:
            raise errors.Corrupt(
                f"the newest snapshot is of index {index}, and the log {path} ends at {ends}: the log was lost or "
                "replaced; restore the whole state from a backup"
            )
        if index >= begins:
            new.save(SnapshotMark(index, TERM, membership), _chunks(snapshot))
            sound = index
    if sound < begins:
        raise errors.Corrupt(
            f"the log {path} begins after {begins}, and no sound snapshot of what came before is left; restore the "
            "state from a backup"
        )


def _verify(path: Path, cluster_id: str) -> int:
    """Check a whole snapshot against its digest; give its index."""
    digest, size = hashlib.sha256(), path.stat().st_size - _DIGEST_BYTES
    with path.open("rb") as file:
        while size > 0 and (piece := file.read(min(size, limits.snapshot_chunk_bytes))):
            digest.update(piece)
            size -= len(piece)
        if size or file.read() != digest.digest():
            raise errors.Corrupt(f"the snapshot {path} is damaged: its checksum does not match")
    with path.open("rb") as file:
        header = _header(file, path)
    if header.cluster_id != cluster_id or f"{header.index:020}" != path.stem:
        raise errors.FailedPrecondition(
            f"the snapshot {path} is of cluster {header.cluster_id} at index {header.index}, not of {cluster_id} at "
            f"{path.stem}; move it away"
        )
    return header.index


def _header(file: BinaryIO, path: Path) -> _Header:
    if file.read(len(_MAGIC)) != _MAGIC:
        raise errors.FailedPrecondition(f"{path} is no snapshot of Covey; move it away")
    try:
        return msgspec.msgpack.decode(next(_frames(file)), type=_Header)
    except msgspec.DecodeError as error:
        raise errors.Corrupt(f"the header of the snapshot {path} cannot be read ({error})") from error


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        _header(file, path)
        yield from _frames(file)


def _frames(file: BinaryIO) -> Iterator[bytes]:
    while length := _LENGTH.unpack(file.read(_LENGTH.size))[0]:
        yield file.read(length)
