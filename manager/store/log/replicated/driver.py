"""A `Log` over a `Replica`."""

from collections.abc import AsyncIterator, Iterable, Sequence
from random import Random

from covey.errors import LogFailed
from manager.raft.driver import Replica
from manager.raft.entry import NOBODY, EntryKind, Membership
from manager.raft.ready import Role
from manager.raft.seam import Disk, SavedSnapshot, Transport

from ..seam import Record, Snapshot, Standing


async def open_replicated(
    disk: Disk,
    transport: Transport,
    *,
    node_id: str,
    address: str,
    founding: bool = False,
    introduced: Membership = Membership(),  # noqa: B008  frozen
    dice: Random | None = None,
) -> "ReplicatedLog":
    """Take part in keeping the log; see `Replica.start` for what is meant and raised.

    A manager alone in its cluster leads when this returns. Others may have to be waited for: `standing_after`.
    """
    return ReplicatedLog(
        await Replica.start(
            disk,
            transport,
            node_id=node_id,
            address=address,
            founding=founding,
            introduced=introduced,
            dice=dice,
        )
    )


class ReplicatedLog:
    """A `Log` that a majority of managers keeps. `replica` is for who changes the group, and looks at it."""

    def __init__(self, replica: Replica) -> None:
        self.replica = replica
        self._since = (0, 0)  # of a term this member leads in: the index it may decide from

    @property
    def standing(self) -> Standing:
        """Who leads now."""
        replica = self.replica
        raft = replica.standing
        if raft.leader == NOBODY:
            return Standing(raft.term)
        member = replica.membership.get(raft.leader)
        if raft.role is not Role.LEADER:
            return Standing(raft.term, member.node_id, member.address) if member else Standing(raft.term)
        if replica.applied < raft.first_index:
            return Standing(raft.term)  # it cannot tell yet what was committed before it
        if self._since[0] != raft.term:
            self._since = raft.term, replica.last_data
        own = member or replica.own
        return Standing(raft.term, own.node_id, own.address, leads=True, since=self._since[1])

    async def standing_after(self, known: Standing) -> Standing:
        """Wait until who leads is no longer as `known`."""
        while True:
            if self.replica.ended:
                raise self.replica.failure or LogFailed("the log is closed: the manager is stopping")
            if (standing := self.standing) != known:
                return standing
            await self.replica.changed()

    async def confirm(self) -> int:
        """Give an index by which everything acknowledged anywhere before this call has been applied."""
        await self.replica.read()
        return self.replica.last_data

    @property
    def last_index(self) -> int:
        """The index of the last of the store's entries that is known to be committed."""
        return self.replica.last_data

    async def append(self, batch: Sequence[bytes]) -> None:
        """Have entries committed."""
        await self.replica.propose(batch)

    async def records(self, after: int) -> AsyncIterator[Sequence[Record] | Snapshot]:
        """Give every committed entry of the store after `after`, and wait for more."""
        async for news in self.replica.committed(after):
            if isinstance(news, SavedSnapshot):
                yield Snapshot(news.mark.index, news.chunks)
            elif records := [Record(e.index, e.data) for e in news if e.kind is EntryKind.DATA]:
                yield records

    async def save_snapshot(self, index: int, chunks: Iterable[bytes]) -> None:
        """Make a snapshot durable."""
        await self.replica.save_snapshot(index, chunks)

    async def newest_snapshot(self) -> Snapshot | None:
        """Find the newest sound snapshot."""
        found = await self.replica.newest_snapshot()
        return None if found is None else Snapshot(found.mark.index, found.chunks)

    async def compact(self, kept: int) -> None:
        """Forget what no kept snapshot needs, but a tail."""
        await self.replica.compact(kept)

    async def close(self) -> None:
        """Hand leadership over if another can lead, and stop."""
        await self.replica.stop()
