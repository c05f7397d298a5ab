"""What tunnels need to know of the underlay."""

import socket

from agent.network.io import dump
from agent.network.io.wire import Channel


def mtu_of(address: str) -> int:
    """The MTU of the link that has this IPv4 address; 0 if none has, or it is no such address."""
    try:
        socket.inet_aton(address)
    except OSError:
        return 0
    with Channel(socket.NETLINK_ROUTE) as channel:
        return dump.mtu_of(channel, address)
