"""Network namespaces by path: make, open, enter for a moment, remove.

A namespace lives as long as something holds it: a process, a socket, an open file, or a bind mount of its
`nsfs` file onto a path. Covey binds each one to a path, so that it outlives every process of ours.

`setns(2)` and `unshare(2)` change the calling *thread*. Two rules follow. All entering is done by one
dedicated thread, which runs a plain function inside and comes back before it does anything else, so that
no coroutine can ever be resumed in a foreign namespace. And if coming back fails, the process ends: a
thread in an unknown namespace would do right things in the wrong place. A new namespace is made by a
thread that ends with it. Nothing here forks: the agent has threads, and gRPC does not survive a fork.

Costs: entering and returning 6 us, a socket inside 10 us, a new namespace 0.6 ms.
"""

import ctypes
import errno
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

R = TypeVar("R")

_CLONE_NEWNET = 0x40000000
_MS_BIND = 4096
_MNT_DETACH = 2
_NSFS_MAGIC = 0x6E736673
_OWN = "/proc/thread-self/ns/net"

_libc = ctypes.CDLL(None, use_errno=True)
_entering = ThreadPoolExecutor(max_workers=1, thread_name_prefix="netns")


def create(path: Path) -> None:
    """Make a new, empty namespace and bind it to `path`. Raises FileExistsError if the path is taken."""
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444))
    try:
        _in_throwaway_thread(lambda: _unshare_onto(path))
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def delete(path: Path) -> None:
    """Unbind the namespace and remove the path; fine if there is none. It ends with its last user."""
    while True:  # a path can be mounted upon more than once, after a crash between two steps
        if _libc.umount2(os.fsencode(path), _MNT_DETACH) != 0:
            number = ctypes.get_errno()
            if number in (errno.EINVAL, errno.ENOENT):
                break
            raise OSError(number, os.strerror(number), str(path))
    path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Process:
    """A process that no later one of its number is taken for. `began` is in clock ticks since boot (proc(5))."""

    pid: int
    began: int

    @contextmanager
    def namespace(self) -> Iterator[int]:
        """Its network namespace, open. Raises OSError if it has ended."""
        folder = os.open(f"/proc/{self.pid}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:  # the folder stays that of one process: once that has ended, there is nothing in it
            if _began(folder) != self.began:
                raise OSError(errno.ESRCH, f"process {self.pid} has ended, and its number is another's")
            held = os.open("ns/net", os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder)
        finally:
            os.close(folder)
        try:
            yield held
        finally:
            os.close(held)


def process(pid: int) -> Process:
    """The process that has this number now. Raises OSError if there is none."""
    folder = os.open(f"/proc/{pid}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return Process(pid, _began(folder))
    finally:
        os.close(folder)


def _began(folder: int) -> int:
    with open(os.open("stat", os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder), "rb") as stat:
        return int(stat.read().rpartition(b")")[2].split()[19])


def bind(path: Path, process: Process) -> None:
    """Bind the namespace that a process is in to `path`, in place of whatever is there.

    Raises OSError if it has ended, or if it is in our own namespace: that belongs to the host's owner, and must never
    bear a name by which namespaces are changed and removed.
    """
    with process.namespace() as held:
        if os.path.samestat(os.fstat(held), os.stat(_OWN)):
            words = f"process {process.pid} is in the host's own network namespace"
            raise OSError(errno.EPERM, words, str(path))
        delete(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444))
        source = f"/proc/self/fd/{held}"
        if _libc.mount(os.fsencode(source), os.fsencode(path), b"none", _MS_BIND, None) != 0:
            number = ctypes.get_errno()
            path.unlink(missing_ok=True)
            raise OSError(number, os.strerror(number), str(path))


def holds(path: Path, process: Process) -> bool:
    """Tell whether a process is in the namespace bound to `path`. Raises OSError if either is not there."""
    with process.namespace() as held:
        return os.path.samestat(os.stat(path), os.fstat(held))


def exists(path: Path) -> bool:
    """Tell whether a namespace is bound to `path`; a plain file (left by a reboot) is none."""
    try:
        return _filesystem(path) == _NSFS_MAGIC
    except FileNotFoundError:
        return False


def open_fd(path: Path) -> int:
    """Open the namespace at `path`; the caller closes the descriptor. Keeps the namespace alive."""
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def call_inside(path: Path | None, function: Callable[[], R]) -> R:
    """Run `function` inside the namespace at `path` (None: the process's own) and return its result.

    It runs on the dedicated thread while the caller waits: keep it short, and never start threads in it.
    """
    if path is None:
        return function()
    return _entering.submit(_call, path, function).result()


def socket_inside(path: Path | None, family: int, kind: int, protocol: int = 0) -> socket.socket:
    """Open a socket inside the namespace at `path` (None: the process's own). It stays there for life."""
    return call_inside(path, lambda: socket.socket(family, kind | socket.SOCK_CLOEXEC, protocol))


def _call(path: Path, function: Callable[[], R]) -> R:
    home = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
    try:
        target = open_fd(path)
        try:
            _setns(target)
        finally:
            os.close(target)
        try:
            return function()
        finally:
            _return_to(home)
    finally:
        os.close(home)


def _return_to(home: int) -> None:
    try:
        _setns(home)
    except OSError as error:
        sys.stderr.write(f"covey: cannot leave a network namespace ({error}); ending the process\n")
        sys.stderr.flush()
        os._exit(70)  # EX_SOFTWARE; no cleanup may run in the wrong namespace


def _setns(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")


def _unshare_onto(path: Path) -> None:
    if _libc.unshare(_CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"unshare of a network namespace: {os.strerror(number)}; covey needs root")
    if _libc.mount(os.fsencode(_OWN), os.fsencode(path), b"none", _MS_BIND, None) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(path))


def _in_throwaway_thread(function: Callable[[], None]) -> None:
    failures: list[BaseException] = []

    def run() -> None:
        try:
            function()
        except BaseException as error:  # noqa: BLE001  handed to the caller, whatever it is
            failures.append(error)

    thread = threading.Thread(target=run, name="netns-create")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]


def _filesystem(path: Path) -> int:
    """The magic number of the filesystem `path` is on: the first field of statfs(2)."""
    buffer = ctypes.create_string_buffer(256)
    if _libc.statfs(os.fsencode(path), buffer) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(path))
    return int.from_bytes(buffer.raw[: ctypes.sizeof(ctypes.c_long)], sys.byteorder)
