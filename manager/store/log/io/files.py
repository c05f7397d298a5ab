"""Durable directories and files."""

import contextlib
import errno
import os
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


def refusal(path: Path, error: OSError) -> errors.CoveyError:
    """Say an OS error in words: no room is the user's to mend, all else means the disk is failing."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return errors.ResourceExhausted(f"no space left for {path}: {error.strerror}; free some on that disk")
    return errors.Unavailable(f"cannot write {path}: {error.strerror}; check the disk")
