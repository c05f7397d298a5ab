"""What test runs that were killed left behind: `cvt<pid>...` control groups, mounts and folders of dead pids.

Tests name all they make after their run (`prefix`), so that runs side by side never touch each other's, and
the next run, or `make clean`, can tell what nobody will clean up any more.
"""

import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from devcluster import cgroups, mounts

_RUN = re.compile(r"cvt(\d+)\D.*|cvt(\d+)")
_PLACES = (Path("/tmp"), Path("/run"))


def prefix() -> str:
    """The beginning of every name that this run gives."""
    return f"cvt{os.getpid()}"


def _dead(name: str) -> bool:
    """Whether `name` was given by a run that is no more."""
    match = _RUN.fullmatch(name)
    return match is not None and not Path(f"/proc/{match[1] or match[2]}").exists()


def _groups() -> Iterator[str]:
    found = {folder.name for tree in cgroups.hierarchies() for folder in tree.root.glob("cvt*/")}
    yield from sorted(name for name in found if _dead(name))


def _folders() -> Iterator[Path]:
    for place in _PLACES:
        yield from sorted(folder for folder in place.glob("cvt*") if _dead(folder.name))


def sweep() -> list[str]:
    """Remove it all, as root; what was found."""
    found = []
    for group in _groups():
        cgroups.kill(group)
        cgroups.remove(group)
        found.append(f"control group {group}")
    for folder in _folders():
        mounts.unmount_under(folder)
        shutil.rmtree(folder)
        found.append(str(folder))
    return found


if __name__ == "__main__":
    if os.geteuid() == 0:
        sys.stdout.writelines(f"removed {each} of a test run\n" for each in sweep())
