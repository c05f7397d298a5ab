"""Putting away what a removed member kept, so that its node can join again under a new id."""

import shutil
from pathlib import Path

from covey.io import files


def put_aside(state: Path) -> Path:
    """Move STATE/manager to STATE/manager.removed, in place of what was put there before; say where it is.

    A removed id can never come back (thesis 4.1), so its log is of no use to the group. It is kept all the same until
    the next time, or until the node leaves: what was in it may be dear to somebody. The disk must be closed.
    """
    kept, aside = state / "manager", state / "manager.removed"
    shutil.rmtree(aside, ignore_errors=True)
    kept.rename(aside)
    files.sync_directory(state)
    return aside
