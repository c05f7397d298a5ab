"""Starting and ending what runs in a dev cluster: any program, as a member of it."""

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from covey.errors import Unavailable

from . import cgroups, mounts
from .place import CHECKOUT, Place

_poll_s = 0.05


def start(place: Place, member: str, program: Sequence[str]) -> int:
    """Start `program` in the member's cgroup, network and under its hostname; its process id."""
    group = f"{place.cgroup(member)}/{own_group}"
    cgroups.create(group)
    argv = [
        sys.executable, "-m", "devcluster.launch", "--cgroup", group, "--net", str(place.netns(member)),
        "--hostname", member, "--log", str(place.log(member)), "--", *program,
    ]  # fmt: skip
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, cwd=CHECKOUT, check=False)
    if done.returncode != 0:
        raise Unavailable(f"{member} cannot start {program[0]}: {done.stderr.strip()}")
    return int(done.stdout)


# On cgroup v2 a group with groups below it may hold no processes itself: tasks get a sibling of this one.
# Not `tasks`: on v1 each group has a file of that name.
own_group = "system"
tasks_group = "containers"


def processes_of_member(place: Place, member: str) -> set[int]:
    """The member's own processes, without those of its tasks."""
    return cgroups.processes(f"{place.cgroup(member)}/{own_group}")


def is_running(place: Place, member: str) -> bool:
    """Whether any process of the member's own lives."""
    return bool(processes_of_member(place, member))


def power_off(place: Place, member: str) -> None:
    """End all of the member's processes and take away its mounts: what a power loss leaves is on disk."""
    cgroups.kill(place.cgroup(member))
    mounts.unmount_under(place.home(member))
    cgroups.remove(place.cgroup(member))


def processes_of_module(place: Place, member: str, module: str) -> list[int]:
    """The member's processes that Python started with `-m module`."""
    found = []
    for pid in sorted(processes_of_member(place, member)):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if "-m" in words[:-1] and words[words.index("-m") + 1] == module:
            found.append(pid)
    return found


def last_words(place: Place, member: str, lines: int = 15) -> str:
    """The end of the member's log, for an error message."""
    log = place.log(member)
    if not log.exists():
        return "(no log)"
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) or "(the log is empty)"


def wait_until(
    ready: Callable[[], bool], what: str, bound_s: float, alive: Callable[[], bool] = lambda: True
) -> None:
    """Wait until `ready`, at most `bound_s`; give up at once when it is no longer `alive`.

    Raises Unavailable that names `what` was waited for.
    """
    deadline = time.monotonic() + bound_s
    while not ready():
        if not alive():
            raise Unavailable(f"{what}: the process ended")
        if time.monotonic() > deadline:
            raise Unavailable(f"{what}: not within {bound_s:g} s")
        time.sleep(_poll_s)
