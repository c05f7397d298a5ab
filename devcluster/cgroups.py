"""A node's cgroup, in every hierarchy there is: where its processes are found, and how they all end.

On cgroup v1 each controller has a tree of its own and a process has a place in every one of them; on v2
there is one tree. A group here is a path relative to the trees' roots, made in all of them.
"""

import errno
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from covey.errors import Unavailable

_kill_bound_s = 15.0
_poll_s = 0.02


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """One cgroup tree."""

    root: Path
    unified: bool  # cgroup v2
    controllers: frozenset[str]  # of v1; empty for v2


@cache
def hierarchies() -> tuple[Hierarchy, ...]:
    """Every cgroup tree mounted on this machine."""
    found: dict[Path, Hierarchy] = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, rest = line.partition(" - ")
        kind, _, options = rest.split(" ", 2)
        if kind in ("cgroup", "cgroup2"):
            root = Path(fields.split(" ")[4])
            controllers = frozenset(options.split(",")) if kind == "cgroup" else frozenset[str]()
            found[root] = Hierarchy(root, kind == "cgroup2", controllers)
    if not found:
        raise Unavailable("no cgroup hierarchy is mounted below /sys/fs/cgroup: nodes cannot be told apart")
    return tuple(found[root] for root in sorted(found))


def create(group: str) -> None:
    """Make `group` in every hierarchy; what is there already stays."""
    for hierarchy in hierarchies():
        folder = hierarchy.root
        for part in Path(group).parts:
            parent, folder = folder, folder / part
            folder.mkdir(exist_ok=True)
            if "cpuset" in hierarchy.controllers:
                _inherit_cpuset(parent, folder)


def _inherit_cpuset(parent: Path, folder: Path) -> None:
    """A v1 cpuset begins empty, and nothing can be put into an empty one."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        if not (folder / name).read_text().strip():
            (folder / name).write_text((parent / name).read_text())


def join(group: str) -> None:
    """Move the calling process, with all its threads, into `group`."""
    for hierarchy in hierarchies():
        (hierarchy.root / group / "cgroup.procs").write_text("0")


def _folders(group: str) -> Iterator[Path]:
    """`group` and all below it, in every hierarchy, the deepest first."""
    for hierarchy in hierarchies():
        top = hierarchy.root / group
        for folder, _, _ in os.walk(top, topdown=False):
            yield Path(folder)


def exists(group: str) -> bool:
    """Whether any hierarchy has `group`."""
    return any((hierarchy.root / group).is_dir() for hierarchy in hierarchies())


def processes(group: str) -> set[int]:
    """The ids of all processes in `group` or below."""
    pids: set[int] = set()
    for folder in _folders(group):
        try:
            pids.update(map(int, (folder / "cgroup.procs").read_text().split()))
        except OSError as error:
            if error.errno not in (
                errno.ENOENT,
                errno.ENODEV,
                errno.EOPNOTSUPP,
            ):  # gone meanwhile; a threaded group
                raise
    return pids - {0}


def kill(group: str) -> None:
    """End every process in `group` or below at once, as a power loss does.

    Processes that start others while they are being killed are met again in the next round.
    """
    deadline = time.monotonic() + _kill_bound_s
    while pids := processes(group):
        for hierarchy in hierarchies():
            at_once = hierarchy.root / group / "cgroup.kill"
            if hierarchy.unified and at_once.exists():
                at_once.write_text("1")
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if time.monotonic() > deadline:
            raise Unavailable(
                f"processes {sorted(pids)} of cgroup {group} do not die within {_kill_bound_s:g} s"
            )
        time.sleep(_poll_s)


def remove(group: str) -> None:
    """Remove `group` and all below it. Its processes must be gone; the kernel may need a moment to see it."""
    deadline = time.monotonic() + _kill_bound_s
    while True:
        busy = [folder for folder in _folders(group) if not _removed(folder)]
        if not busy:
            return
        if time.monotonic() > deadline:
            raise Unavailable(
                f"cgroup {busy[0]} cannot be removed: processes {sorted(processes(group))} are in it"
            )
        time.sleep(_poll_s)


def _removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except OSError as error:
        if error.errno in (errno.EBUSY, errno.ENOTEMPTY):
            return False
        if error.errno != errno.ENOENT:
            raise
    return True
