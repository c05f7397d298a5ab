"""Room for packets that wait at a wireguard-go's sockets.

It leaves them with what the host gives any socket, which holds less than 100 packets: of one TCP stream, some of each
second are lost whenever it is not run at once, and the stream slows down. Later versions ask for more by themselves.
Here the sockets are taken out of the process for a moment (pidfd_getfd(2), Linux 5.6), and given more.
"""

import ctypes
import errno
import os
import socket

from covey import limits
from covey.io.process import pin, sockets_of

_PIDFD_GETFD = 438  # on every architecture
_SO_RCVBUFFORCE = 33
_libc = ctypes.CDLL(None, use_errno=True)


def make_room(pid: int, done: frozenset[str]) -> frozenset[str]:
    """Have room at a process's UDP sockets, but those of `done`; returns all that are open. Raises OSError."""
    open_now = dict(sockets_of(pid))
    new = {name: number for name, number in open_now.items() if name not in done}
    if new:
        process = pin(pid)
        try:
            for number in new.values():
                _enlarge(process, number)
        finally:
            os.close(process)
    return frozenset(open_now)


def _enlarge(process: int, number: int) -> None:
    taken = _libc.syscall(_PIDFD_GETFD, process, number, 0)
    if taken < 0:
        if (error := ctypes.get_errno()) == errno.EBADF:
            return  # closed meanwhile, as those are by which it is told what to do
        raise OSError(error, os.strerror(error))
    with socket.socket(fileno=taken) as opened:
        if opened.type == socket.SOCK_DGRAM and opened.family in (socket.AF_INET, socket.AF_INET6):
            opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, limits.tunnel_receive_buffer_bytes)
