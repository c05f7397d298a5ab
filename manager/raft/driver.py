"""One running member, as the rest of a manager sees it."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from random import Random, SystemRandom

from covey import errors, limits
from covey.errors import NotLeader

from .core import Raft
from .entry import NOBODY, Entry, HardState, Member, Membership, SnapshotMark
from .loop.driver import Loop
from .ready import Role, Standing, Status
from .seam import Disk, SavedSnapshot, Transport


class Replica:
    """A running member. Make it with `start`; it must be stopped."""

    def __init__(self, disk: Disk, transport: Transport, loop: Loop) -> None:
        self._disk, self._transport, self._loop = disk, transport, loop
        self._saved: SnapshotMark | None = None  # the newest snapshot of our own

    @classmethod
    async def start(
        cls,
        disk: Disk,
        transport: Transport,
        *,
        node_id: str,
        address: str,
        founding: bool = False,
        introduced: Membership = Membership(),  # noqa: B008  frozen
        dice: Random | None = None,
    ) -> "Replica":
        """Read the disk and take part. Disk and transport are the replica's to close from here on.

        On an empty disk a member either founds a group of its own (`founding`), or waits to be added to
        another, whose members it is `introduced` to. A member alone in its group leads when this returns.
        Raises `Corrupt` and what else the disk raises.
        """
        replica: Replica | None = None
        try:
            stored = await disk.load()
            own = Member(stored.id, node_id, address)
            empty = stored.hard_state == HardState() and not stored.entries and not stored.snapshot.index
            founded = Membership((own,)) if founding and empty else None
            raft = Raft(stored, dice or SystemRandom(), founded)
            replica = cls(disk, transport, Loop(disk, transport, raft, own))
            await replica._loop.start(introduced)
        except BaseException:
            if replica is not None:
                await replica._loop.stop()
            await transport.close()
            await disk.close()
            raise
        return replica

    async def stop(self) -> None:
        """Hand leadership over if another can lead, and end: what waits is told so, files are let go."""
        try:
            if self.standing.role is Role.LEADER and self._loop.successor() != NOBODY:
                await self.transfer()
        except errors.CoveyError:
            pass  # the others will miss it soon enough
        finally:
            await self._loop.stop()
            await self._transport.close()
            await self._disk.close()

    # --- what others may know ---

    @property
    def own(self) -> Member:
        """This member."""
        return self._loop.own

    @property
    def membership(self) -> Membership:
        """Who keeps the log, the latest word; those it was introduced to until there is one."""
        return self._loop.membership

    @property
    def committed_membership(self) -> Membership:
        """Who keeps the log, beyond doubt."""
        return self._loop.raft.committed_membership

    @property
    def standing(self) -> Standing:
        """How this member stands."""
        return self._loop.standing

    @property
    def applied(self) -> int:
        """Everything up to this index is committed and can be read."""
        return self._loop.applied

    @property
    def last_data(self) -> int:
        """The index of the last of the store's entries up to `applied`, or of the snapshot before it."""
        return self._loop.last_data

    @property
    def ended(self) -> bool:
        """Whether it takes part no more; `failure` says why, unless it was stopped."""
        return self._loop.ended

    @property
    def failure(self) -> errors.CoveyError | None:
        """What ended it: `LogFailed`, `Removed`, a `Bug`."""
        return self._loop.failure

    @property
    def stalled_ms(self) -> int:
        """For how long this manager was held up at the worst within the last minute."""
        return self._loop.stalls.recent_worst_ms

    def status(self) -> Status:
        """How this member sees the group."""
        return self._loop.raft.status()

    async def changed(self) -> None:
        """Wait until something of the above may have changed: look, wait, look again."""
        await self._loop.news.wait()

    # --- the log ---

    async def propose(self, datas: Sequence[bytes]) -> None:
        """Add entries to the log; returns once they are committed. See `Log.append` for what it raises."""
        self._loop.refuse_if_ended()
        self._refuse_if_full()
        term, indexes = self._loop.raft.propose(datas)
        await self._loop.outcome(term, indexes)

    def _refuse_if_full(self) -> None:
        if self._loop.full is not None:
            raise errors.ResourceExhausted(str(self._loop.full))

    async def read(self) -> int:
        """Give an index: whoever has applied it sees everything acknowledged before this call (thesis 6.4).

        `applied` has reached it when this returns. Raises `Unavailable`.
        """
        if self._loop.full is not None and self._leads_alone:
            return self.applied  # nothing is acknowledged before it is applied, and nobody else acknowledges
        try:
            async with asyncio.timeout(limits.raft_read_timeout_s):
                index = await self._loop.ask()
                while index is None:
                    await asyncio.sleep(limits.raft_tick_ms / 1000)
                    index = await self._loop.ask()
                while self.applied < index:
                    self._loop.refuse_if_ended()
                    await self.changed()
                return index
        except TimeoutError as error:
            if self._loop.full is not None:
                raise errors.Unavailable(
                    f"this manager can write nothing and so cannot lead ({self._loop.full}); make room; `--stale` "
                    "reads what it knows"
                ) from error
            raise errors.Unavailable(
                f"no majority of the managers confirmed within {limits.raft_read_timeout_s:g} s what is so now; "
                "`covey cluster status` says which are missing, and `--stale` reads what this manager knows"
            ) from error

    @property
    def _leads_alone(self) -> bool:
        raft = self._loop.raft
        return raft.standing.role is Role.LEADER and raft.committed_membership.voters == {self.own.id}

    async def committed(self, after: int) -> AsyncIterator[tuple[Entry, ...] | SavedSnapshot]:
        """Give all committed entries after an index, in order, and wait for more; or a whole snapshot.

        Ends when the member is stopped; raises what else ended it, and `Corrupt` if the log holds no such
        entries.
        """
        loop, log = self._loop, self._loop.raft.log
        reaches = log.base_index <= after <= self.applied
        if not reaches and after >= loop.installed:  # else a leader's snapshot came before the reader
            raise errors.Corrupt(
                f"the log holds {log.base_index + 1} to {self.applied}, and not what follows {after}"
            )
        while True:
            if after < loop.installed:
                found = await self._disk.newest_snapshot()
                if found is None or found.mark.index < loop.installed:
                    raise errors.Corrupt(f"the snapshot at {loop.installed} cannot be read any more")
                after = found.mark.index
                yield found
            elif log.base_index <= after < self.applied:
                through = min(log.batch_end(after, limits.log_read_bytes), self.applied)
                entries = log.between(after, through)
                after = through
                yield entries
                if after < self.applied:
                    await asyncio.sleep(0)  # much to catch up with: heartbeats come in between
            elif self.ended:
                if self.failure is not None:
                    raise self.failure
                return
            else:  # nothing new; or a leader's snapshot is in the log's place, and on its way to the disk
                await self.changed()

    # --- the group ---

    def introduce(self, membership: Membership) -> None:
        """Tell a member that is new who the others are, so that they can reach it."""
        self._loop.introduce(membership)

    async def change(self, membership: Membership) -> None:
        """Make the next membership, one step from the present one; returns once it is committed.

        Raises `NotLeader`, `FailedPrecondition` with the reason, `Unavailable` if nobody knows.
        """
        self._loop.refuse_if_ended()
        index = self._loop.raft.change(membership)
        try:
            async with asyncio.timeout(limits.raft_change_timeout_s):
                await self._loop.outcome(self._loop.raft.standing.term, range(index, index + 1))
        except TimeoutError as error:
            raise errors.Unavailable(
                f"the change of managers was not committed within {limits.raft_change_timeout_s:g} s; it may "
                "be later; `covey cluster status` says which are missing"
            ) from error

    async def transfer(self, to: int = NOBODY) -> None:
        """Hand leadership over, to the member that is furthest unless another is named (thesis 3.10).

        Raises `NotLeader`, `FailedPrecondition` if nobody can take it, `Unavailable` if nobody took it in time.
        """
        self._loop.refuse_if_ended()
        to = to or self._loop.successor()
        if to == NOBODY:
            raise errors.FailedPrecondition("no other manager can lead: none has a vote and answers")
        if self.standing.role is not Role.LEADER:
            raise NotLeader("this manager does not lead, so it cannot hand leadership over")
        self._loop.raft.transfer(to)
        self._loop.kick()
        try:
            async with asyncio.timeout(limits.raft_transfer_ms / 1000):
                while self.standing.role is Role.LEADER:
                    await self.changed()
        except TimeoutError as error:
            raise errors.Unavailable(
                f"no other manager took the lead within {limits.raft_transfer_ms} ms"
            ) from error

    # --- snapshots ---

    async def save_snapshot(self, index: int, chunks: Iterable[bytes]) -> None:
        """Make a snapshot of what the entries up to `index` led to durable. Raises `ResourceExhausted`."""
        self._refuse_if_full()  # what was applied last may not be on our own disk yet
        mark = self._loop.raft.mark_at(index)
        if mark is not None:  # else a leader's newer one came meanwhile
            await self._disk.save_snapshot(mark, chunks)
            self._saved = mark

    async def compact(self, kept: int) -> None:
        """Forget entries before the newest snapshot, but a tail of `kept` for followers that are behind."""
        if self._saved is not None and self._saved.index > self._loop.installed:
            self._loop.raft.compact(self._saved, kept)
        await self._disk.compact(self.applied - kept)

    async def newest_snapshot(self) -> SavedSnapshot | None:
        """Find the newest sound snapshot on the disk."""
        return await self._disk.newest_snapshot()
