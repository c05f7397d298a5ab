"""Opening paths as the container sees them: no `..`, and no symbolic link, leaves its root.

openat2(2) with RESOLVE_IN_ROOT lets the kernel do it, without the races of checking first; Python has no
wrapper for it, and libc none either, so it is called by number (the same on every architecture).
"""

import ctypes
import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_SYS_OPENAT2 = 437
_RESOLVE_IN_ROOT = 0x10
_RESOLVE_NO_MAGICLINKS = 0x02
_libc = ctypes.CDLL(None, use_errno=True)


class _OpenHow(ctypes.Structure):
    """`struct open_how` of linux/openat2.h."""

    _fields_ = [
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    ]


def open_inside(root: Path, path: str, flags: int) -> int:
    """Open `path` below `root` as a process whose root it is would; raises OSError like os.open."""
    how = _OpenHow(flags | os.O_CLOEXEC, 0, _RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS)
    top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fd: int = _libc.syscall(
            _SYS_OPENAT2, top, os.fsencode(path), ctypes.byref(how), ctypes.c_size_t(ctypes.sizeof(how))
        )
        if fd < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), path)
        return fd
    finally:
        os.close(top)


def read_inside(root: Path, path: str, bytes_max: int) -> str:
    """The text of a regular file below `root`, or "" if there is none; at most `bytes_max` bytes of it.

    An image may have anything in its place, and only a regular file is safe to open: a fifo would wait for a
    writer, and a device would be the host's (a watchdog resets it some time after it was opened).
    """
    try:
        place = open_inside(root, path, os.O_PATH)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return ""
        raise
    try:
        if not stat.S_ISREG(os.fstat(place).st_mode):
            return ""
        with open(f"/proc/self/fd/{place}", "rb") as file:
            return file.read(bytes_max).decode(errors="replace")
    finally:
        os.close(place)


@contextmanager
def directory_inside(root: Path, path: str) -> Iterator[Path | None]:
    """Yield a name that leads to directory `path` below `root` and nowhere else, or None if it is none."""
    fd = -1
    with suppress(OSError):
        fd = open_inside(root, path, os.O_PATH | os.O_DIRECTORY)
    try:
        yield Path(f"/proc/self/fd/{fd}") if fd >= 0 else None
    finally:
        if fd >= 0:
            os.close(fd)
