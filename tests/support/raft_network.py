"""A few cores joined by an imaginary network, with a disk each: for tests of the core alone.

    network = RaftNetwork(3)               # members 1, 2, 3, who know each other
    network.elect(1)
    network.propose(1, b"x")               # and everything that comes of it
    network.members[2].applied             # the data it applied, in order
    network.isolate(1); network.crash(2); network.restart(2); network.tick(40)

Messages wait in `network.queue` until they are delivered; `settle` delivers all. After each step of each
member its invariants are checked, and the promises of Raft among all members (`check_all`).
"""

from collections.abc import Callable, Iterable, Sequence
from random import Random

from covey import limits
from manager.raft.core import Raft
from manager.raft.entry import (
    Entry,
    EntryKind,
    HardState,
    Member,
    Membership,
    SnapshotMark,
    Stored,
)
from manager.raft.invariants import check, check_log
from manager.raft.messages import AnyMessage, Append, Install, decode, encode
from manager.raft.ready import ReadAnswer, Ready, Role, Standing

EMPTY = SnapshotMark()


def members(*ids: int, learners: Iterable[int] = ()) -> Membership:
    """A membership of voters and learners."""
    learning = set(learners)
    everyone = sorted({*ids, *learning})
    return Membership(
        tuple(Member(id, f"node-{id}", f"10.0.0.{id}:2377", id not in learning) for id in everyone)
    )


class MemoryDisk:
    """What survives a crash. `write` happens at once; what the driver has not written is lost."""

    def __init__(self, id: int, membership: Membership | None = None) -> None:
        self.id = id
        self.hard_state = HardState()
        self.snapshot = self.kept_after = EMPTY
        self.entries: list[Entry] = []
        if membership is not None:  # as if all had begun with the same snapshot of nothing
            self.snapshot = SnapshotMark(0, 0, membership)

    @property
    def stored(self) -> Stored:
        return Stored(self.id, self.hard_state, self.snapshot, self.kept_after, tuple(self.entries))

    def write(self, ready: Ready) -> None:
        if ready.snapshot is not None:
            self.snapshot = ready.snapshot
            self.kept_after = SnapshotMark(ready.snapshot.index, ready.snapshot.term)
            self.entries = []
        if ready.hard_state is not None:
            self.hard_state = ready.hard_state
        if ready.entries:
            keep = ready.entries[0].index - self.kept_after.index - 1
            assert 0 <= keep <= len(self.entries), "a gap in the log on disk"
            self.entries[keep:] = ready.entries

    def compact(self, mark: SnapshotMark, keep_entries: int) -> None:
        self.snapshot = mark
        drop = mark.index - keep_entries - self.kept_after.index
        if drop > 0:
            last = self.entries[drop - 1]
            self.kept_after = SnapshotMark(last.index, last.term)
            del self.entries[:drop]


class MemberOfNetwork:
    """A core with its disk, driven as `Ready` says."""

    def __init__(self, network: "RaftNetwork", disk: MemoryDisk, founding: Membership | None = None) -> None:
        self.network = network
        self.disk = disk
        self.lives = 0
        self.founding = founding
        self.start()

    def start(self) -> None:
        self.lives += 1
        dice = Random(f"{self.network.seed} {self.disk.id} {self.lives}")
        self.core = Raft(self.disk.stored, dice, self.founding)
        self.alive = True
        self.slow_disk = False
        self.pending: Ready | None = None
        self.standing = Standing()
        self.state = list(self.network.states.get(self.disk.snapshot.index, ()))
        self.applied_index = self.disk.snapshot.index
        self.reads: list[ReadAnswer] = []
        self.readies: list[Ready] = []

    @property
    def id(self) -> int:
        return self.disk.id

    @property
    def applied(self) -> list[bytes]:
        return [data for data in self.state if data]

    @property
    def leads(self) -> bool:
        return self.alive and self.core.status().standing.role is Role.LEADER

    def work(self) -> bool:
        """Do what is to be done; with a slow disk, only what needs none."""
        if not self.alive:
            return False
        if self.pending is not None or self.slow_disk:
            if self.pending is None and self.core.has_ready():
                self.pending = self.core.ready()
                self.network.post(self.pending.messages)
            messages = self.core.take_messages()
            self.network.post(messages)
            return bool(messages)
        if not self.core.has_ready():
            return False
        ready = self.core.ready()
        self.network.post(ready.messages)
        self.finish(ready)
        return True

    def finish(self, ready: Ready) -> None:
        self.readies.append(ready)
        self.network.done(self, ready)
        self.disk.write(ready)
        self.network.post(ready.replies)
        if ready.snapshot is not None:
            self.state = list(self.network.states[ready.snapshot.index])
            self.applied_index = ready.snapshot.index
        for entry in ready.committed:
            assert entry.index == self.applied_index + 1, "applied out of order"
            self.applied_index = entry.index
            self.state.append(entry.data if entry.kind is EntryKind.DATA else b"")
            self.network.applied(self.id, entry)
            self.network.states[entry.index] = tuple(self.state)
        self.reads += ready.reads
        self.standing = ready.standing or self.standing
        self.core.advance()
        self.check()

    def disk_done(self) -> None:
        """Let a slow disk finish what it was given, and be quick again."""
        self.slow_disk = False
        if self.pending is not None:
            ready, self.pending = self.pending, None
            self.finish(ready)

    def step(self, message: AnyMessage) -> None:
        if self.alive:
            self.core.step(message)
            self.check()

    def snapshot(self, keep_entries: int = 0) -> SnapshotMark:
        """Take a snapshot of what was applied, and compact."""
        mark = self.core.mark_at(self.applied_index)
        assert mark is not None, "a newer snapshot came from the leader"
        self.disk.compact(mark, keep_entries)
        self.core.compact(mark, keep_entries)
        self.check()
        return mark

    def check(self) -> None:
        check(self.core)
        check_log(self.core)
        self.network.note_leader(self)


