"""What test runs that were killed left behind: `cvt<pid>...` control groups, mounts and folders of dead pids, and
programs that were told to work in such a folder (as etcd is).

Tests name all they make after their run (`prefix`), so that runs side by side never touch each other's, and
the next run, or `make clean`, can tell what nobody will clean up any more.
"""

import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from devcluster import cgroups, mounts

_RUN = re.compile(r"cvt(\d+)\D.*|cvt(\d+)")
_PLACES = (Path("/tmp"), Path("/run"))
_FOLDER = re.compile(r"(?:/tmp|/run)/(cvt\d+[^/\0]*)")
RUN = "COVEY_TEST_RUN"
_END_S = 10.0  # for a process that was killed to be gone


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


def _programs() -> Iterator[int]:
    """The processes whose arguments name a folder of a run that is no more."""
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            said = file.read_text(errors="replace")
        except OSError:
            continue  # it has ended
        if any(_dead(name) for name in _FOLDER.findall(said)) or _dead(_run_of(file.parent)):
            yield int(file.parent.name)


def _run_of(process: Path) -> str:
    """The run that a process of wireguard-go says it is of: its arguments name no folder."""
    try:
        said = (process / "environ").read_text(errors="replace").split("\0")
    except OSError:
        return ""
    return next((each.partition("=")[2] for each in said if each.startswith(f"{RUN}=")), "")


def _end(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        end = time.monotonic() + _END_S
        while Path(f"/proc/{pid}/exe").exists() and time.monotonic() < end:
            time.sleep(0.01)


def sweep() -> list[str]:
    """Remove it all, as root; what was found."""
    found = []
    for group in _groups():
        cgroups.kill(group)
        cgroups.remove(group)
        found.append(f"control group {group}")
    for pid in _programs():
        _end(pid)
        found.append(f"process {pid}")
    for folder in _folders():
        mounts.unmount_under(folder)
        shutil.rmtree(folder)
        found.append(str(folder))
    return found


if __name__ == "__main__":
    if os.geteuid() == 0:
        sys.stdout.writelines(f"removed {each} of a test run\n" for each in sweep())
