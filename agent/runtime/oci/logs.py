"""Keeping a container's log within its bound without losing a line.

conmon replaces the log by a new file, and the old content is gone, both when it is told to open it anew and when
it reaches a bound of its own, which it also does while no agent is there. So the current file always has a
second name, `log.1`: what is replaced lives on under it. When `log` is seen to be another file than `log.1`, the
older files move up one number and the new one gets the second name.
"""

import os
from contextlib import suppress

from .bundle import Bundle, Record


def hold(bundle: Bundle, record: Record) -> bool:
    """Give the current log its second name if it has none yet; returns whether it has reached its bound."""
    second = f"{bundle.log}.1"
    try:
        current = os.stat(bundle.log)
        if not _is_same(current, second):
            _move_up(bundle, record)
            os.link(bundle.log, second)
    except FileNotFoundError:  # not written yet, or removed with its container
        return False
    return 0 < record.log_bytes_max <= current.st_size


def is_replaced(bundle: Bundle) -> bool:
    """Tell whether conmon has begun a new file that has no second name yet."""
    try:
        return not _is_same(os.stat(bundle.log), f"{bundle.log}.1")
    except FileNotFoundError:
        return False


def _move_up(bundle: Bundle, record: Record) -> None:
    """Rename `log.1` to `log.2` and so on; what would be more than `log_files` files goes."""
    with suppress(FileNotFoundError):
        if record.log_files <= 1:
            os.unlink(f"{bundle.log}.1")
    for number in range(record.log_files, 1, -1):
        with suppress(FileNotFoundError):
            os.rename(f"{bundle.log}.{number - 1}", f"{bundle.log}.{number}")


def _is_same(current: os.stat_result, path: str) -> bool:
    try:
        other = os.stat(path)
    except FileNotFoundError:
        return False
    return (current.st_dev, current.st_ino) == (other.st_dev, other.st_ino)
