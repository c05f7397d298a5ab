"""Who is still connected to the servers in a namespace: its inbound TCP connections, by inet_diag.

Kernel API: linux/inet_diag.h and sock_diag(7). The kernel filters by state, so the many sockets that only wait
out their time after a close cost nothing to skip. A look takes half a millisecond, most of it for a socket in the
namespace: none is kept, which would keep the namespace.
"""

import asyncio
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from covey import limits

from ..seam import NetworkFault
from .wire import Channel, Message

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_REQUEST = struct.Struct("=BBBxI48x")  # struct inet_diag_req_v2, for any socket
_ENTRY = struct.Struct("=4x2s2s16s16s")  # struct inet_diag_msg as far as the addresses

_ESTABLISHED, _SYN_RECV, _FIN_WAIT1, _CLOSE_WAIT, _LAST_ACK, _LISTEN, _CLOSING = 1, 3, 4, 8, 9, 10, 11
# In FIN_WAIT2 and TIME_WAIT the server has closed and the client has acknowledged every byte.
_BUSY = (_ESTABLISHED, _SYN_RECV, _FIN_WAIT1, _CLOSE_WAIT, _LAST_ACK, _CLOSING)


@dataclass(frozen=True, slots=True)
class Connection:
    """One TCP socket that is not closed: its two ends."""

    local: IPv4Address | IPv6Address
    local_port: int
    remote: IPv4Address | IPv6Address

    @property
    def inside(self) -> bool:
        """Tell whether both ends are in the namespace: nobody else waits for an answer."""
        return self.remote == self.local or _plain(self.remote).is_loopback


async def quiet(pid: int) -> None:
    """Return once nobody outside is connected to the servers in the namespace of process `pid`.

    Looks again after pauses that grow: what ends soon is seen soon, and many that wait long cost little. A port
    once listened on counts to the end, though its server may have stopped listening.
    """
    ports: set[int] = set()
    pause_ms = limits.connections_look_ms_min
    try:
        while await asyncio.to_thread(inbound, pid, ports):
            await asyncio.sleep(pause_ms / 1000)
            pause_ms = min(2 * pause_ms, limits.connections_look_ms_max)
    except (FileNotFoundError, ProcessLookupError):
        pass  # the process has ended, and its connections with it
    except OSError as error:
        raise NetworkFault(f"cannot read which connections process {pid} has: {error}") from error


def inbound(pid: int, ports: set[int]) -> list[Connection]:
    """The connections from outside to `ports` in the network namespace of process `pid`, in whatever state
    they still carry a request or an answer. The ports that are listened on now are added to `ports` first.

    Raises FileNotFoundError or ProcessLookupError if there is no such process.
    """
    with Channel(_NETLINK_SOCK_DIAG, Path(f"/proc/{pid}/ns/net")) as channel:
        ports.update(each.local_port for each in _sockets(channel, (_LISTEN,)))
        found = [each for each in _sockets(channel, _BUSY) if each.local_port in ports] if ports else []
    return [each for each in found if not each.inside]


def _sockets(channel: Channel, states: tuple[int, ...]) -> Iterator[Connection]:
    mask = sum(1 << state for state in states)
    for family, size in ((socket.AF_INET, 4), (socket.AF_INET6, 16)):
        asked = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, mask)
        for _, body in channel.dump(Message(_SOCK_DIAG_BY_FAMILY, 0, asked)):
            port, _, local, remote = _ENTRY.unpack_from(body)
            kind = IPv4Address if size == 4 else IPv6Address
            yield Connection(kind(local[:size]), int.from_bytes(port, "big"), kind(remote[:size]))


def _plain(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """An IPv4 address that an IPv6 socket sees, as what it is."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped
