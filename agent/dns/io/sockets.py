"""The sockets behind a container's 127.0.0.11, and those towards upstream servers."""

import errno
import os
import socket
from dataclasses import dataclass
from pathlib import Path

from covey import limits
from covey.io import netns

from ..feed import Upstream
from .redirect import redirect_port_53, redirected

_LISTEN_BACKLOG = 16
_NON_BLOCKING_UDP = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK
_NON_BLOCKING_TCP = socket.SOCK_STREAM | socket.SOCK_NONBLOCK


@dataclass(frozen=True, slots=True)
class Listening:
    """A container's pair of sockets. `namespace` is the identity of the namespace they were opened in."""

    udp: socket.socket
    tcp: socket.socket
    namespace: tuple[int, int]

    @property
    def udp_port(self) -> int:
        """The port that 127.0.0.11:53/udp leads to."""
        return int(self.udp.getsockname()[1])

    @property
    def tcp_port(self) -> int:
        """The port that 127.0.0.11:53/tcp leads to."""
        return int(self.tcp.getsockname()[1])

    def close(self) -> None:
        """Close both. The rules stay: they end with the container's namespace."""
        self.udp.close()
        self.tcp.close()


def namespace_at(path: Path) -> tuple[int, int]:
    """Return the identity of the namespace bound to `path`; raises OSError if there is none."""
    status = os.stat(path)
    return status.st_dev, status.st_ino


def listen(path: Path, udp_port: int = 0, tcp_port: int = 0) -> Listening:
    """Open both sockets inside the namespace at `path` and lead 127.0.0.11:53 to them.

    The given ports are taken if they are free, or our predecessor's: clients that asked before have connections
    tracked to them. Raises OSError if the namespace is not there or its loopback is down.
    """
    if not netns.exists(path):
        raise FileNotFoundError(errno.ENOENT, "no network namespace", str(path))
    namespace = namespace_at(path)
    udp = _bound(path, _NON_BLOCKING_UDP, udp_port)
    try:
        tcp = _bound(path, _NON_BLOCKING_TCP, tcp_port)
        try:
            tcp.listen(_LISTEN_BACKLOG)
            listening = Listening(udp, tcp, namespace)
            lead(path, listening)
        except BaseException:
            tcp.close()
            raise
    except BaseException:
        udp.close()
        raise
    return listening


def lead(path: Path, listening: Listening) -> None:
    """Lead 127.0.0.11:53 of the namespace at `path` to these sockets. Raises OSError with the kernel's reason."""
    redirect_port_53(path, listening.udp_port, listening.tcp_port)


def unled(path: Path, listening: Listening) -> str:
    """Why 127.0.0.11:53 of the namespace at `path` does not lead to these sockets; empty if it does."""
    try:
        if namespace_at(path) != listening.namespace:
            return "they are open in another namespace"
        stands = redirected(path, listening.udp_port, listening.tcp_port)
    except OSError as error:
        return str(error)
    return "" if stands else "its rules are missing, or others than they should be"


def _bound(path: Path, kind: int, port: int) -> socket.socket:
    sock = netns.socket_inside(path, socket.AF_INET, kind)
    try:
        if kind & socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # our successor opens it beside us
        try:
            sock.bind((limits.dns_address, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE or not port:
                raise
            sock.bind((limits.dns_address, 0))
    except BaseException:
        sock.close()
        raise
    return sock


def ask(path: Path | None, upstream: Upstream, data: bytes) -> socket.socket:
    """Send `data` to `upstream` from a fresh UDP socket of the namespace at `path` (None: the node's own).

    The socket is connected: the kernel takes only this server's packets, and tells of refusals.
    """
    sock = netns.socket_inside(path, _family(upstream), _NON_BLOCKING_UDP)
    try:
        sock.connect((upstream.address, upstream.port))
        sock.send(data)
    except BaseException:
        sock.close()
        raise
    return sock


def stream_socket(path: Path | None, upstream: Upstream) -> socket.socket:
    """Open an unconnected TCP socket towards `upstream`."""
    return netns.socket_inside(path, _family(upstream), _NON_BLOCKING_TCP)


def _family(upstream: Upstream) -> int:
    return socket.AF_INET6 if ":" in upstream.address else socket.AF_INET
