"""The DNS process before this one, if coveyd ended and left it to its containers: found, and relieved.

Containers run on without coveyd, and so must their names. A new process opens its sockets beside the old
one's (SO_REUSEPORT) and only then asks it to end, so that somebody answers at every moment.
"""

import asyncio
import logging
import os
import signal
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from covey import limits
from covey.io.process import holder_of, pin, readable

log = logging.getLogger(__name__)

_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid
_LISTENS = 0x10000  # __SO_ACCEPTCON, the flag of /proc/net/unix


class Predecessor:
    """A process that listens where we are going to. The pidfd pins it: its number cannot come to mean another."""

    def __init__(self, pid: int, pidfd: int) -> None:
        self.pid = pid
        self._pidfd = pidfd

    async def relieve(self) -> None:
        """Ask it to end and wait for that; kill it if it does not listen."""
        try:
            for deadly in (signal.SIGTERM, signal.SIGKILL):
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(self._pidfd, deadly)
                if await self._ended():
                    log.info("took over from process %d", self.pid)
                    return
            log.error("process %d served names before us and does not end, even when killed", self.pid)
        finally:
            os.close(self._pidfd)

    async def _ended(self) -> bool:
        try:
            async with asyncio.timeout(limits.child_stop_ms / 1000):
                await readable(self._pidfd)
        except TimeoutError:
            return False
        return True


def find(path: Path) -> Predecessor | None:
    """Return who listens on the unix socket at `path`, None if nobody does."""
    pid = _listener(path)
    if pid in (0, os.getpid()):
        return None
    try:
        pidfd = pin(pid)
    except ProcessLookupError:
        return None
    if _listener(path) != pid:  # it ended before it was pinned, so the number may be another's by now
        os.close(pidfd)
        return None
    return Predecessor(pid, pidfd)


def _listener(path: Path) -> int:
    """The pid of the process that listens there; 0 if there is none, or one that we cannot see."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as sock:
        try:
            sock.connect(str(path))
        except BlockingIOError:  # it is there, but takes no connections, as one that hangs
            return holder_of({f"socket:[{inode}]" for inode in _inodes(path)})
        except OSError:
            return 0  # no socket, or its owner is dead
        said = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, _, _ = _CREDENTIALS.unpack(said)
    return int(pid)


def _inodes(path: Path) -> Iterator[str]:
    """The listening sockets at a path."""
    for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
        _, _, _, flags, _, _, inode, *bound = line.split(maxsplit=7)
        if bound == [str(path)] and int(flags, 16) & _LISTENS:
            yield inode
