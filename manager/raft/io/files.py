"""Durable directories and files."""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterable
from pathlib import Path

from covey import errors


def make_directory(path: Path) -> None:
    """Make a directory of ours alone, and its parents, such that they survive a power loss."""
    if path.is_dir():
        return
    make_directory(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)
    sync_directory(path.parent)


def sync_file(path: Path) -> None:
    """Make durable what any process has written to a file, if there is one."""
    with contextlib.suppress(FileNotFoundError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable: files made, renamed, removed."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_file(path: Path, data: bytes) -> None:
    """Write a small file of ours alone, whole or not at all; once this returns, it survives a power loss."""
    partial = path.with_name(f"{path.name}.tmp")
    with open(os.open(partial, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)
    sync_directory(path.parent)


def remove(paths: Iterable[Path]) -> None:
    """Remove files, durably; those that are gone already are none of our business."""
    directories = set[Path]()
    for path in paths:
        path.unlink(missing_ok=True)
        directories.add(path.parent)
    for directory in directories:
        sync_directory(directory)


class DirectoryLock:
    """Holds a directory for this process, until `release` or its death."""

    def __init__(self, path: Path) -> None:
        """Take the lock; raises `FailedPrecondition` if another process holds it."""
        self._descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._descriptor)
            raise errors.FailedPrecondition(
                f"{path} is in use: another manager runs on this state; stop it"
            ) from None
        except OSError:
            os.close(self._descriptor)
            raise

    def release(self) -> None:
        """Let go."""
        os.close(self._descriptor)


def refusal(path: Path, error: OSError) -> errors.CoveyError:
    """Say an OS error in words: no room is the user's to mend, all else means the disk is failing."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return errors.ResourceExhausted(f"no space left for {path}: {error.strerror}; free some on that disk")
    return errors.Unavailable(f"cannot write {path}: {error.strerror}; check the disk")


def rejoin(directory: Path) -> str:
    """Say how to get a manager back whose state is lost."""
    return (
        f"remove {directory} and let this manager join again as a new member, while the others have a "
        "majority; else restore the state from a backup"
    )