class RaftNetwork:
    """All members, what is under way between them, and what must be true of all together."""

    def __init__(self, count: int = 3, seed: int = 1, learners: Iterable[int] = ()) -> None:
        self.seed = seed
        self.queue: list[AnyMessage] = []
        self.sent: list[AnyMessage] = []  # everything, for tests that ask what was said
        self.states: dict[int, tuple[bytes, ...]] = {0: ()}  # what applying up to an index gave
        self.history: dict[int, Entry] = {}  # what was applied anywhere at an index
        self.leaders: dict[int, int] = {}  # by term
        self.cut: set[tuple[int, int]] = set()
        self.drop: Callable[[AnyMessage], bool] = lambda message: False
        self.members: dict[int, MemberOfNetwork] = {}
        membership = members(*range(1, count + 1), learners=learners)
        for member in membership.members:
            self.members[member.id] = MemberOfNetwork(self, MemoryDisk(member.id, membership))

    def __getitem__(self, id: int) -> MemberOfNetwork:
        return self.members[id]

    def found(self, id: int) -> MemberOfNetwork:
        """A machine that makes a cluster of itself."""
        self.members[id] = MemberOfNetwork(self, MemoryDisk(id), members(id))
        return self.members[id]

    def add_empty(self, id: int) -> MemberOfNetwork:
        """A machine with an empty log, which waits to be added."""
        self.members[id] = MemberOfNetwork(self, MemoryDisk(id))
        return self.members[id]

    # --- messages ---

    def post(self, messages: Sequence[AnyMessage]) -> None:
        self.sent += messages
        self.queue += decode(encode(list(messages)))

    def deliver(self, message: AnyMessage) -> None:
        """Bring one message to where it belongs, if the way is free."""
        if not self.arrives(message):
            self.lose(message)
            return
        sender = self.members.get(message.sender)
        self.members[message.to].step(message)
        if isinstance(message, Install) and sender is not None and sender.alive:
            sender.core.snapshot_sent(message.to, ok=True)

    def arrives(self, message: AnyMessage) -> bool:
        """Whether the way is free, and there is somebody at its end."""
        receiver = self.members.get(message.to)
        free = (message.sender, message.to) not in self.cut and not self.drop(message)
        return free and receiver is not None and receiver.alive

    def done(self, member: MemberOfNetwork, ready: Ready) -> None:
        """Hear what a member has done; for who wants to write it down."""

    def lose(self, message: AnyMessage) -> None:
        """Lose a message; a transport tells its own member if that was a snapshot."""
        sender = self.members.get(message.sender)
        if isinstance(message, Install) and sender is not None and sender.alive:
            sender.core.snapshot_sent(message.to, ok=False)

    def settle(self, rounds: int = 1000) -> None:
        """Work and deliver until nothing moves."""
        for _ in range(rounds):
            busy = sum(member.work() for member in self.members.values()) > 0
            while self.queue:
                self.deliver(self.queue.pop(0))
                busy = True
            if not busy:
                self.check_all()
                return
        raise AssertionError("they never stop talking")

    # --- time and trouble ---

    def tick(self, ticks: int = 1, *ids: int) -> None:
        """Let time pass for some or all, and everything come of it."""
        for _ in range(ticks):
            for id in ids or tuple(self.members):
                if self.members[id].alive:
                    self.members[id].core.tick()
                    self.members[id].check()
            self.settle()

    def isolate(self, *ids: int) -> None:
        """Cut some off from the rest, both ways."""
        rest = self.members.keys() - set(ids)
        self.cut |= {(a, b) for a in ids for b in rest} | {(b, a) for a in ids for b in rest}

    def heal(self) -> None:
        self.cut.clear()

    def crash(self, *ids: int) -> None:
        """Stop members; what was not on disk is gone."""
        for id in ids:
            self.members[id].alive = False
            self.members[id].pending = None

    def restart(self, *ids: int) -> None:
        for id in ids:
            self.members[id].start()

    # --- wishes ---

    @property
    def leader(self) -> MemberOfNetwork:
        """The leader of the latest term."""
        leading = [member for member in self.members.values() if member.leads]
        assert leading, "nobody leads"
        return max(leading, key=lambda member: member.core.status().standing.term)

    def elect(self, id: int) -> None:
        """Let time pass for one member until it leads."""
        for _ in range(200):
            if self.members[id].leads:
                return
            self.tick(1, id)
        raise AssertionError(f"{id} is not elected")

    def wait_for_leader(self, ticks: int = 400) -> MemberOfNetwork:
        for _ in range(ticks):
            if any(member.leads for member in self.members.values()):
                return self.leader
            self.tick()
        raise AssertionError("nobody is elected")

    def propose(self, id: int, *datas: bytes) -> range:
        _, indexes = self.members[id].core.propose(datas)
        self.settle()
        return indexes

    def change(self, id: int, membership: Membership) -> int:
        index = self.members[id].core.change(membership)
        self.settle()
        return index

    # --- what must be true ---

    def note_leader(self, member: MemberOfNetwork) -> None:
        """Election safety: at most one leader in a term (figure 3)."""
        standing = member.core.status().standing
        if standing.role is Role.LEADER:
            first = self.leaders.setdefault(standing.term, member.id)
            assert first == member.id, f"{first} and {member.id} both lead in term {standing.term}"

    def applied(self, id: int, entry: Entry) -> None:
        """State machine safety: no two members apply different entries at an index (figure 3)."""
        first = self.history.setdefault(entry.index, entry)
        assert first == entry, f"{id} applies {entry} where {first} was applied"

    def check_all(self) -> None:
        """Log matching and leader completeness (figure 3)."""
        logs = {id: member_log(member) for id, member in self.members.items() if member.alive}
        ids = sorted(logs)
        for one in ids:
            for other in ids:
                if one < other:
                    check_matching(logs[one], logs[other])
        for id in ids:
            standing = self.members[id].core.status().standing
            if standing.role is Role.LEADER and standing.term == max(self.leaders):
                check_complete(id, self.members[id].core.log.base_index, logs[id], self.history)

    def appends(self, to: int) -> list[Append]:
        return [message for message in self.sent if isinstance(message, Append) and message.to == to]


