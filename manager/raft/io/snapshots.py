"""Snapshots as files: STATE/manager/snapshots/INDEX.snapshot, and INDEX.staged while a leader's is not valid yet.

A file is written under another name, fsynced, renamed, and its directory fsynced: under its own name it is
whole. It holds a magic word, a header in the clear, and sealed frames: length, last flag, bytes. The header
has a salt drawn for this file alone, from which with the data key the file's own key is derived; a frame's
nonce is its number and the last flag, and the header is what every frame is bound to. So no frame can be
changed, moved, left out or taken from another file, and a file that was cut off lacks its last frame (Hoang
and others, "Online authenticated-encryption and its nonce-reuse misuse-resistance", 2015, STREAM).
"""

import contextlib
import itertools
import logging
import os
import secrets
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Struct

from covey import errors, limits
from covey.errors import LogFailed

from ..entry import SnapshotMark
from ..seam import SavedSnapshot
from .files import make_directory, refusal, rejoin, remove, sync_directory
from .keys import SALT_BYTES, DataKey, Unsealable

FORMAT = 2
MAGIC = b"COVEYSNP"
_LENGTH = struct.Struct(">I")
_FRAME = struct.Struct(">I?")
_NONCE = struct.Struct(">3xQ?")
_log = logging.getLogger(__name__)


class Header(Struct, frozen=True):
    """What a snapshot is of, and how it is encrypted."""

    format: int
    cluster_id: str
    key: bytes  # the fingerprint of the data key
    salt: bytes
    mark: SnapshotMark


class Snapshots:
    """The snapshots of one cluster in one directory."""

    def __init__(self, directory: Path, cluster_id: str, key: DataKey) -> None:
        self.directory = directory
        self._cluster_id = cluster_id
        self._key = key
        self._sound: set[int] = set()  # looked through since they were written or found
        self._numbers = itertools.count()
        try:
            make_directory(directory)
            for leftover in directory.glob("*.tmp"):
                leftover.unlink()
        except OSError as error:
            raise refusal(directory, error) from error

    def indexes(self, suffix: str = ".snapshot") -> list[int]:
        """Give the indexes there are snapshots of, the oldest first."""
        found = self.directory.glob(f"*{suffix}")
        return sorted(int(path.stem) for path in found if path.stem.isdecimal())

    def save(self, mark: SnapshotMark, chunks: Iterable[bytes]) -> None:
        """Write a snapshot; once this returns, it survives a power loss."""
        writer = self.writer(mark, ".snapshot")
        try:
            for chunk in chunks:
                writer.write(chunk)
            writer.finish()
        finally:
            writer.abandon()

    def writer(self, mark: SnapshotMark, suffix: str = ".staged") -> "Writer":
        """Begin a snapshot that comes piece by piece."""
        path = self._path(mark.index, suffix)
        salt = secrets.token_bytes(SALT_BYTES)
        header = msgspec.msgpack.encode(Header(FORMAT, self._cluster_id, self._key.fingerprint, salt, mark))
        self._sound.discard(mark.index)
        aside = path.with_suffix(f".{next(self._numbers)}.tmp")
        return Writer(path, aside, header, self._key.derive("snapshot", salt))

    def newest(self, since: int = 0) -> SavedSnapshot | None:
        """Find the newest sound snapshot of `since` or later.

        A corrupt one is put aside as INDEX.snapshot.corrupt, for a person to see.
        """
        for index in reversed(self.indexes()):
            if index < since:
                break
            path = self._path(index)
            chunks = Chunks(path, self._read, partial(self._sound.discard, index))
            try:
                mark = self._check(path, index).mark
                if index not in self._sound:
                    for _ in chunks:
                        pass
                    self._sound.add(index)
                return SavedSnapshot(mark, chunks)
            except errors.Corrupt as error:
                _log.error("%s; it is put aside as %s.corrupt, and the one before is used", error, path.name)
                path.rename(path.with_name(f"{path.name}.corrupt"))
                sync_directory(self.directory)
        return None

    def staged(self) -> SnapshotMark | None:
        """Say of what a leader's snapshot lies ready; the newest, should there be more."""
        for index in reversed(self.indexes(".staged")):
            return self._check(self._path(index, ".staged"), index).mark
        return None

    def promote(self, index: int) -> None:
        """Make the staged snapshot valid, and forget what it replaces: older ones, and whatever else is staged."""
        self._sound.discard(index)
        self._path(index, ".staged").rename(self._path(index))
        sync_directory(self.directory)
        remove(self._path(other) for other in self.indexes() if other < index)
        self.stage_only(index)

    def recover(self, installed: int) -> None:
        """Finish at start what a crash interrupted: `installed` is what the log says was installed last."""
        staged = self.indexes(".staged")
        if installed in staged:
            self.promote(installed)
        else:
            remove(self._path(index, ".staged") for index in staged)

    def stage_only(self, index: int) -> None:
        """Forget what else is staged."""
        remove(self._path(other, ".staged") for other in self.indexes(".staged") if other != index)

    def forget_old(self) -> int | None:
        """Remove all but the newest few; give the oldest kept, if as many are kept as should be."""
        remove(self._path(index) for index in self.indexes()[: -limits.snapshots_kept])
        kept = self.indexes()
        return kept[0] if len(kept) >= limits.snapshots_kept else None

    def _path(self, index: int, suffix: str = ".snapshot") -> Path:
        return self.directory / f"{index:020}{suffix}"

    def _check(self, path: Path, index: int) -> Header:
        """Read who a file is for, and refuse it if that is not us."""
        with _open(path) as file:
            header = _header(file, path)[0]
        if header.cluster_id != self._cluster_id or header.mark.index != index:
            raise errors.FailedPrecondition(
                f"the snapshot {path} is of cluster {header.cluster_id} at index {header.mark.index}, not of "
                f"{self._cluster_id} at {index}; move it away"
            )
        if header.key != self._key.fingerprint:
            raise errors.FailedPrecondition(
                f"the snapshot {path} is encrypted with another key than the one in use; put the right key back, "
                f"or {rejoin(path.parent.parent)}"
            )
        return header

    def _read(self, path: Path) -> Iterator[bytes]:
        with _open(path) as file:
            header, about = _header(file, path)
            cipher = self._key.derive("snapshot", header.salt)
            left = path.stat().st_size - file.tell()
            for number in itertools.count():
                head = file.read(_FRAME.size)
                left -= _FRAME.size
                if left < 0 or (length := _FRAME.unpack(head)[0]) > left:
                    raise _damaged(path, f"it ends within frame {number}")
                last = head[-1]
                left -= length
                try:
                    # The flag as it stands: a byte that is neither 0 nor 1 makes another nonce.
                    chunk = cipher.decrypt(
                        _NONCE.pack(number, False)[:-1] + bytes((last,)), file.read(length), about
                    )
                except Unsealable:
                    raise _damaged(path, f"frame {number} is not what was written") from None
                if last:
                    if left or chunk:
                        raise _damaged(path, f"something follows frame {number}, the last")
                    return
                yield chunk


