"""Snapshots as files: STATE/manager/snapshots/INDEX.snap.

A file is written under another name, fsynced, renamed, and its directory fsynced: under its own name it is
whole. It holds a magic word with the format, a header, frames (length, bytes), a frame of length zero, and
the SHA-256 of all that.
"""

import contextlib
import hashlib
import logging
import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec import Struct

from covey import errors, limits

from ..seam import Snapshot
from .files import make_directory, refusal, sync_directory

FORMAT = 1
MAGIC = b"COVEYSNP"
_LENGTH = struct.Struct(">I")
_log = logging.getLogger(__name__)


class Header(Struct, frozen=True):
    """What a snapshot is of."""

    format: int
    cluster_id: str
    index: int


class Snapshots:
    """The snapshots of one cluster in one directory."""

    def __init__(self, directory: Path, cluster_id: str) -> None:
        self._directory = directory
        self._cluster_id = cluster_id
        make_directory(directory)
        for leftover in directory.glob("*.tmp"):
            leftover.unlink()

    def indexes(self) -> list[int]:
        """Give the indexes there are snapshots of, the oldest first."""
        return sorted(int(path.stem) for path in self._directory.glob("*.snap") if path.stem.isdecimal())

    def save(self, index: int, chunks: Iterable[bytes]) -> None:
        """Write a snapshot; once this returns, it survives a power loss."""
        path = self._path(index)
        partial = path.with_suffix(".tmp")
        try:
            with open(os.open(partial, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
                self._write(file, index, chunks)
                file.flush()
                os.fsync(file.fileno())
            partial.rename(path)
            sync_directory(self._directory)
        except OSError as error:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
            raise refusal(path, error) from error

    def newest(self) -> Snapshot | None:
        """Find the newest whole snapshot. A corrupt one is put aside as INDEX.snap.corrupt, for a person to see."""
        for index in reversed(self.indexes()):
            path = self._path(index)
            try:
                self._verify(path, index)
            except errors.Corrupt as error:
                _log.error("%s; it is put aside as %s.corrupt, and the one before is used", error, path.name)
                path.rename(path.with_name(f"{path.name}.corrupt"))
                sync_directory(self._directory)
            else:
                return Snapshot(index, _frames(path))
        return None

    def forget_old(self) -> int | None:
        """Remove all but the newest few; give the oldest kept, if as many are kept as should be."""
        (*old,) = self.indexes()[: -limits.snapshots_kept]
        for index in old:
            self._path(index).unlink()
        if old:
            sync_directory(self._directory)
        kept = self.indexes()
        return kept[0] if len(kept) >= limits.snapshots_kept else None

    def _path(self, index: int) -> Path:
        return self._directory / f"{index:020}.snap"

    def _write(self, file: BinaryIO, index: int, chunks: Iterable[bytes]) -> None:
        digest = hashlib.sha256()
        header = msgspec.msgpack.encode(Header(FORMAT, self._cluster_id, index))
        for piece in (MAGIC, *_framed(header)):
            digest.update(piece)
            file.write(piece)
        for chunk in chunks:
            for piece in _framed(chunk):
                digest.update(piece)
                file.write(piece)
        digest.update(_LENGTH.pack(0))
        file.write(_LENGTH.pack(0) + digest.digest())

    def _verify(self, path: Path, index: int) -> None:
        """Check the whole file against its digest, and what it claims to be against what is wanted."""
        digest, size = hashlib.sha256(), path.stat().st_size - hashlib.sha256().digest_size
        with path.open("rb") as file:
            while size > 0 and (piece := file.read(min(size, limits.snapshot_chunk_bytes))):
                digest.update(piece)
                size -= len(piece)
            if size or file.read() != digest.digest():
                raise errors.Corrupt(f"the snapshot {path} is damaged: its checksum does not match")
        with path.open("rb") as file:
            header = _header(file, path)
        if header.cluster_id != self._cluster_id or header.index != index:
            raise errors.FailedPrecondition(
                f"the snapshot {path} is of cluster {header.cluster_id} at index {header.index}, not of "
                f"{self._cluster_id} at {index}; move it away"
            )


def _framed(data: bytes) -> tuple[bytes, bytes]:
    return _LENGTH.pack(len(data)), data


def _header(file: BinaryIO, path: Path) -> Header:
    if file.read(len(MAGIC)) != MAGIC:
        raise errors.FailedPrecondition(f"{path} is no snapshot of Covey; move it away")
    frame = next(_read(file))
    try:
        claimed = msgspec.msgpack.decode(frame).get("format")
        if claimed != FORMAT:
            raise errors.FailedPrecondition(
                f"the snapshot {path} has format {claimed}, and this version reads {FORMAT}; "
                "run the version that wrote it"
            )
        return msgspec.msgpack.decode(frame, type=Header)
    except (msgspec.DecodeError, AttributeError) as error:
        raise errors.Corrupt(f"the header of the snapshot {path} cannot be read ({error})") from error


def _frames(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        _header(file, path)
        yield from _read(file)


def _read(file: BinaryIO) -> Iterator[bytes]:
    while length := _LENGTH.unpack(file.read(_LENGTH.size))[0]:
        yield file.read(length)
