"""One manager: the real core, the real store's parts, and a disk that keeps its word or not.

It does what the product's drivers do, in their order (`manager/raft/loop/driver.py`, `manager/store/driver.py`), without
a loop: a `Ready` is carried out step by step, and what waits for the disk waits for virtual time.
"""

from collections.abc import Callable, Sequence
from random import Random
from typing import TYPE_CHECKING

from msgspec.structs import replace

from covey import errors, limits
from manager.raft.core import Raft
from manager.raft.entry import Entry, EntryKind, Membership
from manager.raft.fake import MemoryDisk
from manager.raft.invariants import check, check_log
from manager.raft.messages import AnyMessage, Install
from manager.raft.ready import Ready, Role
from manager.store import entry as entries
from manager.store import snapshot
from manager.store.draft import Draft
from manager.store.tables import Tables
from manager.store.transaction import Commit, Transaction
from tests.sim.leading import Leading

if TYPE_CHECKING:
    from tests.sim.world import World

Outcome = Callable[[Commit | Exception], None]
UNKNOWN = errors.Unavailable("nobody knows whether it was written")
DOUBT_MS = 3_000
EPOCH_MS = 1e12


class Manager:
    """A machine called `name`, which may lose its power and its disk. `core` is None while it is off."""

    tables: Tables

    def __init__(self, world: "World", name: str, founding: bool = False) -> None:
        self.world, self.name = world, name
        self.lives = 0
        self.disk = MemoryDisk(world.new_member_id(), syncs=world.faults.disks_sync)
        self.disk_ms = 1.0
        self.full_until_ms = self.stalled_until_ms = 0.0
        self.wall_ahead_ms = 0.0  # how far its clock on the wall is from the true time
        self.core: Raft | None = None
        self.boot(founding)

    @property
    def id(self) -> int:
        return self.disk.id

    @property
    def leads(self) -> bool:
        return self.core is not None and self.core.leadership is not None

    @property
    def is_member(self) -> bool:
        """Whether it is on, and one of the managers: others listen to no agents."""
        return self.core is not None and self.core.membership.get(self.id) is not None

    # --- power ---

    def boot(self, founding: bool = False) -> None:
        """Start from the disk."""
        self.lives += 1
        self.up_since_ms = self.world.clock.now_ms - self.world.dice.uniform(0, 1e6)
        self.dice = Random(f"{self.world.seed} {self.name} {self.lives}")
        founder = self.world.membership_of(self) if founding else None
        stored = self.disk.load()
        self.core = self.world.core(stored, self.dice, founder)
        self.tables = Tables()
        found = self.disk.newest_snapshot()
        if found is not None and found.mark.index:
            self.tables = snapshot.decode(found.mark.index, found.chunks)
        self.applied = stored.snapshot.index
        self.writing: Ready | None = None
        self.borne: Ready | None = None  # applied before it was written, as the disk is full
        self.waiting: dict[int, Outcome] = {}
        self.reads: dict[int, Callable[[int | None], None]] = {}
        self.asked = 0
        self.snapshot_index = self.applied
        self.leading: Leading | None = None
        self._tick_of(self.lives)
        self.work()

    def power_off(self) -> None:
        """Lose everything that was not synced, or a part of it."""
        self.core = None
        self.disk.crash(self.dice, torn=self.world.faults.torn)
        self.stop_leading()
        self.world.gone(self)
        for tell in self._take_waiting():
            tell(UNKNOWN)

    def lose_disk(self) -> None:
        """Come back with an empty one, as a new member."""
        self.disk = MemoryDisk(self.world.new_member_id(), syncs=self.world.faults.disks_sync)

    # --- time ---

    @property
    def now_ms(self) -> float:
        """What its steady clock says, which begins anew with the machine."""
        return self.world.clock.now_ms - self.up_since_ms

    def wall_ns(self) -> int:
        """What it thinks the time is."""
        return int((EPOCH_MS + self.world.clock.now_ms + self.wall_ahead_ms) * 1e6)

    def _tick_of(self, life: int) -> None:
        if self.core is None or life != self.lives:
            return
        now = self.world.clock.now_ms
        if now >= self.stalled_until_ms:
            self.core.tick()
            self.checked()
            self.work()
        self.world.clock.after(
            limits.raft_tick_ms * self.world.dice.uniform(0.97, 1.03), lambda: self._tick_of(life)
        )

    def receive(self, message: AnyMessage) -> None:
        """Hear from a peer."""
        life = self.lives
        wait = self.stalled_until_ms - self.world.clock.now_ms
        if wait > 0:  # it lies in the inbox of a process that stands still
            self.world.clock.after(wait, lambda: self.receive(message) if life == self.lives else None)
        elif self.core is not None:
            self.core.step(message)
            self.checked()
            self.work()

    def lost(self, peer: int) -> None:
        """Hear that the connection to a peer broke."""
        if self.core is not None:
            self.core.lost(peer)
            self.work()

    def checked(self) -> None:
        assert self.core is not None
        check(self.core)
        if self.leads:
            self.world.logs.leads(self.core, self.world.promises.applied)
            if self.world.promises.leads(self.core.standing.term, self.id):
                self.world.faults.elected(self)

    # --- carrying out what the core wants ---

    def work(self) -> None:
        """Begin the next `Ready`, or send what needs no disk while one is under way."""
        core = self.core
        if core is None:
            return
        if self.writing is not None:
            self._send(core.take_messages())
            return
        while core.has_ready() and self.writing is None:
            ready = core.ready()
            self._send(ready.messages)
            if ready.snapshot is not None or ready.hard_state is not None or ready.entries:
                self._write(ready)
            else:
                self._finish(ready)
        self._see_to_leading()

    def _write(self, ready: Ready) -> None:
        assert self.core is not None
        self.writing = ready
        life = self.lives
        if self.world.clock.now_ms < self.full_until_ms:
            self._bear_full_disk(self.core, ready)
            pause = limits.raft_full_disk_pause_ms
            self.world.clock.after(
                pause, lambda: self._write(ready) if life == self.lives and self.core else None
            )
            return
        self.world.logs.written(self.core, ready.entries)
        state = ready.hard_state
        if ready.snapshot is not None:
            self.disk.install_snapshot(ready.snapshot, state)
            state = None
        if state is not None or ready.entries:
            self.disk.write(state, ready.entries)
        self.world.clock.after(self.disk_ms * self.world.dice.uniform(0.5, 2.0), lambda: self._written(life))

    def _bear_full_disk(self, core: Raft, ready: Ready) -> None:
        """Apply what a majority holds, though this disk may not, and let somebody else lead."""
        if ready.snapshot is None and self.borne is not ready:
            self._apply_all(ready)
            self.borne = ready
        if core.leadership is not None:
            core.leadership.hand_over()
        self._send(core.take_messages())

    def _written(self, life: int) -> None:
        if self.core is None or life != self.lives or self.writing is None:
            return
        ready, self.writing = self.writing, None
        self.disk.sync()
        if ready.snapshot is not None:
            self._take_over(ready)
        self._finish(ready)
        self.work()

    def _finish(self, ready: Ready) -> None:
        assert self.core is not None
        self._send(ready.replies)
        self._apply_all(ready)
        for answer in ready.reads:
            if (tell := self.reads.pop(answer.key, None)) is not None:
                tell(answer.index)
        self.core.advance()
        self.checked()
        self._snapshot_if_due()

    def _send(self, messages: Sequence[AnyMessage]) -> None:
        for message in messages:
            target = self.world.by_id(message.to)
            if isinstance(message, Install):
                self._send_snapshot(message, target)
            elif target is not None:
                self.world.network.throw(self.name, target.name, lambda m=message, t=target: t.receive(m))  # type: ignore[misc]

    # --- snapshots ---

    def _send_snapshot(self, message: Install, target: "Manager | None") -> None:
        found, life = self.disk.newest_snapshot(), self.lives
        assert found is not None, "a leader that compacts has one"
        install = replace(message, mark=found.mark)

        def arrive() -> None:
            ok = (
                target is not None
                and target.core is not None
                and self.world.network.carries(self.name, target.name)
            )
            if ok and target is not None and target.writing is None:
                target.disk.stage_snapshot(install.mark, found.chunks)
                target.receive(install)
            elif ok:
                ok = False
            if self.core is not None and life == self.lives:
                self.core.snapshot_sent(message.to, ok)
                self.work()

        self.world.clock.after(self.world.dice.uniform(5, 60), arrive)

    def _take_over(self, ready: Ready) -> None:
        assert ready.snapshot is not None
        found = self.disk.newest_snapshot()
        assert found is not None
        assert found.mark == ready.snapshot
        self.tables = snapshot.decode(found.mark.index, found.chunks)
        self.applied = self.snapshot_index = found.mark.index
        self.stop_leading()
        for tell in self._take_waiting():
            tell(UNKNOWN)

    def _snapshot_if_due(self) -> None:
        core = self.core
        if core is None or self.applied - self.snapshot_index < self.world.faults.entries_between_snapshots:
            return
        mark = core.mark_at(self.applied)
        if mark is None or self.writing is not None:
            return
        check_log(core)
        self.snapshot_index = mark.index
        self.disk.save_snapshot(mark, list(snapshot.encode(self.tables.objects())))
        self.disk.sync()
        core.compact(mark, 5)
        self.disk.compact(mark.index - 5)

    # --- the store ---

    def _apply_all(self, ready: Ready) -> None:
        for entry in ready.committed:
            if entry.index > self.applied or ready is not self.borne:
                self._apply(entry)

    def _apply(self, entry: Entry) -> None:
        assert entry.index == self.applied + 1, "applied out of order"
        self.world.promises.apply(self.id, entry)
        self.applied = entry.index
        if entry.kind is not EntryKind.DATA:
            return
        decoded = entries.decode(entry.data)
        outcome = self.tables.apply(decoded.transaction, entry.index, decoded.at_ns)
        self.world.promises.after(self.id, self.tables)
        if isinstance(outcome, Commit):
            self.world.heard(outcome, self.tables)
        if isinstance(outcome, Commit) and self.leading is not None:
            self.leading.committed(outcome)
        if (tell := self.waiting.pop(decoded.proposal, None)) is not None:
            if isinstance(outcome, Commit):
                self.world.promises.acknowledge(entry.index)
            tell(outcome)

    def commit(self, transaction: Transaction, tell: Outcome) -> None:
        """Propose; `tell` hears what came of it, once."""
        if self.core is None:
            tell(errors.NotLeader("off"))
            return
        proposal = self.world.new_proposal()
        data = entries.encode(entries.Entry(transaction, self.wall_ns(), proposal))
        try:
            self.core.propose([data])
        except errors.CoveyError as error:
            tell(error)
            return
        self.waiting[proposal] = tell
        self.world.clock.after(DOUBT_MS, lambda: self._doubt(proposal))
        self.work()

    def _doubt(self, proposal: int) -> None:
        """Tell that nobody knows; a leader does not give up, it will know."""
        if self.leads and proposal in self.waiting:
            self.world.clock.after(DOUBT_MS, lambda: self._doubt(proposal))
        elif (tell := self.waiting.pop(proposal, None)) is not None:
            tell(UNKNOWN)

    def _take_waiting(self) -> list[Outcome]:
        taken, self.waiting = list(self.waiting.values()), {}
        return taken

    def update(self, change: Callable[[Draft], object], tell: Outcome, tries: int = 5) -> None:
        """Read, modify and write, again after a conflict."""
        draft = Draft(self.tables)
        try:
            change(draft)
        except errors.Refused as error:
            tell(error)
            return
        transaction = draft.transaction()
        if not transaction:
            tell(Commit(self.tables.index, 0, ()))
            return

        def outcome(result: Commit | Exception) -> None:
            if isinstance(result, errors.Conflict) and tries:
                self.update(change, tell, tries - 1)
            else:
                tell(result)

        self.commit(transaction, outcome)

    def read(self, tell: Callable[[Tables | None], None]) -> None:
        """Read-index: `tell` is given the tables once they may be read, or None."""
        if self.core is None:
            tell(None)
            return
        self.asked += 1
        key, life = self.asked, self.lives

        def wait(index: int | None) -> None:
            if index is None or self.core is None or life != self.lives:
                tell(None)
            elif self.applied >= index:
                tell(self.tables)
            else:
                self.world.clock.after(1.0, lambda: wait(index))

        self.reads[key] = wait
        self.core.read(key)
        self.work()

    # --- what only leaders do ---

    def _see_to_leading(self) -> None:
        core = self.core
        if core is None:
            return
        standing = core.standing
        if standing.role is not Role.LEADER or (
            self.leading is not None and self.leading.term != standing.term
        ):
            self.stop_leading()
        if standing.role is Role.LEADER and self.leading is None and self.applied >= standing.first_index:
            self.leading = Leading(self, standing.term)
            self.leading.begin()

    def stop_leading(self) -> None:
        """End what a leader does, at once."""
        if self.leading is not None:
            leading, self.leading = self.leading, None
            leading.end()

    @property
    def membership(self) -> Membership:
        assert self.core is not None
        return self.core.membership
