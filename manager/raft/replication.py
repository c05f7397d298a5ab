"""What a leader does: it copies its log to the others and learns what a majority holds (section 5.3, 5.4.2).

Nothing is sent as it arises. `flush` is called when messages are taken, and then every member gets what it
lacks in as few messages as possible: under load entries travel in batches by themselves.
"""

from collections.abc import Sequence

from covey import limits

from .entry import NOBODY, Entry, EntryKind, Membership
from .local import Local
from .membership import encode_membership, majority
from .messages import Append, AppendReply, Heartbeat, HeartbeatReply, ReadReply, TimeoutNow
from .progress import Pace, Progress
from .reads import Asker, Reads
from .ready import PeerStatus
from .snapshotting import begin_snapshot
from .transfer import Transfer


class Leadership:
    """A leader's volatile state (figure 2); made when elected, dropped when it is over."""

    def __init__(self, local: Local) -> None:
        self._local = local
        self.peers: dict[int, Progress] = {}
        self.reads = Reads()
        self.transfer = Transfer(local)
        self.stirred = True  # whether there may be something to send
        self._ticks_to_heartbeat = limits.raft_heartbeat_ticks
        self._meet(local.membership)
        # What a former leader left uncommitted can only be committed through an entry of our own (section 8).
        self.first_index = local.log.last_index + 1
        local.append([Entry(self.first_index, local.term, EntryKind.NOTHING)])

    def _meet(self, membership: Membership) -> None:
        """Feed all members of a membership but ourselves, and nobody else."""
        members = {member.id: member for member in membership.members if member.id != self._local.id}
        next = self._local.log.last_index + 1
        self.peers = {id: self.peers.get(id) or Progress(member, next) for id, member in members.items()}

    # --- proposals ---

    def propose(self, datas: Sequence[bytes]) -> range:
        """Append entries; gives their places."""
        local = self._local
        first, term, kind = local.log.last_index + 1, local.term, EntryKind.DATA
        local.log.append([Entry(index, term, kind, data) for index, data in enumerate(datas, first)])
        self.stirred = True
        return range(first, first + len(datas))

    def change(self, membership: Membership) -> int:
        """Append a membership, which holds from now on; gives its place."""
        local = self._local
        index = local.log.last_index + 1
        data = encode_membership(membership)
        self._meet(membership)
        local.append([Entry(index, local.term, EntryKind.MEMBERSHIP, data)])
        self.transfer.check(membership)
        self.stirred = True
        return index

    # --- time ---

    def tick(self) -> bool:
        """Let time pass; False if no majority was heard for an election timeout: then we lead nobody."""
        self.transfer.tick()
        voters = self._local.memberships.voters
        heard = int(self._local.id in voters)
        for peer in self.peers.values():
            peer.silent_ticks += 1
            peer.rest_ticks = max(peer.rest_ticks - 1, 0)
            if peer.silent_ticks < limits.raft_election_ticks:
                heard += peer.id in voters
            elif peer.pace is Pace.REPLICATE:
                peer.probe(paused=True)
        if heard < majority(len(voters)):
            return False
        self._ticks_to_heartbeat -= 1
        if self._ticks_to_heartbeat <= 0 and not self._start_reads():
            self._beat()
        return True

    def _beat(self) -> None:
        local = self._local
        self._ticks_to_heartbeat = limits.raft_heartbeat_ticks
        for peer in self.peers.values():
            # A member commits only what agrees with our log, so no further than we know that it does.
            commit = min(peer.match, local.log.commit)
            number = self.reads.number
            beat = Heartbeat(sender=local.id, to=peer.id, term=local.term, commit=commit, read=number)
            local.out.send(beat)

    # --- sending ---

    def flush(self) -> None:
        """Put into the outbox what every member lacks."""
        if not self.stirred:
            return
        self.stirred = False
        self._start_reads()
        for peer in self.peers.values():
            self._feed(peer)

    def _feed(self, peer: Progress) -> None:
        log = self._local.log
        while not peer.paused:
            if peer.next <= log.base_index:
                begin_snapshot(self._local, peer)
            elif peer.pace is Pace.PROBE and peer.asked:
                self._append(peer, peer.next - 1)
            elif peer.pace is Pace.PROBE or (peer.next <= log.last_index and not peer.full):
                self._append(peer, log.batch_end(peer.next - 1, limits.raft_append_bytes_max))
            else:
                break
        if peer.pace is Pace.REPLICATE and peer.told_commit < log.commit:
            self._append(peer, peer.next - 1)

    def _append(self, peer: Progress, through: int) -> None:
        local, log = self._local, self._local.log
        after = peer.next - 1
        term = log.term_at(after)
        assert term is not None, f"entry {after} was compacted away, and still sent from"
        message = Append(
            sender=local.id,
            to=peer.id,
            term=local.term,
            previous_index=after,
            previous_term=term,
            commit=log.commit,
            entries=log.between(after, through),
        )
        local.out.send(message)
        peer.told_commit = log.commit
        if through > after or peer.pace is Pace.PROBE:
            peer.sent(through, log.bytes_between(after, through))

    # --- hearing ---

    def on_append_reply(self, message: AppendReply) -> bool:
        """A member has taken entries, or refused them as its log differs; True if it holds more than before."""
        peer = self.peers.get(message.sender)
        if peer is None:
            return False
        peer.silent_ticks = 0
        if message.rejected:
            agrees_at, _ = self._local.log.last_with_term(message.hint_index, message.hint_term)
            self.stirred |= peer.rejected(message.index, agrees_at)
            return False
        if not peer.acknowledged(message.index):
            return False
        if peer.pace is Pace.PROBE or (
            peer.pace is Pace.SNAPSHOT and peer.match >= self._local.log.base_index
        ):
            peer.replicate()
        self.stirred = True
        self.transfer.follow(peer)
        return True

    def on_heartbeat_reply(self, message: HeartbeatReply) -> None:
        """A member lives, and confirms that we led when the heartbeat left."""
        peer = self.peers.get(message.sender)
        if peer is None:
            return
        peer.silent_ticks = 0
        if peer.paused and peer.pace is Pace.PROBE:
            peer.paused = peer.rest_ticks > 0
            self.stirred = True
        elif peer.stuck():
            # What is under way was lost, or is slow: a refusal of what would follow tells which.
            if peer.next > self._local.log.base_index:
                self._append(peer, peer.next - 1)
            self.stirred = True
        if message.read > peer.read:
            peer.read = message.read
            self._answer_reads()
        self.transfer.follow(peer)  # it may not have heard

    def lost(self, id: int) -> None:
        """The connection to a member broke: what was under way may not have arrived."""
        peer = self.peers.get(id)
        if peer is not None and peer.pace is Pace.REPLICATE:
            peer.probe(paused=True)

    def snapshot_sent(self, id: int, ok: bool) -> None:
        """The transport is done with a snapshot."""
        peer = self.peers.get(id)
        if peer is None or peer.pace is not Pace.SNAPSHOT:
            return
        if ok:
            peer.probe()
            self.stirred = True
        else:
            peer.snapshot_failed()

    # --- what a majority holds ---

    def commit_index(self) -> int:
        """The last entry that a majority holds and that is of our term, else where commit stands.

        An older term's entry is never committed by counting: it could still be replaced (section 5.4.2,
        figure 8). It is committed along with one of ours.
        """
        local = self._local
        # What is not on our own disk does not count for us, and if we are being removed nothing does.
        held = self._majority_has({id: peer.match for id, peer in self.peers.items()}, local.log.durable)
        return held if held >= self.first_index else local.log.commit

    def advance_commit(self) -> bool:
        """Commit what can be; True if something was."""
        index = self.commit_index()
        if not self._local.log.commit_to(index):
            return False
        self.stirred = True
        return True

    def _majority_has(self, peers: dict[int, int], own: int) -> int:
        """The largest number that a majority of the voters has reached."""
        local = self._local
        reached = sorted(own if id == local.id else peers.get(id, 0) for id in local.memberships.voters)
        return reached[(len(reached) - 1) // 2]

    # --- reads ---

    def read(self, asker: int, key: int) -> None:
        """Let somebody read: at once in the next round."""
        self.reads.add(Asker(asker, key))
        self.stirred = True

    def _start_reads(self) -> bool:
        """Begin a round if reads wait, and an entry of our term is committed.

        Before that our commit index need not be the latest (section 8; thesis 6.4, step 1).
        """
        log = self._local.log
        if not self.reads.waiting or log.commit < self.first_index:
            return False
        self.reads.start(log.commit)
        self._beat()
        self._answer_reads()
        return True

    def _answer_reads(self) -> None:
        confirmed = self._majority_has({id: peer.read for id, peer in self.peers.items()}, self.reads.number)
        for round in self.reads.confirmed(confirmed):
            for asker in round.askers:
                self._answer(asker, round.index)
        self.stirred |= self.reads.waiting

    def give_up_reads(self) -> None:
        """Tell everybody who waits for a read that we cannot say."""
        for asker in self.reads.give_up():
            self._answer(asker, None)

    def _answer(self, asker: Asker, index: int | None) -> None:
        local = self._local
        if asker.id == local.id:
            local.out.answer([asker.key], index)
        else:
            reply = ReadReply(sender=local.id, to=asker.id, term=local.term, key=asker.key, index=index)
            local.out.send(reply)

    # --- looking ---

    def status(self) -> tuple[PeerStatus, ...]:
        """How the others are."""
        return tuple(
            PeerStatus(peer.id, peer.match, peer.silent_ticks, peer.pace is Pace.SNAPSHOT)
            for peer in self.peers.values()
        )

    def _successor(self) -> Progress | None:
        """The voter that holds most, of those that were heard lately."""
        voters = self._local.memberships.voters
        alive = [p for p in self.peers.values() if p.silent_ticks < limits.raft_election_ticks]
        return max((p for p in alive if p.id in voters), key=lambda peer: peer.match, default=None)

    def hand_over(self) -> None:
        """Let another one lead, if one can and is not about to."""
        successor = self._successor()
        if successor is not None and self.transfer.to == NOBODY:
            self.transfer.begin(successor)

    def have_another_lead(self) -> None:
        """Let another one stand at once, for we lead no more."""
        local, successor = self._local, self._successor()
        if successor is not None:
            local.out.send(TimeoutNow(sender=local.id, to=successor.id, term=local.term))
