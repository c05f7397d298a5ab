"""The namespaces of one node and the channels into them.

Each channel is one socket, opened once inside its namespace. Link indexes are remembered, since every
address or FDB entry needs one, and forgotten with the link.
"""

import logging
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from covey.io import netns
from covey.io.netns import Process

from ..state import NODE
from . import rtnetlink as rt
from .wire import NETLINK_NETFILTER, Channel, Message, text

_log = logging.getLogger(__name__)
_OWN = Path("/proc/self/ns/net")


class Places:
    """Namespaces by name: `NODE` is the process's own, all others are files in `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._routing: dict[str, Channel] = {}
        self._filtering: dict[str, Channel] = {}
        self._indexes: dict[str, dict[str, int]] = {}

    def path(self, name: str) -> Path | None:
        """Where the namespace is bound; None for the node's own."""
        return None if name == NODE else self._directory / name

    def bound(self) -> tuple[list[str], list[str]]:
        """The names in the directory: those bound to a namespace, and those that are only files."""
        good, broken = list[str](), list[str]()
        for each in sorted(self._directory.iterdir()) if self._directory.is_dir() else ():
            (good if netns.exists(each) else broken).append(each.name)
        return good, broken

    def strayed(self, processes: Mapping[str, Process]) -> Iterator[str]:
        """The names bound to a namespace that is not the one in which the process of that name is."""
        for name, process in processes.items():
            with suppress(OSError):  # one of the two is gone: somebody else tells of that
                if not netns.holds(self._directory / name, process) and not netns.holds(_OWN, process):
                    yield name  # in ours it is no container of ours

    def find_again(self, processes: Mapping[str, Process]) -> None:
        """Bind the namespaces in which these processes are, by name, where they are not or no longer bound."""
        missing = {name for name in processes if not netns.exists(self._directory / name)}
        for name in missing | set(self.strayed(processes)):
            self.forget(name)
            try:
                netns.bind(self._directory / name, processes[name])
            except OSError as error:
                _log.warning("the namespace of %s is lost, a new one is made: %s", name, error)
            else:
                _log.warning("the namespace of %s had lost its name, and has it again", name)

    @contextmanager
    def opened(self, name: str) -> Iterator[int]:
        """The namespace as a file descriptor, for messages that name one."""
        descriptor = netns.open_fd(self.path(name) or _OWN)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def routing(self, name: str) -> Channel:
        """The rtnetlink channel into the namespace."""
        if name not in self._routing:
            self._routing[name] = Channel(socket.NETLINK_ROUTE, self.path(name))
            self._routing[name].check_strictly()
        return self._routing[name]

    def filtering(self, name: str) -> Channel:
        """The netfilter channel into the namespace."""
        if name not in self._filtering:
            self._filtering[name] = Channel(NETLINK_NETFILTER, self.path(name))
        return self._filtering[name]

    def index(self, name: str, link: str) -> int:
        """The link's index; raises OSError (ENODEV) if there is no such link."""
        known = self._indexes.setdefault(name, {})
        if link not in known:
            request = Message(rt.RTM_GETLINK, 0, rt.IFINFO.pack(0, 0, 0, 0, 0) + text(rt.IFLA_IFNAME, link))
            known[link] = rt.IFINFO.unpack_from(self.routing(name).ask(request))[2]
        return known[link]

    def forget_link(self, name: str, link: str) -> None:
        """Forget the link's index."""
        self._indexes.get(name, {}).pop(link, None)

    def forget(self, name: str) -> None:
        """Close the channels into a namespace, which would keep it alive."""
        for channels in (self._routing, self._filtering):
            channel = channels.pop(name, None)
            if channel is not None:
                channel.close()
        self._indexes.pop(name, None)

    def rest(self, name: str) -> None:
        """Close what is only needed to build the namespace, and keep what changes it from day to day."""
        channel = self._routing.pop(name, None)
        if channel is not None:
            channel.close()

    def close(self) -> None:
        """Close every channel."""
        for name in [*self._routing, *self._filtering]:
            self.forget(name)
        self._indexes.clear()
