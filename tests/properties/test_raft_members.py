"""Running members under random faults: killed, cut off, on full and slow disks, while people write and read.

Unlike the core's own tests these run the loop, the disks' seam and the snapshots' way for real, so they are not
repeatable to the step; a seed repeats the faults.
"""

import asyncio
import os
from collections.abc import Awaitable
from random import Random

import msgspec
import pytest

from covey import errors, limits
from manager.raft.driver import Replica
from manager.raft.entry import EntryKind
from manager.raft.faulty import FaultyDisk
from manager.raft.seam import Disk, SavedSnapshot
from tests.support.raft_group import Group, until

SEEDS = [int(os.environ["COVEY_TEST_SEED"])] if "COVEY_TEST_SEED" in os.environ else [1, 2, 3]
STEPS = 60


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "raft_tick_ms", 5)
    monkeypatch.setattr(limits, "raft_full_disk_pause_ms", 10)
    monkeypatch.setattr(limits, "raft_doubt_ms", 300)
    monkeypatch.setattr(limits, "raft_read_retry_ms", 50)
    monkeypatch.setattr(limits, "raft_read_timeout_s", 0.5)
    monkeypatch.setattr(limits, "raft_transfer_ms", 200)


def run(test: Awaitable[None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(120):
            await test

    asyncio.run(bounded())


class Machine:
    """What a member's reader makes of the log: the numbers written, in order. It makes snapshots, too."""

    def __init__(self, replica: Replica) -> None:
        self.replica = replica
        self.numbers: list[int] = []
        self.index = 0
        self.following = asyncio.create_task(self._follow())

    def __str__(self) -> str:
        return f"at {self.index} ({self.following.exception() if self.following.done() else 'runs'})"

    async def _follow(self) -> None:
        found = await self.replica.newest_snapshot()
        if found is not None:
            self._take(found)
        since = 0
        try:
            async for news in self.replica.committed(self.index):
                if isinstance(news, SavedSnapshot):
                    self._take(news)
                    continue
                data = [entry for entry in news if entry.kind is EntryKind.DATA]
                self.numbers += [int(entry.data) for entry in data]
                self.index = data[-1].index if data else self.index
                since += len(data)
                if since > 30:
                    since = 0
                    await self._save()
        except errors.LogFailed:
            pass

    def _take(self, found: SavedSnapshot) -> None:
        self.numbers = msgspec.msgpack.decode(b"".join(found.chunks), type=list[int])
        self.index = found.mark.index

    async def _save(self) -> None:
        try:
            await self.replica.save_snapshot(self.index, [msgspec.msgpack.encode(self.numbers)])
            await self.replica.compact(kept=5)
        except errors.ResourceExhausted:
            pass  # the next one will do


class World(Group):
    """Three members with their machines, and what was acknowledged."""

    def __init__(self, dice: Random) -> None:
        super().__init__(self._around)
        self.dice = dice
        self.disks: list[FaultyDisk] = []
        self.machines: dict[int, Machine] = {}
        self.acknowledged: list[int] = []
        self.written = 0
        self.over = False

    def _around(self, disk: Disk) -> Disk:
        self.disks.append(FaultyDisk(disk))
        return self.disks[-1]

    async def live(self, id: int) -> None:
        """Start a member and its machine."""
        self.machines[id] = Machine(await self.start(id))

    async def write(self) -> None:
        """Propose numbers to whoever takes them; each once."""
        while not self.over:
            number = self.written
            self.written += 1
            for replica in list(self.members.values()):
                try:
                    await replica.propose([b"%d" % number])
                    self.acknowledged.append(number)
                    break
                except (errors.NotLeader, errors.ResourceExhausted):
                    continue  # surely not written
                except errors.Unavailable:
                    break  # perhaps written
            await asyncio.sleep(self.dice.uniform(0, 0.004))

    async def read(self) -> None:
        """Read at any member; what was acknowledged before must be there."""
        while not self.over:
            known = list(self.acknowledged)
            id = self.dice.choice(list(self.members) or [0])
            replica, machine = self.members.get(id), self.machines.get(id)
            if replica is not None and machine is not None:
                try:
                    await replica.read()
                    await until(lambda m=machine, r=replica: m.index >= r.last_data or r.ended, 5)  # type: ignore[misc]
                except errors.CoveyError:
                    continue
                if not replica.ended:
                    missing = set(known) - set(machine.numbers)
                    assert not missing, f"member {id} has read at {replica.applied} without {missing}"
            await asyncio.sleep(0.01)

    async def suffer(self) -> None:
        """Let one thing go wrong, or right again."""
        match self.dice.randrange(8):
            case 0 if len(self.members) > 1:
                await self.kill(self.dice.choice(list(self.members)))
            case 1 | 2:
                for id in {1, 2, 3} - self.members.keys():
                    await self.live(id)
            case 3:
                alone = self.dice.randrange(1, 4)
                self.network.part([alone], [id for id in (1, 2, 3) if id != alone])
            case 4 | 5:
                self.network.heal()
            case 6:
                self.disks[-self.dice.randrange(1, 4)].full = True
            case _:
                for disk in self.disks:
                    disk.full, disk.slow_s = False, self.dice.choice([0.0, 0.0, 0.01])
        await asyncio.sleep(self.dice.uniform(0, 0.15))

    async def settle(self) -> None:
        """Make everything right, and wait until all members agree."""
        self.network.heal()
        for disk in self.disks:
            disk.full, disk.slow_s = False, 0.0
        for id in {1, 2, 3} - self.members.keys():
            await self.live(id)
        leader = await self.leader()
        await leader.propose([b"%d" % self.written])
        try:
            await until(lambda: all(m.applied == leader.applied for m in self.members.values()))
            await until(lambda: len({tuple(m.numbers) for m in self.machines.values()}) == 1)
        except TimeoutError:
            raise AssertionError(f"they do not come to agree: {self.describe()}") from None

    def describe(self) -> str:
        """Say how all stand."""
        return "; ".join(
            f"{id}: {m.status()} applied {m.applied} failure {m.failure} machine {self.machines[id]}"
            for id, m in self.members.items()
        )


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_acknowledged_is_lost_and_nobody_reads_the_past(seed: int) -> None:
    async def test() -> None:
        world = World(Random(seed))
        await world.form(3)
        world.machines = {id: Machine(replica) for id, replica in world.members.items()}
        people = [asyncio.create_task(work) for work in (*(world.write() for _ in range(4)), world.read())]
        for _ in range(STEPS):
            await world.suffer()
            for person in people:
                if person.done():
                    await person
        world.over = True
        await world.settle()
        await asyncio.gather(*people)
        numbers = world.machines[1].numbers
        assert len(numbers) == len(set(numbers)), "a number was written twice"
        assert set(world.acknowledged) <= set(numbers)
        assert len(world.acknowledged) > 20
        await world.stop()
        await asyncio.gather(*(machine.following for machine in world.machines.values()))

    run(test())