class Chunks:
    """What a snapshot holds, read anew by each that iterates; raises `Corrupt` where it is damaged."""

    def __init__(
        self, path: Path, read: Callable[[Path], Iterator[bytes]], distrust: Callable[[], None]
    ) -> None:
        self._path = path
        self._read = read
        self._distrust = distrust

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._read(self._path)
        except errors.Corrupt:
            self._distrust()
            raise
        except OSError as error:
            raise errors.Unavailable(f"cannot read {self._path}: {error.strerror}; check the disk") from error


class Writer:
    """A snapshot being written. `finish` gives it its name; `abandon` forgets it if that was not reached."""

    def __init__(self, path: Path, aside: Path, header: bytes, cipher: AESGCM) -> None:
        self._path = path
        self._aside = aside
        self._about = header
        self._cipher = cipher
        self._count = 0
        self._file: BinaryIO | None = None
        try:
            self._file = open(os.open(aside, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb")  # noqa: SIM115
            self._file.write(MAGIC + _LENGTH.pack(len(header)) + header + _LENGTH.pack(zlib.crc32(header)))
        except OSError as error:
            self.abandon()
            raise refusal(path, error) from error

    def write(self, chunk: bytes) -> None:
        """Add a chunk; raises `ResourceExhausted`, `Unavailable`."""
        self._frame(chunk, last=False)

    def finish(self) -> None:
        """Make it durable under its name. After `LogFailed` nobody knows which names the directory has."""
        self._frame(b"", last=True)
        assert self._file is not None, "not abandoned"
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._aside.rename(self._path)
        except OSError as error:
            raise refusal(self._path, error) from error
        self._file = None
        try:
            sync_directory(self._path.parent)
        except OSError as error:
            raise LogFailed(
                f"cannot make the name of {self._path} durable ({error.strerror}): nothing more is accepted; "
                "check the disk, then restart the manager"
            ) from error

    def abandon(self) -> None:
        """Let go of a file that was not finished; nothing happens to one that was."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()  # it may fail to write what is buffered
            self._file = None
        with contextlib.suppress(OSError):
            self._aside.unlink(missing_ok=True)

    def _frame(self, chunk: bytes, *, last: bool) -> None:
        assert self._file is not None, "not finished, not abandoned"
        sealed = self._cipher.encrypt(_NONCE.pack(self._count, last), chunk, self._about)
        self._count += 1
        try:
            self._file.write(_FRAME.pack(len(sealed), last))
            self._file.write(sealed)
        except OSError as error:
            raise refusal(self._path, error) from error


def _open(path: Path) -> BinaryIO:
    return path.open("rb")


def _header(file: BinaryIO, path: Path) -> tuple[Header, bytes]:
    """Give the header, and its bytes."""
    start = file.read(len(MAGIC) + _LENGTH.size)
    if len(start) < len(MAGIC) + _LENGTH.size or not start.startswith(MAGIC):
        raise _damaged(path, "it is cut off, or no snapshot of Covey")
    length = _LENGTH.unpack(start[len(MAGIC) :])[0]
    if length > path.stat().st_size:
        raise _damaged(path, "it ends within its header")
    data, crc = file.read(length), file.read(_LENGTH.size)
    if crc != _LENGTH.pack(zlib.crc32(data)):
        raise _damaged(path, "its header is not what was written")
    try:
        claimed = msgspec.msgpack.decode(data).get("format")
        if claimed != FORMAT:
            raise errors.FailedPrecondition(
                f"the snapshot {path} has format {claimed}, and this version reads {FORMAT}; "
                "run the version that wrote it"
            )
        return msgspec.msgpack.decode(data, type=Header), data
    except (msgspec.DecodeError, AttributeError) as error:
        raise _damaged(path, f"its header cannot be read: {error}") from error


def _damaged(path: Path, what: str) -> errors.Corrupt:
    return errors.Corrupt(f"the snapshot {path} is damaged: {what}")
