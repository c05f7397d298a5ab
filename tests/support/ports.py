"""Ports for programs that must be told where to listen.

Not of those that the kernel gives to whoever connects: between our look and the program's start, or while a program is
down that is to come back, anybody on this machine could be given one of them.
"""

import socket
from random import SystemRandom

_CHOICE = range(15_000, 32_000)  # below the usual net.ipv4.ip_local_port_range


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A port on which nobody listens, on any address."""
    while True:
        port = SystemRandom().choice(_CHOICE)
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
            return port
