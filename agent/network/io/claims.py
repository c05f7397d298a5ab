"""The host's ports that are forwarded to tasks: claimed, so that two programs never share one unnoticed.

What is forwarded never reaches a socket of the host, so nothing but this tells a program that its port is
taken, or us that we would take a port from a program. A claim is a socket that is bound and neither
listens nor is read: others are refused the port, and while nothing is forwarded its peers are refused as
if there were no socket (UDP's are ignored).
"""

import errno
import socket
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from covey.io.process import holder_of

from ..firewall import family_of

_KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
_TABLES = {"tcp": ("tcp", "tcp6"), "udp": ("udp", "udp6")}
_LISTENING = {"tcp": "0A", "udp": "07"}


class Claims:
    """Ports by the keys that firewall maps use, such as `tcp 8080`, or `tcp 8080 192.0.2.1` on one address.

    `tcp 8080 ::` is all of IPv6. A program that listens there commonly has IPv4 too, and keeps both claims away.

    Other protocols are left alone, and addresses that this host does not have.
    """

    def __init__(self) -> None:
        self._held: dict[str, socket.socket] = {}

    def add(self, keys: Iterable[str]) -> dict[str, str]:
        """Claim all of these or none; returns who has those that cannot be had."""
        new = [key for key in keys if key not in self._held]
        found = {key: program for key in new if (program := self._take(key))}
        for key in new if found else ():
            if key in self._held:
                self._held.pop(key).close()
        return found

    def keep(self, keys: Iterable[str]) -> dict[str, str]:
        """Hold exactly these; returns who has those that cannot be held."""
        wanted = set(keys)
        for key in self._held.keys() - wanted:
            self._held.pop(key).close()
        return {key: program for key in sorted(wanted) if (program := self._take(key))}

    def close(self) -> None:
        """Let go of all."""
        self.keep(())

    def _take(self, key: str) -> str:
        """Claim a port; returns the program that has it instead, or nothing."""
        protocol, port, *address = key.split()
        own = address[0] if address else ""
        if key in self._held or protocol not in _KINDS or not _is_here(own):
            return ""
        claimed = _bound(protocol, own, int(port), beside=False)
        if claimed is None:
            if program := holder(protocol, int(port)):
                return program
            # Connections that a program has left behind are in the way for a minute: they hold nothing.
            claimed = _bound(protocol, own, int(port), beside=True)
        if claimed is not None:
            self._held[key] = claimed
        return ""


def _is_here(address: str) -> bool:
    with socket.socket(family_of(address), socket.SOCK_DGRAM) as tried:
        try:
            tried.bind((address, 0))
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:
                raise
            return False
    return True


def _bound(protocol: str, address: str, port: int, *, beside: bool) -> socket.socket | None:
    """Bind a port, if need be beside closed connections, but then let no other be bound beside it."""
    claimed = socket.socket(family_of(address), _KINDS[protocol])
    try:
        if claimed.family == socket.AF_INET6:
            claimed.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        claimed.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, beside)
        claimed.bind((address, port))
        claimed.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, False)
    except OSError as error:
        claimed.close()
        if error.errno != errno.EADDRINUSE:
            raise
        return None
    return claimed


def holder(protocol: str, port: int) -> str:
    """Which program listens on a port of the thread's own namespace; nothing if none does."""
    for table in _TABLES[protocol]:
        path = Path(f"/proc/thread-self/net/{table}")
        for line in path.read_text().splitlines()[1:] if path.exists() else ():
            fields = line.split()
            listens = int(fields[1].rpartition(":")[2], 16) == port and fields[3] == _LISTENING[protocol]
            if listens and (program := _program_of(fields[9])):
                return program
    return ""


def _program_of(inode: str) -> str:
    """The process that has a socket. The kernel's own sockets (VXLAN's) belong to none, and can be shared."""
    if pid := holder_of({f"socket:[{inode}]"}):
        with suppress(OSError):  # it ended while we looked
            return f"{Path(f'/proc/{pid}/comm').read_text().strip()} (pid {pid})"
    return ""
