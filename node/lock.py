"""One coveyd per run directory and per state directory, held by flock(2): it ends with its holder, always."""

import fcntl
import os
from pathlib import Path

from covey.errors import FailedPrecondition
from covey.io import files

_NAME = "coveyd.lock"


def acquire(directory: Path, flag: str) -> int:
    """Lock `directory`, made if need be; gives the open lock file, which is to be kept open.

    Raises `FailedPrecondition` naming the process that holds it.
    """
    try:
        files.make_private_directory(directory)
        handle = os.open(directory / _NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, files.PRIVATE_FILE)
    except OSError as error:
        raise FailedPrecondition(f"--{flag} {directory}: cannot be used: {error.strerror}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(handle, 32, 0).decode(errors="replace").strip() or "unknown"
        os.close(handle)
        raise FailedPrecondition(
            f"another coveyd (process {holder}) uses --{flag} {directory}; stop it, or give another directory"
        ) from None
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
    return handle
