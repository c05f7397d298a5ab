"""What a dev cluster was asked to be, on disk, and the lock that lets one command at a time change it."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from covey.errors import Corrupt, InvalidArgument, NotFound
from covey.model.generic import offered

from .fabric import default_publish, port_range
from .place import Place, managers_max, workers_max

_format = 1


@dataclass(frozen=True, slots=True)
class Record:
    """The request that `covey dev up` was given."""

    managers: int = 1
    workers: int = 2
    publish: tuple[str, ...] = default_publish
    generic: tuple[str, ...] = ()  # what nodes offer, as NODE:KIND=VALUE

    def __post_init__(self) -> None:
        if not 1 <= self.managers <= managers_max:
            raise InvalidArgument(f"{self.managers} managers: a dev cluster has 1 to {managers_max}")
        if not 0 <= self.workers <= workers_max:
            raise InvalidArgument(f"{self.workers} workers: a dev cluster has 0 to {workers_max}")
        for ports in self.publish:
            port_range(ports)
        for offer in self.generic:
            node, colon, _ = offer.partition(":")
            if not colon:
                raise InvalidArgument(f"{offer!r} is not NODE:KIND=VALUE; write w1:gpu=UUID-1, or w1:ssd=3")
            self.require(node)
        for node in self.nodes:
            offered(self.generic_of(node), f"{node}'s generic resources")

    @property
    def manager_nodes(self) -> list[str]:
        """m1 and so on."""
        return [f"m{number}" for number in range(1, self.managers + 1)]

    @property
    def worker_nodes(self) -> list[str]:
        """w1 and so on."""
        return [f"w{number}" for number in range(1, self.workers + 1)]

    @property
    def nodes(self) -> list[str]:
        """All nodes, managers first."""
        return [*self.manager_nodes, *self.worker_nodes]

    def generic_of(self, node: str) -> list[str]:
        """What a node offers besides CPUs and memory, as coveyd is told."""
        pairs = (offer.partition(":") for offer in self.generic)
        return [offer for name, _, offer in pairs if name == node]

    def require(self, node: str) -> None:
        """Raise NotFound if this cluster has no such node."""
        if node not in self.nodes:
            raise NotFound(f"no node '{node}' in this cluster: it has {', '.join(self.nodes)}")


def save(place: Place, record: Record) -> None:
    """Keep `record`. Whole or not at all, also if the machine stops meanwhile."""
    place.root.mkdir(parents=True, exist_ok=True)
    fresh = place.record.with_suffix(".new")
    fresh.write_text(json.dumps({"format": _format, "name": place.name, **asdict(record)}, indent=1))
    fresh.replace(place.record)


def load(place: Place) -> Record:
    """The record of the cluster at `place`. Raises NotFound if there is no cluster of that name."""
    try:
        kept = json.loads(place.record.read_text())
        if kept["format"] != _format:
            raise Corrupt(f"{place.record} has format {kept['format']}, not {_format}: take the cluster down")
        generic = tuple(map(str, kept.get("generic", ())))
        return Record(int(kept["managers"]), int(kept["workers"]), tuple(kept["publish"]), generic)
    except FileNotFoundError as error:
        raise NotFound(
            f"no dev cluster '{place.name}' of this checkout: `covey dev up --name {place.name}` makes one"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise Corrupt(f"{place.record} is unreadable ({error}): take the cluster down") from error


@contextmanager
def locked(place: Place) -> Iterator[None]:
    """Hold the cluster for a change.

    `down` removes the lock's file with all else, so a waiter that gets the lock looks whether it is the one.
    """
    while True:
        place.root.mkdir(parents=True, exist_ok=True)
        handle = os.open(place.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if not _is_current(handle, place):
                continue
            yield
            return
        finally:
            os.close(handle)


def _is_current(handle: int, place: Place) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.stat(place.lock))
    except FileNotFoundError:
        return False