def member_log(member: MemberOfNetwork) -> dict[int, Entry]:
    """The entries in a member's memory, by index."""
    log = member.core.log
    return {entry.index: entry for entry in log.between(log.base_index, log.last_index)}


def check_matching(one: dict[int, Entry], other: dict[int, Entry]) -> None:
    """If two logs have an entry with the same index and term, they are the same up to there."""
    common = one.keys() & other.keys()
    agreed = [index for index in common if one[index].term == other[index].term]
    for index in common:
        if agreed and index <= max(agreed):
            assert one[index] == other[index], f"logs differ at {index} and agree at {max(agreed)}"


def check_complete(id: int, base: int, log: dict[int, Entry], history: dict[int, Entry]) -> None:
    """A leader has everything that was ever applied anywhere; up to `base` in a snapshot."""
    for index, entry in history.items():
        if index > base:
            assert log.get(index) == entry, f"leader {id} lacks {entry}"


# --- a single core ---


def member(
    id: int,
    count: int = 3,
    term: int = 0,
    entries: Sequence[Entry] = (),
    hard_state: HardState | None = None,
    seed: int = 1,
) -> Raft:
    """One member of several, alone with the test."""
    stored = Stored(
        id,
        hard_state or HardState(term),
        SnapshotMark(0, 0, members(*range(1, count + 1))),
        entries=tuple(entries),
    )
    return Raft(stored, Random(seed))


def drain(raft: Raft) -> list[AnyMessage]:
    """Do all there is to do with a quick disk; gives what it says."""
    said: list[AnyMessage] = []
    while raft.has_ready():
        ready = raft.ready()
        said += ready.messages + ready.replies
        raft.advance()
        check(raft)
    return said


def whole_timeout(raft: Raft) -> None:
    """Let time pass until it stands for election."""
    before = raft.standing
    for _ in range(2 * limits.raft_election_ticks):
        raft.tick()
        if raft.standing != before:
            return
    raise AssertionError("it does not stand")
