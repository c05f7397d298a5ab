"""Members of one group in one loop, on disks in memory, and a network that can be cut."""

import asyncio
from collections.abc import Callable
from random import Random

from manager.raft.driver import Replica
from manager.raft.entry import Member, Membership
from manager.raft.fake import FakeDisk, MemoryDisk
from manager.raft.io.loopback import LoopbackTransport, Network
from manager.raft.ready import Role
from manager.raft.seam import Disk
from manager.store.log.replicated import ReplicatedLog

NOBODY_KNOWN = Membership()


class Group:
    """Members by id; ids count from 1, and member 1 founds the group."""

    def __init__(self, wrap: Callable[[Disk], Disk] = lambda disk: disk) -> None:
        self.network = Network()
        self.memories: dict[int, MemoryDisk] = {}
        self.members: dict[int, Replica] = {}
        self._wrap = wrap

    async def start(
        self, id: int, *, founding: bool = False, introduced: Membership = NOBODY_KNOWN
    ) -> Replica:
        """Start a member, on the disk it had before if there was one."""
        memory = self.memories.setdefault(id, MemoryDisk(id))
        replica = await Replica.start(
            self._wrap(FakeDisk(memory)),
            LoopbackTransport(self.network),
            node_id=f"n{id}",
            address=f"a{id}:1",
            founding=founding,
            introduced=introduced,
            dice=Random(id),
        )
        self.members[id] = replica
        return replica

    async def form(self, size: int) -> Replica:
        """Found a group and let others join, one by one; give the leader."""
        leader = await self.start(1, founding=True)
        for id in range(2, size + 1):
            await self.add(leader, id)
        return leader

    async def add(self, leader: Replica, id: int, *, voter: bool = True) -> Replica:
        """Add a member, as a learner first."""
        learner = Member(id, f"n{id}", f"a{id}:1", voter=False)
        members = tuple(sorted((*leader.membership.members, learner), key=lambda member: member.id))
        wanted = Membership(members, leader.membership.removed)
        replica = await self.start(id, introduced=wanted)
        await leader.change(wanted)
        if voter:
            await until(lambda: replica.applied >= leader.applied)
            await leader.change(
                Membership(
                    tuple(Member(m.id, m.node_id, m.address) if m.id == id else m for m in members),
                    leader.membership.removed,
                )
            )
        return replica

    async def leader(self, *, but: int = 0) -> Replica:
        """Wait until a member (other than `but`) leads and can decide."""
        found: list[Replica] = []

        def look() -> bool:
            found[:] = [
                member
                for member in self.members.values()
                if member.standing.role is Role.LEADER
                and member.applied >= member.standing.first_index
                and member.own.id != but
            ]
            return bool(found)

        await until(look)
        return max(found, key=lambda member: member.standing.term)

    async def kill(self, id: int) -> None:
        """End a member without a word from it: no leadership is handed over."""
        replica = self.members.pop(id)
        await replica._loop.stop()
        await replica._transport.close()
        self.memories[id].crash(Random(id))

    async def stop(self) -> None:
        """Stop everybody."""
        for replica in list(self.members.values()):
            await replica._loop.stop()
            await replica.stop()


async def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


async def applied(replica: Replica, after: int = 0) -> list[bytes]:
    """Read the store's entries that a member has committed."""
    log = ReplicatedLog(replica)
    taken: list[bytes] = []
    position = after
    while position < replica.last_data:
        async for news in log.records(position):
            assert isinstance(news, list), f"{news} came instead of entries"
            taken.extend(record.data for record in news)
            position = news[-1].index
            if position >= replica.last_data:
                break
    return taken
