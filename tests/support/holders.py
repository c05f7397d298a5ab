"""Which addresses the kernel has in which namespaces of a dev cluster, looked at all along."""

import socket
import struct
import threading
from collections import defaultdict
from pathlib import Path
from typing import Self

from covey.io import netns
from devcluster.place import Place

_PAUSE_S = 0.2
_GET_ADDRESSES = struct.Struct("=IHHII BBBBi")  # nlmsghdr and ifaddrmsg
_RTM_GETADDR = 22
_DUMP = 0x301
_DONE = 3
_ERROR = 2
_GLOBAL = 0
_ADDRESS = 1
_LENGTHS: dict[int, int] = {socket.AF_INET: 4, socket.AF_INET6: 16}


class Holders:
    """Watches as long as it is entered. `seen` are (holder, address): a task's id, or a node's name.

    `together` are addresses that two held at the same moment, with both: each was looked at again after the other.
    """

    def __init__(self, place: Place, nodes: list[str]) -> None:
        self.seen: set[tuple[str, str]] = set()
        self.together: set[tuple[str, str, str]] = set()
        self.rounds = 0
        self._place, self._nodes = place, nodes
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="holders")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(30)

    def _watch(self) -> None:
        while not self._over.wait(_PAUSE_S):
            found = {path: addresses(path) for path in self._paths()}
            self.rounds += 1
            holders = defaultdict[str, list[Path]](list)
            for path, there in found.items():
                for address in there:
                    self.seen.add((path.name, address))
                    holders[address].append(path)
            for address, paths in holders.items():
                if len(paths) > 1 and all(address in addresses(path) for path in paths[:2]):
                    one, other = sorted(path.name for path in paths[:2])
                    self.together.add((address, one, other))

    def _paths(self) -> list[Path]:
        tasks = (path for node in self._nodes for path in (self._place.run(node) / "netns").glob("*"))
        return [
            *(each for each in tasks if not each.name.startswith("net-")),
            *map(self._place.netns, self._nodes),
        ]


def addresses(path: Path) -> set[str]:
    """The addresses of both families with which a namespace can be reached from elsewhere; none if it is gone."""
    try:
        if not netns.exists(path):
            return set()
        asking = netns.socket_inside(path, socket.AF_NETLINK, socket.SOCK_RAW, 0)
    except OSError:
        return set()
    with asking:
        asking.send(_GET_ADDRESSES.pack(_GET_ADDRESSES.size, _RTM_GETADDR, _DUMP, 1, 0, 0, 0, 0, 0, 0))
        found = set[str]()
        while True:
            told, at = asking.recv(65_536), 0
            while at < len(told):
                length, kind = struct.unpack_from("=IH", told, at)
                if kind in (_DONE, _ERROR):
                    return found
                found |= _address(told[at + 16 : at + length])
                at += (length + 3) & ~3


def _address(message: bytes) -> set[str]:
    family, _, _, scope = message[:4]
    at = 8
    while scope == _GLOBAL and family in _LENGTHS and at + 4 <= len(message):
        length, kind = struct.unpack_from("=HH", message, at)
        if kind == _ADDRESS:
            return {socket.inet_ntop(family, message[at + 4 : at + 4 + _LENGTHS[family]])}
        at += (length + 3) & ~3
    return set()
