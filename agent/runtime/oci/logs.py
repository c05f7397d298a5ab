"""Keeping a container's log within its bound: rename the files, then have conmon open a new one.

No line is lost: until conmon acts on the order it goes on writing to the file that was renamed.
"""

import os
from contextlib import suppress

from .bundle import Bundle, Record


def is_due(bundle: Bundle, record: Record) -> bool:
    """Tell whether the log has reached its bound."""
    try:
        return record.log_bytes_max > 0 and bundle.log.stat().st_size >= record.log_bytes_max
    except FileNotFoundError:
        return False


def shift(bundle: Bundle, record: Record) -> None:
    """Rename `log` to `log.1`, `log.1` to `log.2` and so on; what is beyond `log_files` is overwritten.

    With a bound of one file there is still a `log.1`: the one that conmon has open.
    """
    for number in range(max(record.log_files - 1, 1), 0, -1):
        older = f"{bundle.log}.{number}"
        newer = f"{bundle.log}.{number - 1}" if number > 1 else str(bundle.log)
        with suppress(FileNotFoundError):
            os.rename(newer, older)
