"""What tunnels need to know of the underlay."""

import socket

from agent.network.io import dump
from agent.network.io.wire import Channel
from covey.io import netns


def mtu_of(address: str) -> int:
    """The MTU of the link that has this IPv4 address; 0 if none has, or it is no such address."""
    try:
        socket.inet_aton(address)
    except OSError:
        return 0
    channel = Channel(netns.socket_inside(None, socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE))
    try:
        return dump.mtu_of(channel, address)
    finally:
        channel.close()
