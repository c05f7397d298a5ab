"""Files that survive: written whole or not at all, and on the disk before anybody relies on them.

POSIX promises that `rename` replaces a name at once; it promises nothing of when. So: write a new file
beside the old, fsync it, rename it over the old, fsync the directory. After a power loss there is the old
content or the new, never a mixture.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

PRIVATE_FILE = 0o600
PRIVATE_DIRECTORY = 0o700


def make_private_directory(path: Path) -> None:
    """Make a directory (and its parents) for its owner alone, and make its name durable."""
    missing = [place for place in (path, *path.parents) if not place.exists()]
    for place in reversed(missing):
        with suppress(FileExistsError):  # made by somebody else meanwhile
            place.mkdir(mode=PRIVATE_DIRECTORY)
        sync_directory(place.parent)
    path.chmod(PRIVATE_DIRECTORY)


@contextmanager
def replacing(path: Path, mode: int = PRIVATE_FILE) -> Iterator[BinaryIO]:
    """Give a file to write to, which takes the place of `path` once the block ends; durably, or not at all."""
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    sync_directory(path.parent)


def write_atomic(path: Path, data: bytes, mode: int = PRIVATE_FILE) -> None:
    """Replace the content of `path`, durably: when this returns, a power loss no longer undoes it.

    The file belongs to this process's user and has exactly `mode`. What a crash leaves behind is a file
    named like `.key.pem.x1y2z3`, which the next `remove_leftovers` takes away.
    """
    with replacing(path, mode) as file:
        file.write(data)


def remove(path: Path) -> None:
    """Remove a file durably; one that is not there is as good as removed."""
    with suppress(FileNotFoundError):
        path.unlink()
        sync_directory(path.parent)


def remove_leftovers(directory: Path) -> None:
    """Remove what interrupted `write_atomic`s left in `directory`. Nobody may be writing there."""
    for path in directory.glob(".*.????????"):
        path.unlink(missing_ok=True)


def sync_directory(path: Path) -> None:
    """Put a directory's names on the disk."""
    with _opened(path) as handle:
        os.fsync(handle)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield handle
    finally:
        os.close(handle)
