"""A client that changes services one after the other, and keeps book of what was acknowledged.

Every request ends in one of three ways: acknowledged (it must hold from now on), refused (nothing may have
changed), or unanswered (it may have happened or not, and the next look tells which). So for every name the
book holds the set of states it may be in; a state outside it is a lost or an invented write.
"""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Self

from covey.client.cluster import ClusterClient, connect
from covey.client.host import Host
from covey.errors import FailedPrecondition, Refused, Unavailable
from covey.model.objects import Service
from covey.model.specs import ContainerSpec, ServiceMode, ServiceSpec, TaskSpec

GONE = -1
_PAUSE_S = 0.05
_REQUEST_BOUND_S = 60.0
_REMOVED = 0.4  # the part of changes that are removals


@dataclass
class Book:
    """What may be: for each name the numbers its service may carry; GONE stands for no service."""

    may_be: dict[str, set[int]] = field(default_factory=dict[str, set[int]])
    acknowledged: int = 0
    unanswered: int = 0
    refusals: list[str] = field(default_factory=list[str])

    def differences(self, seen: dict[str, int]) -> list[str]:
        """What contradicts the book, in words."""
        return [
            f"{name} is at {seen.get(name, GONE)}, and can only be at one of {sorted(states)}"
            for name, states in sorted(self.may_be.items())
            if seen.get(name, GONE) not in states
        ] + [f"{name} was never asked for" for name in sorted(seen.keys() - self.may_be.keys())]


class Writer:
    """Creates, changes and removes services `book0`... through the manager at `host`, from a thread."""

    def __init__(self, host: Host, image: str, seed: int, names: int = 6, replicas_max: int = 1) -> None:
        self.book = Book()
        self._host = host
        self._image = image
        self._dice = Random(seed)
        self._names = [f"book{number}" for number in range(names)]
        self._replicas_max = replicas_max
        self._number = 0
        self._stopping = threading.Event()
        self._turn = threading.Lock()  # held while a request is under way, and while nothing is to change
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="writer")

    def __enter__(self) -> Self:
        self._writing = self._pool.submit(lambda: asyncio.run(self._write()))
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._writing.result(_REQUEST_BOUND_S)
        self._pool.shutdown()

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Change nothing for a while."""
        with self._turn:
            yield

    async def _write(self) -> None:
        while not self._stopping.is_set():
            with self._turn:
                await self._request()
            await asyncio.sleep(_PAUSE_S)

    async def _request(self) -> None:
        try:
            async with asyncio.timeout(_REQUEST_BOUND_S), connect(self._host) as cluster:
                await self._change(cluster, self._dice.choice(self._names))
        except FailedPrecondition:
            pass  # nobody listens at the moment
        except Unavailable:
            self.book.unanswered += 1

    async def _change(self, cluster: ClusterClient, name: str) -> None:
        """Make one request. The book says beforehand what may come of it, and afterwards what did."""
        there = next((d.service for d in await cluster.services() if d.service.name == name), None)
        seen = await numbers_of(cluster)
        found = seen.get(name, GONE)
        known = self.book.may_be.get(name, {GONE})
        assert found in known, f"{name} is at {found}, and can only be at one of {sorted(known)}"
        self.book.may_be[name] = {found}
        if there is not None and there.pending_delete:
            return
        self._number += 1
        new = GONE if there is not None and self._dice.random() < _REMOVED else self._number
        self.book.may_be[name] = {found, new}
        try:
            await self._ask(cluster, there, self._spec(name, new), new == GONE)
        except Refused as refused:  # a planner was faster: nothing happened
            self.book.may_be[name] = {found}
            self.book.refusals.append(str(refused))
        else:
            self.book.may_be[name] = {new}
            self.book.acknowledged += 1

    @staticmethod
    async def _ask(cluster: ClusterClient, there: Service | None, spec: ServiceSpec, remove: bool) -> None:
        if there is None:
            await cluster.create_service(spec, resolve_image=False)
        elif remove:
            await cluster.remove_service(there.id)
        else:
            await cluster.update_service(there.id, there.meta.version, spec)

    def _spec(self, name: str, number: int) -> ServiceSpec:
        return ServiceSpec(
            name=name,
            labels={"number": str(number)},
            task=TaskSpec(container=ContainerSpec(image=self._image)),
            mode=ServiceMode(replicas=self._dice.randint(0, self._replicas_max)),
        )


async def numbers_of(cluster: ClusterClient) -> dict[str, int]:
    """The number of every service of a writer that is there to stay."""
    return {
        detail.service.name: int(detail.revision.spec.labels["number"])
        for detail in await cluster.services()
        if detail.service.name.startswith("book") and not detail.service.pending_delete
    }


def numbers(host: Host) -> dict[str, int]:
    """See `numbers_of`."""

    async def ask() -> dict[str, int]:
        async with connect(host) as cluster:
            return await numbers_of(cluster)

    return asyncio.run(ask())
