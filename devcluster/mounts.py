"""Mounts, found again and taken away when a node loses its power."""

import ctypes
import errno
import os
import re
from pathlib import Path

_MNT_DETACH = 2
_rounds_max = 100  # mounts stacked on one another at a single place
_libc = ctypes.CDLL(None, use_errno=True)


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), text)


def mounted_under(root: Path) -> list[Path]:
    """Everything mounted at or below `root`, in the order in which it must be unmounted."""
    points = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = Path(_unescaped(line.split(" ")[4]))
        if point == root or root in point.parents:
            points.append(point)
    return points[::-1]


def unmount(point: Path) -> None:
    """Take away what is mounted at `point`, layer by layer; nothing there is fine too."""
    for _ in range(_rounds_max):
        if _libc.umount2(str(point).encode(), _MNT_DETACH) == 0:
            continue
        number = ctypes.get_errno()
        if number in (errno.EINVAL, errno.ENOENT):
            return
        raise OSError(number, f"unmount {point}: {os.strerror(number)}")


def unmount_under(root: Path) -> None:
    """Take away every mount at or below `root`."""
    for point in mounted_under(root):
        unmount(point)
