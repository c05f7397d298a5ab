"""Running other programs from an event loop, without a shell, a thread or a pipe to drain.

Output goes to memory files rather than pipes: a program that leaves a daemon behind (conmon does) would
hold a pipe open for ever, and a pipe nobody reads stops its writer. The end is seen through a pidfd
(pidfd_open(2)), so no SIGCHLD handler is needed and no other code's children are reaped. Python starts
programs with vfork, which does not copy the caller's page tables.
"""

import asyncio
import errno
import os
import shutil
import subprocess
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from msgspec import Struct

from covey import limits
from covey.errors import Unavailable

_PLACES = ":".join(
    (
        "/usr/local/sbin",
        "/usr/local/bin",
        "/usr/sbin",
        "/usr/bin",
        "/sbin",
        "/bin",
        "/usr/libexec/podman",
        "/usr/lib/podman",
    )
)


class Finished(Struct, frozen=True, gc=False):
    """A program that ended: its code (negative: the signal that killed it) and what it wrote."""

    code: int
    stdout: bytes
    stderr: bytes

    @property
    def complaint(self) -> str:
        """The last lines of what it said on stderr, for an error message."""
        return self.stderr.decode(errors="replace").strip()[-limits.program_complaint_chars_max :]


@cache
def find_program(name: str) -> str | None:
    """The absolute path of a program, looked up once in the usual places whatever PATH says."""
    return shutil.which(name, path=_PLACES)


def require_program(name: str, package: str) -> str:
    """Like `find_program`; `Unavailable` names the Debian package if it is not installed."""
    path = find_program(name)
    if path is None:
        raise Unavailable(f"the program {name} is not installed on this node; install the package {package}")
    return path


async def readable(fd: int) -> None:
    """Wait until `fd` can be read; for a pidfd that is when the process has ended."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def fire() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(fd, fire)
    try:
        await ready
    finally:
        loop.remove_reader(fd)


async def run(
    argv: Sequence[str],
    *,
    timeout_s: float,
    env: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
) -> Finished:
    """Run `argv` (first word an absolute path) to its end and return what it wrote.

    Raises `Unavailable` if it cannot be started or takes longer than `timeout_s`; then, as on cancellation,
    it has been killed. Of each output the newest `limits.program_output_bytes_max` are kept.
    """
    out, err = os.memfd_create("stdout"), os.memfd_create("stderr")
    try:
        child = _spawn(argv, out, err, env, pass_fds)
        try:
            async with asyncio.timeout(timeout_s):
                code = await ended(child)
        except TimeoutError:
            raise Unavailable(f"{argv[0]} did not end within {timeout_s:g} s and was killed") from None
        finally:
            if child.returncode is None:
                child.kill()
                child.wait()
        return Finished(code, _content(out), _content(err))
    finally:
        os.close(out)
        os.close(err)


def pin(pid: int) -> int:
    """A pidfd of a process, which the caller closes; raises `ProcessLookupError` if there is none of that number.

    A number that was a process's may be a thread's by now, which is no process either: the kernel says so in words
    of its own (EINVAL, and ENOENT since Linux 6.15).
    """
    try:
        return os.pidfd_open(pid)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOENT):
            raise ProcessLookupError(errno.ESRCH, f"process {pid} is a thread of another") from None
        raise


def sockets_of(pid: int) -> Iterator[tuple[str, int]]:
    """A process's sockets: what the kernel calls each (`socket:[123]`), and its number there.

    Raises OSError if there is no such process, or it is not ours to look into.
    """
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            name = os.readlink(each)
            if name.startswith("socket:"):
                yield name, int(each.name)


def holder_of(sockets: Container[str]) -> int:
    """The process that has one of these sockets open, by the kernel's names; 0 if there is none that we see."""
    for pid in sorted(int(each.name) for each in Path("/proc").glob("[0-9]*")):
        with suppress(OSError):  # it ended while we looked
            if any(name in sockets for name, _ in sockets_of(pid)):
                return pid
    return 0


async def ended(child: "subprocess.Popen[bytes]") -> int:
    """Wait for a child to end and reap it; returns its code."""
    try:
        pidfd = pin(child.pid)
    except ProcessLookupError:  # somebody reaped it already
        return child.wait()
    try:
        await readable(pidfd)
    finally:
        os.close(pidfd)
    return child.wait()


def _spawn(
    argv: Sequence[str], out: int, err: int, env: Mapping[str, str] | None, pass_fds: Sequence[int]
) -> "subprocess.Popen[bytes]":
    try:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env=env,
            pass_fds=pass_fds,
            start_new_session=True,
        )
    except OSError as error:
        raise Unavailable(f"{argv[0]} cannot be started on this node: {error.strerror}") from error


def _content(fd: int) -> bytes:
    size = os.lseek(fd, 0, os.SEEK_END)
    return os.pread(fd, limits.program_output_bytes_max, max(0, size - limits.program_output_bytes_max))
