"""Starting conmon, the small C program that is each container's parent and outlives the agent.

The protocol (conmon 2.1, as podman and CRI-O use it): conmon waits for one byte on the pipe
`_OCI_STARTPIPE`, so that its cgroup can be set first; then it leaves its parent, runs `RUNTIME create`, and
writes one JSON line on `_OCI_SYNCPIPE`: `{"data": PID}` or `{"data": -1, "message": ...}`. It writes the
log, `oom` and the exit code to files. A line `2 0 0` on the fifo `ctl` makes it open its log anew.
"""

import asyncio
import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from agent.runtime.oci.bundle import Bundle, Record
from agent.runtime.oci.complaints import message_of
from agent.runtime.oci.host import Host
from covey import limits
from covey.errors import CoveyError, InvalidArgument, Unavailable
from covey.io.process import ended, readable

_REOPEN_LOG = b"2 0 0\n"
_SYNC_BYTES_MAX = 64 * 1024


class _Answer(Struct):
    """conmon's line on the sync pipe; older ones say `pid` for `data`."""

    data: int = -1
    pid: int = -1
    message: str = ""


def conmon_argv(
    host: Host, bundle: Bundle, record: Record, runtime_options: Sequence[str], by_systemd: bool
) -> Sequence[str]:
    """The command line by which conmon creates a container and stays with it."""
    here = str(bundle.directory)
    argv = [host.conmon, "--api-version", "1", "-c", bundle.id, "-u", bundle.id, "-n", bundle.id]
    argv += ["-r", host.runtime, "-b", here, "-p", str(bundle.pid), "-P", str(bundle.conmon_pid)]
    argv += ["--exit-dir", str(bundle.exit_dir), "--full-attach", "--no-sync-log"]
    argv += ["-l", f"k8s-file:{bundle.log}"]
    if record.log_bytes_max:
        # For the time no agent is there. It counts on when the log is begun anew: see logs.py.
        argv += ["--log-size-max", str(limits.container_log_overrun * record.log_bytes_max)]
    if by_systemd:
        argv.append("-s")
    for argument in runtime_options:
        argv += ["--runtime-arg", argument]
    return argv


async def launch(argv: Sequence[str], directory: Path, place: Callable[[int], None]) -> int:
    """Run conmon in the container's `directory`; returns the container's host pid once it is created.

    `place(pid)` is called while conmon still waits. Raises what `explain` makes of the runtime's complaint.
    """
    container_id = directory.name
    start_read, start_write = os.pipe()
    sync_read, sync_write = os.pipe()
    try:
        child = _spawn(argv, directory, start_read, sync_write)
        os.close(start_read)
        os.close(sync_write)
        start_read = sync_write = -1
        try:
            place(child.pid)
            os.write(start_write, b"\0")
            async with asyncio.timeout(limits.container_create_timeout_s):
                await ended(child)  # at once: it forks itself away
                line = await _line(sync_read)
        except TimeoutError:
            raise Unavailable(
                f"container {container_id}: the runtime took longer than "
                f"{limits.container_create_timeout_s:g} s to create it; look at the node's load"
            ) from None
        finally:
            if child.returncode is None:
                child.kill()
                child.wait()
    finally:
        for fd in (start_read, start_write, sync_read, sync_write):
            if fd >= 0:
                os.close(fd)
    return _pid(line, container_id)


def reopen_log(control: str) -> bool:
    """Tell conmon to open its log file anew (it has been renamed); false if no conmon listens."""
    try:
        fd = os.open(control, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # ENXIO: nobody reads; ENOENT: it never started
        return False
    try:
        os.write(fd, _REOPEN_LOG)
    finally:
        os.close(fd)
    return True


def explain(container_id: str, said: str) -> CoveyError:
    """What the OCI runtime's complaint means: the user's fault if the image or spec is, else the host's."""
    text = message_of(said.strip().rpartition("\n")[2])
    lowered = text.lower()
    if any(phrase in lowered for phrase in _OF_THE_HOST):
        return Unavailable(f"container {container_id}: the node cannot create it: {text}")
    if any(phrase in lowered for phrase in _OF_THE_USER):
        return InvalidArgument(f"container {container_id} cannot be created: {text}")
    return Unavailable(f"container {container_id}: the runtime failed: {text or 'without a word'}")


_OF_THE_HOST = (
    "no space left",
    "cannot allocate memory",
    "too many open files",
    "resource temporarily unavailable",
)
_OF_THE_USER = (
    "executable file not found",
    "exec:",
    "error during container init",
    "no such file or directory",
    "permission denied",
    "not a directory",
    "chdir",
    "sysctl",
    "invalid argument",
    "memory limit too low",
    "rlimit",
)


def _spawn(argv: Sequence[str], directory: Path, start: int, sync: int) -> "subprocess.Popen[bytes]":
    environment = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "_OCI_STARTPIPE": str(start),
        "_OCI_SYNCPIPE": str(sync),
    }
    try:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            cwd=directory,  # it leaves a file named `oom` where it stands
            pass_fds=(start, sync),
            start_new_session=True,
        )
    except OSError as error:
        raise Unavailable(f"{argv[0]} cannot be started on this node: {error.strerror}") from error


async def _line(fd: int) -> bytes:
    """What conmon writes before a newline or its end."""
    os.set_blocking(fd, False)
    data = b""
    while b"\n" not in data and len(data) < _SYNC_BYTES_MAX:
        await readable(fd)
        more = os.read(fd, _SYNC_BYTES_MAX)
        if not more:
            break
        data += more
    return data.partition(b"\n")[0]


def _pid(line: bytes, container_id: str) -> int:
    try:
        answer = msgspec.json.decode(line, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Unavailable(f"container {container_id}: conmon ended without an answer ({line!r})") from None
    pid = max(answer.pid, answer.data)
    if pid <= 0:
        raise explain(container_id, answer.message)
    return pid
