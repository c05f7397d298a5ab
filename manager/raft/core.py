"""The core: everything that happens to a member, and what comes of it."""

from collections.abc import Sequence
from random import Random

from covey import errors, limits

from .entry import NOBODY, Entry, EntryKind, Membership, SnapshotMark, Stored
from .local import Local
from .log import Log
from .membership import encode_membership, next_membership
from .messages import (
    AnyMessage,
    ReadRequest,
)
from .ready import Ready, Standing, Status
from .replication import Leadership
from .roles import Roles
from .validation import check_message


class Raft:
    """One member. It is told of time, messages and wishes, and says in `ready` what is to be done."""

    def __init__(self, stored: Stored, dice: Random, founding: Membership | None = None) -> None:
        """Start from a disk. An empty one either founds, alone, or waits until a leader writes to it."""
        self.local = local = Local(stored, dice)  # this and `leadership`: for looking only
        self._roles = Roles(local)
        self._out: Ready | None = None
        self._write_ticks = 0
        self._told = Standing()
        empty = local.log.last_index == 0 and local.term == 0
        if founding is not None and empty:
            if founding.voters != {local.id} or len(founding.members) != 1:
                raise errors.InvalidArgument(f"a cluster is founded by one member, {local.id}: {founding}")
            local.term = 1
            local.append([Entry(1, 1, EntryKind.MEMBERSHIP, encode_membership(founding))])
        if local.memberships.voters == {local.id}:
            self._roles.stand()  # there is nobody to wait for

    # --- what happens ---

    def tick(self) -> None:
        """Let `limits.raft_tick_ms` pass."""
        self._roles.tick()
        self._write_ticks = self._write_ticks + 1 if self._out is not None else 0
        if self.leadership is not None and self._write_ticks >= limits.raft_write_ticks_max:
            self.leadership.hand_over()  # what it cannot write it cannot apply, nor answer for

    def step(self, message: AnyMessage) -> None:
        """Take a message. Raises `PeerFault`, and changes nothing, if no member would send it."""
        if message.to != self.id:
            return  # meant for one who had this address before
        check_message(message, self.local)
        self._roles.step(message)

    def lost(self, peer: int) -> None:
        """Hear that the connection to a peer broke: it may be dead, no more."""
        self._roles.lost(peer)

    # --- wishes ---

    def propose(self, datas: Sequence[bytes]) -> tuple[int, range]:
        """Append entries; gives the term and their places.

        Proposed is not committed: in another term other entries may come to stand there. Raises `NotLeader`,
        and `ResourceExhausted` while too much is not committed.
        """
        leadership = self._leading()
        if leadership.transfer.to != NOBODY:
            raise errors.NotLeader(
                f"member {self.id} is handing leadership over to {leadership.transfer.to}; try again"
            )
        log = self.local.log
        waiting = log.bytes_between(log.commit, log.last_index)
        if waiting + sum(map(len, datas)) > limits.raft_uncommitted_bytes_max and waiting:
            raise errors.ResourceExhausted(
                f"{waiting} bytes of changes already wait for a majority of managers; try again later"
            )
        return self.local.term, leadership.propose(datas)

    def change(self, membership: Membership) -> int:
        """Append a membership that differs in one member; gives its place. It holds from now on.

        Ids that go are added to `removed`. Raises `NotLeader`, and `FailedPrecondition` with the reason.
        """
        leadership, local = self._leading(), self.local
        if leadership.transfer.to != NOBODY:
            raise errors.FailedPrecondition(
                f"leadership is being handed over to member {leadership.transfer.to}; try again"
            )
        if local.log.commit < leadership.first_index:
            # Or two leaders could each change the same membership, into two without a common majority
            # (Ongaro, "bug in single-server membership changes", raft-dev, 2015).
            raise errors.FailedPrecondition("the leader has just been elected; try again in a moment")
        if local.memberships.latest_index > local.log.commit:
            raise errors.FailedPrecondition(
                "another change of members is not through yet; try again in a moment"
            )
        try:
            return leadership.change(next_membership(local.membership, membership))
        except ValueError as error:
            raise errors.FailedPrecondition(f"members stay as they are: {error}") from error

    def transfer(self, to: int) -> None:
        """Hand leadership over to a voter; given up after an election timeout. Raises `FailedPrecondition`."""
        leadership = self._leading()
        if to == self.id:
            return
        if to not in self.local.memberships.voters:
            raise errors.FailedPrecondition(f"member {to} cannot lead: it has no vote")
        leadership.transfer.begin(leadership.peers[to])

    def read(self, key: int) -> None:
        """Ask for the index at which a read is linearizable; `Ready.reads` answers under the same key."""
        local = self.local
        if self.leadership is not None:
            self.leadership.read(local.id, key)
        elif local.leader != NOBODY:
            number = self._roles.forwarded.ask(key)
            local.out.send(ReadRequest(sender=local.id, to=local.leader, term=local.term, key=number))
        else:
            local.out.answer([key], None)

    def _leading(self) -> Leadership:
        if self.leadership is None:
            leader = self.local.leader
            who = f"member {leader} does" if leader != NOBODY else "there is no leader now"
            raise errors.NotLeader(f"member {self.id} does not lead; {who}")
        return self.leadership

    # --- snapshots ---

    def snapshot_sent(self, peer: int, ok: bool) -> None:
        """Hear what became of an `Install` from `Ready.messages`; must be called for each, in the end."""
        if self.leadership is not None:
            self.leadership.snapshot_sent(peer, ok)

    def compact(self, mark: SnapshotMark, keep_entries: int) -> None:
        """Hear that a snapshot of ours is durable: entries before it are dropped, but for so many."""
        local = self.local
        if mark.index <= local.snapshot.index:
            return
        local.snapshot = mark
        local.memberships.forget(mark.index)
        local.log.forget(mark.index - keep_entries)

    def mark_at(self, index: int) -> SnapshotMark | None:
        """What a snapshot taken after applying `index` stands for; None if a newer one came from the leader."""
        local = self.local
        if index < local.snapshot.index:
            return None
        term = local.log.term_at(index)
        assert term is not None, f"entry {index} is not in the log"
        assert index <= local.log.handed, f"entry {index} cannot have been applied yet"
        return SnapshotMark(index, term, local.memberships.at(index))

    # --- what is to be done ---

    def has_ready(self) -> bool:
        """Whether `ready` has anything to say; False while one is out."""
        if self._out is not None:
            return False
        local, out, leadership = self.local, self.local.out, self._roles.leadership
        return bool(
            out.messages
            or out.replies
            or out.reads
            or (leadership is not None and leadership.stirred)
            or local.installing is not None
            or local.unsaved_promise
            or local.log.given < local.log.last_index
            or local.log.handed < local.log.commit
            or self._standing_is_news()
        )

    def ready(self) -> Ready:
        """Take what is to be done. The next can be taken after `advance`."""
        assert self._out is None, "the Ready before is not done: call advance()"
        local, log = self.local, self.local.log
        messages = self.take_messages()
        entries = log.give_unsaved()
        # The commit index alone is not worth a write.
        due = local.unsaved_promise or bool(entries) or local.installing is not None
        hard_state = local.give_hard_state() if due else None
        standing = None
        if self._standing_is_news():
            standing = self._told = self.standing
        self._out = Ready(
            messages=messages,
            snapshot=local.installing,
            hard_state=hard_state,
            entries=entries,
            replies=local.out.take_replies(),
            committed=log.hand_out(limits.raft_committed_entries_max),
            reads=local.out.take_reads(),
            standing=standing,
        )
        return self._out

    def advance(self) -> None:
        """Hear that the last `ready` is done: what it gave to the disk is durable."""
        done = self._out
        assert done is not None, "there is no Ready to be done with"
        self._out = None
        local = self.local
        local.written(done.snapshot)
        self._roles.written()

    def take_messages(self) -> tuple[AnyMessage, ...]:
        """Take `Ready.messages` alone, also while a Ready is being done: they wait for no disk.

        So a slow disk delays no heartbeat, and the others get entries while a leader still writes them.
        """
        if self._roles.leadership is not None:
            self._roles.leadership.flush()
        return self.local.out.take_messages()

    # --- looking ---

    @property
    def id(self) -> int:
        """Who this is."""
        return self.local.id

    @property
    def leadership(self) -> Leadership | None:
        """What a leader knows of the others."""
        return self._roles.leadership

    @property
    def log(self) -> Log:
        """The log, to look at."""
        return self.local.log

    @property
    def membership(self) -> Membership:
        """The membership in force, committed or not."""
        return self.local.membership

    @property
    def committed_membership(self) -> Membership:
        """The newest membership that cannot be undone."""
        return self.local.committed_membership

    @property
    def standing(self) -> Standing:
        """How this member stands, whether a `Ready` has told of it or not."""
        local = self.local
        first = self.leadership.first_index if self.leadership is not None else 0
        return Standing(local.term, local.role, local.leader, first)

    def _standing_is_news(self) -> bool:
        local, told = self.local, self._told
        return local.term != told.term or local.role is not told.role or local.leader != told.leader

    def status(self) -> Status:
        """How this member sees things."""
        log = self.local.log
        peers = self.leadership.status() if self.leadership is not None else ()
        return Status(self.id, self.standing, log.commit, log.last_index, peers)
