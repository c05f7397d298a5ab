"""The DNS server's memory across its own restarts: one file per table and per resolver below `RUN/dns`.

`RUN` ends with a reboot, as do the containers, so nothing is fsynced. A file is written beside its place
and renamed, so that a reader finds the old one or the new one.
"""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from covey.errors import InvalidArgument
from covey.model.tables import NetworkTable

from ..feed import Message, Resolver

log = logging.getLogger(__name__)

_SUFFIX = ".msgpack"

Kept = TypeVar("Kept")


class OpenResolver(Message, frozen=True):
    """A resolver and the ports it was last reached at, to be taken again if they are free."""

    resolver: Resolver
    udp_port: int = 0
    tcp_port: int = 0


class Books:
    """Reads and writes the files. Writing is in two steps, so that the slow one can leave the loop."""

    def __init__(self, root: Path) -> None:
        self._tables = root / "tables"
        self._resolvers = root / "resolvers"
        self._changes: dict[Path, Callable[[], object] | None] = {}
        for folder in (self._tables, self._resolvers):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def keep_table(self, network_id: str, table: Callable[[], NetworkTable]) -> None:
        """Note that a table is to be written, as it will be by then: it may change many times until it is."""
        self._changes[_file(self._tables, network_id)] = table

    def drop_table(self, network_id: str) -> None:
        """Note that the table's file is to go."""
        self._changes[_file(self._tables, network_id)] = None

    def keep_resolver(self, kept: OpenResolver) -> None:
        """Note that the resolver is to be written."""
        self._changes[_file(self._resolvers, kept.resolver.task_id)] = lambda: kept

    def drop_resolver(self, task_id: str) -> None:
        """Note that the resolver's file is to go."""
        self._changes[_file(self._resolvers, task_id)] = None

    def take_changes(self) -> dict[Path, bytes | None]:
        """Hand over what is to be written, for `write`."""
        changes, self._changes = self._changes, {}
        return {
            path: None if kept is None else msgspec.msgpack.encode(kept()) for path, kept in changes.items()
        }

    def tables(self) -> list[NetworkTable]:
        """Read all tables; a file that cannot be read is logged and removed, the agent sends it again."""
        return _read_all(self._tables, NetworkTable)

    def resolvers(self) -> list[OpenResolver]:
        """Read all resolvers, likewise."""
        return _read_all(self._resolvers, OpenResolver)


def write(changes: dict[Path, bytes | None]) -> None:
    """Write and remove files as noted. Raises OSError at the first that fails."""
    for path, data in changes.items():
        if data is None:
            path.unlink(missing_ok=True)
            continue
        beside = path.with_suffix(".new")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        beside.replace(path)


def _file(folder: Path, name: str) -> Path:
    if not name.isalnum() or not name.isascii():
        raise InvalidArgument(f"{name!r} is no id: only letters and digits can be; nothing was changed")
    return folder / f"{name}{_SUFFIX}"


def _read_all(folder: Path, kind: type[Kept]) -> list[Kept]:
    decoder = msgspec.msgpack.Decoder(kind)
    found = []
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        try:
            found.append(decoder.decode(path.read_bytes()))
        except (msgspec.DecodeError, OSError) as error:
            log.warning("%s cannot be read (%s): removing it; the agent sends it again", path, error)
            path.unlink(missing_ok=True)
    return found
