"""A backup file's form: see the package's page."""

from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec import Struct

from covey import limits
from covey.errors import Corrupt, InvalidArgument
from covey.model.objects import Cluster, Object
from manager.store import snapshot

FORMAT = 1
_MAGIC = b"COVEY-BACKUP "
_FIRST_LINE = _MAGIC + b"%d\n" % FORMAT
_LENGTH_BYTES = 4
_DIGEST_BYTES = sha256().digest_size
_FIRST_LINE_BYTES_MAX = 64


class Header(Struct, frozen=True):
    """What a backup is of: the store at `index`, in the cluster's `epoch`. `version` is Covey's that made it."""

    cluster_id: str
    epoch: int
    index: int
    made_at_ns: int
    version: str


class Archive(Struct, frozen=True):
    """A backup file found sound. The chunks are read from the file again as they are used."""

    path: Path
    header: Header

    def chunks(self) -> Iterator[bytes]:
        """Give the snapshot's chunks."""
        with self.path.open("rb") as file:
            _first_line(file, self.path)
            frames = _frames(file, self.path)
            next(frames)
            yield from frames

    def objects(self) -> list[Object]:
        """Give every object; raises `Corrupt` if this version cannot read one."""
        try:
            return list(snapshot.objects(self.chunks()))
        except Corrupt as error:
            raise Corrupt(f"{self.path}: {error}") from error


def pack(header: Header, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Give the bytes of a backup file, in pieces of about a chunk each."""
    digest = sha256()

    def hashed(data: bytes) -> bytes:
        digest.update(data)
        return data

    yield hashed(_FIRST_LINE + _frame(msgspec.msgpack.encode(header)))
    for chunk in chunks:
        yield hashed(_frame(chunk))
    yield hashed(_frame(b""))
    yield digest.digest()


def open_archive(path: Path) -> Archive:
    """Read a backup file through, and give it if it is whole.

    Raises `InvalidArgument` if there is no such file or it is no backup, `Corrupt` if it is cut short, damaged
    or of a format this version does not know.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise InvalidArgument(
            f"{path}: cannot be read ({error.strerror}); name a file that root can read"
        ) from error
    with file:
        first = _first_line(file, path)
        _check_digest(file, path)
        file.seek(len(first))
        frames = _frames(file, path)
        try:
            header = msgspec.msgpack.decode(next(frames), type=Header)
            # Frames say for themselves where they end; a sum that fits over a wrong end would be our own fault.
            for _ in frames:
                pass
        except (StopIteration, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Corrupt(f"{path}: the header of the backup cannot be read ({error}); {_OTHER}") from error
    return Archive(path, header)


def check_content(archive: Archive, objects: Iterable[Object]) -> Cluster:
    """Give the cluster a backup is of; raises `Corrupt` if it holds none, or another one than it says."""
    clusters = [item for item in objects if isinstance(item, Cluster)]
    if [cluster.id for cluster in clusters] != [archive.header.cluster_id]:
        found = ", ".join(cluster.id for cluster in clusters) or "none"
        raise Corrupt(
            f"{archive.path}: says it is of cluster {archive.header.cluster_id}, and holds {found}; {_OTHER}"
        )
    return clusters[0]


def _first_line(file: BinaryIO, path: Path) -> bytes:
    line = file.readline(_FIRST_LINE_BYTES_MAX)
    if not line.startswith(_MAGIC):
        raise InvalidArgument(f"{path}: not a backup that `covey cluster backup` wrote")
    if line != _FIRST_LINE:
        number = line[len(_MAGIC) :].decode("ascii", "replace").strip()
        raise Corrupt(
            f"{path}: a backup of format {number!r}, and this version reads {FORMAT}; run the one that wrote it"
        )
    return line


def _check_digest(file: BinaryIO, path: Path) -> None:
    """Read the file from its beginning and compare its sum with its last bytes."""
    left = path.stat().st_size - _DIGEST_BYTES
    if left < len(_FIRST_LINE) + 2 * _LENGTH_BYTES:
        raise Corrupt(f"{path}: the backup is cut short; {_OTHER}")
    digest = sha256()
    file.seek(0)
    while left:
        data = file.read(min(left, limits.backup_read_bytes))
        if not data:
            raise Corrupt(f"{path}: the backup became shorter while it was read; {_OTHER}")
        digest.update(data)
        left -= len(data)
    if file.read() != digest.digest():
        raise Corrupt(f"{path}: the backup is cut short or damaged: its checksum does not fit; {_OTHER}")


def _frames(file: BinaryIO, path: Path) -> Iterator[bytes]:
    while size := int.from_bytes(_exactly(file, _LENGTH_BYTES, path)):
        if size > limits.backup_frame_bytes_max:
            raise Corrupt(
                f"{path}: a part of {size} bytes, and at most {limits.backup_frame_bytes_max} are written; {_OTHER}"
            )
        yield _exactly(file, size, path)


def _exactly(file: BinaryIO, size: int, path: Path) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise Corrupt(f"{path}: the backup is cut short; {_OTHER}")
    return data


def _frame(data: bytes) -> bytes:
    assert len(data) <= limits.backup_frame_bytes_max, "chunks are far smaller"
    return len(data).to_bytes(_LENGTH_BYTES) + data


_OTHER = "take another copy of it, or an earlier backup"
