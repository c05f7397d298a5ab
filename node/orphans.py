"""Processes that a coveyd which was killed has left behind: found, and ended before new ones start.

They are known by what cannot be forgotten, whenever coveyd died: the arguments they were started with, and
a variable in their environment that names this node's lock file by device and inode. (Programs that a child
has started inherit the variable, not the arguments.) Pid files could not do it: between a start and the
writing of its pid file there is a moment.
"""

import os
import select
import signal
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from covey import limits
from covey.errors import Unavailable
from covey.io.process import pin

VARIABLE = "COVEYD_LOCK"


def mark(lock: int) -> str:
    """Name a node by its open lock file."""
    status = os.fstat(lock)
    return f"{status.st_dev}:{status.st_ino}"


def find(own: str, commands: Sequence[Sequence[str]]) -> dict[int, int]:
    """Find processes started by a coveyd marked `own` with one of `commands`; gives pid and an open pidfd.

    The caller closes the pidfds. They pin the process: its number cannot come to mean another one.
    """
    found: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        try:
            pidfd = pin(int(entry.name))
        except ProcessLookupError:
            continue
        if _is_ours(entry, own, commands):
            found[int(entry.name)] = pidfd
        else:
            os.close(pidfd)
    return found


def _is_ours(process: Path, own: str, commands: Sequence[Sequence[str]]) -> bool:
    try:
        words = os.fsdecode((process / "cmdline").read_bytes()).rstrip("\0").split("\0")
        if not any(list(command) == words for command in commands):
            return False
        return f"{VARIABLE}={own}".encode() in (process / "environ").read_bytes().split(b"\0")
    except OSError:
        return False  # it ended while we looked


def end(own: str, commands: Sequence[Sequence[str]]) -> list[int]:
    """End all orphans and wait for it; gives their pids. Blocks: run it in a thread.

    Raises `Unavailable` naming those that even SIGKILL does not end (they hang in the kernel).
    """
    found = find(own, commands)
    try:
        for deadly, wait_ms in (
            (signal.SIGTERM, limits.child_stop_ms),
            (signal.SIGKILL, limits.child_stop_ms),
        ):
            for pidfd in found.values():
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(pidfd, deadly)
            if _wait(found.values(), wait_ms):
                return sorted(found)
    finally:
        for pidfd in found.values():
            os.close(pidfd)
    raise Unavailable(
        f"processes of an earlier coveyd do not end: {', '.join(map(str, sorted(found)))}; reboot this host"
    )


def _wait(pidfds: Iterable[int], wait_ms: int) -> bool:
    waiting = select.poll()
    left = set(pidfds)
    for pidfd in left:
        waiting.register(pidfd, select.POLLIN)
    deadline = time.monotonic() + wait_ms / 1000
    while left and (rest := deadline - time.monotonic()) > 0:
        for pidfd, _ in waiting.poll(rest * 1000):
            waiting.unregister(pidfd)
            left.discard(pidfd)
    return not left
