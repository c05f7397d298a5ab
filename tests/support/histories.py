"""Clients that read and change registers through all managers at once, and note when and with what outcome.

A register is a label of a service without tasks. A change names the version that was read, so it is a swap: it
takes effect on the value found, or not at all. Every change ends in one of three ways: done; refused, which
says that nothing happened (so it is in no history: if its value shows up, that is a value nobody wrote); or
unknown, which may have happened at any time since it was sent, or never. All times are of one clock.
"""

import asyncio
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Self

from msgspec.structs import replace

from covey.client.cluster import ClusterClient, connect
from covey.client.host import Host
from covey.errors import FailedPrecondition, NotLeader, Refused, Unavailable, Unreachable
from covey.model.specs import ContainerSpec, ServiceMode, ServiceSpec, TaskSpec
from tests.support.linearizability import NEVER, Operation, check

NOTHING_YET = "at first"
_PER_MANAGER = 2
_PAUSE_S = 0.03
_OPERATION_BOUND_S = 8.0
_READS = 0.5  # the part of operations that only read; a change begins with a read, too
_NOT_DONE = (Refused, NotLeader, Unreachable)


@dataclass
class History:
    """What happened, by register."""

    operations: dict[str, list[Operation]] = field(default_factory=lambda: defaultdict(list))
    refused: int = 0
    since: float = field(default_factory=time.monotonic)

    def now(self) -> float:
        """Seconds since the history began: short numbers can be told apart in a failure's sentence."""
        return time.monotonic() - self.since

    def check(self) -> None:
        """Raise NotLinearizable if any register cannot have been a single copy."""
        for operations in self.operations.values():
            check(operations, NOTHING_YET)

    def count(self, kind: str, known: bool = True) -> int:
        """How many operations of a kind ended with an answer, or without one."""
        return sum(
            op.kind == kind and (op.ended != NEVER) is known
            for operations in self.operations.values()
            for op in operations
        )

    def __str__(self) -> str:
        return (
            f"{self.count('read')} reads, {self.count('swap')} changes, {self.count('swap', known=False)} with unknown "
            f"outcome, {self.refused} refused"
        )


@dataclass(frozen=True)
class Client:
    """One person at one manager. Reads of a `host` that is asked for stale ones are noted like any other."""

    name: str
    host: Host
    history: History

    async def create(self, register: str, image: str) -> None:
        """Make a register."""
        async with connect(self.host) as cluster:
            await cluster.create_service(_spec(register, image), resolve_image=False)

    async def read(self, register: str) -> str | None:
        """Read a register; None if no answer came."""
        with suppress(FailedPrecondition, Unavailable, TimeoutError):
            async with asyncio.timeout(_OPERATION_BOUND_S), connect(self.host) as cluster:
                return (await self._read(cluster, register))[0]
        return None

    async def change(self, register: str, value: str) -> bool:
        """Write a value nobody else writes; whether it was acknowledged."""
        found, began = "", NEVER
        try:
            async with asyncio.timeout(_OPERATION_BOUND_S), connect(self.host) as cluster:
                found, id, version, spec = await self._read(cluster, register)
                began = self.history.now()
                await cluster.update_service(id, version, replace(spec, labels={"value": value}))
        except _NOT_DONE:
            self.history.refused += began != NEVER
            return False
        except (Unavailable, TimeoutError):
            if began != NEVER:
                self._note(register, "swap", value, began, NEVER, found)
            return False
        self._note(register, "swap", value, began, self.history.now(), found)
        return True

    async def _read(self, cluster: ClusterClient, register: str) -> tuple[str, str, int, ServiceSpec]:
        began = self.history.now()
        detail = await cluster.get_service(register)
        value = detail.revision.spec.labels["value"]
        self._note(register, "read", value, began, self.history.now())
        return value, detail.service.id, detail.service.meta.version, detail.revision.spec

    def _note(
        self, register: str, kind: str, value: str, began: float, ended: float, found: str = ""
    ) -> None:
        made = Operation("swap" if kind == "swap" else "read", value, began, ended, found, self.name)
        self.history.operations[register].append(made)


def _spec(register: str, image: str) -> ServiceSpec:
    return ServiceSpec(
        name=register,
        labels={"value": NOTHING_YET},
        task=TaskSpec(container=ContainerSpec(image=image)),
        mode=ServiceMode(replicas=0),
    )


class Crowd:
    """Some clients at each of `hosts`, who all use the same registers at once, from a thread."""

    def __init__(self, hosts: dict[str, Host], registers: Sequence[str], seed: int) -> None:
        self.history = History()
        self._registers = registers
        self._seed = seed
        self._clients = [
            Client(f"{name}.{number}", host, self.history)
            for name, host in hosts.items()
            for number in range(_PER_MANAGER)
        ]
        self._stopping = threading.Event()
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="crowd")

    def __enter__(self) -> Self:
        self._working = self._pool.submit(lambda: asyncio.run(self._work()))
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        try:
            self._working.result(4 * _OPERATION_BOUND_S)
        finally:
            self._pool.shutdown()

    async def _work(self) -> None:
        async with asyncio.TaskGroup() as group:
            for number, client in enumerate(self._clients):
                group.create_task(self._live(client, number))

    async def _live(self, client: Client, number: int) -> None:
        dice, written = Random(f"{self._seed} {number}"), 0
        while not self._stopping.is_set():
            register = dice.choice(self._registers)
            if dice.random() < _READS:
                await client.read(register)
            else:
                written += 1
                await client.change(register, f"{number}-{written}")
            await asyncio.sleep(dice.uniform(0, 2 * _PAUSE_S))
