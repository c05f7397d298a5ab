"""What a member is at the moment, what changes that, and to whom it listens (figure 4)."""

from collections.abc import Callable
from typing import Any

from covey import errors

from .election import Election
from .entry import NOBODY
from .following import check_agreement, take_append, take_heartbeat
from .local import Local
from .messages import (
    AnyMessage,
    Append,
    AppendReply,
    Heartbeat,
    HeartbeatReply,
    Install,
    ReadReply,
    ReadRequest,
    TimeoutNow,
    Vote,
    VoteReply,
)
from .reads import ForwardedReads
from .ready import Role
from .replication import Leadership
from .snapshotting import install


class Roles:
    """A follower, a candidate or a leader: the parts that each needs, and the ways between."""

    def __init__(self, local: Local) -> None:
        self.local = local
        self.leadership: Leadership | None = None
        self.forwarded = ForwardedReads(local.dice)
        self._election = Election(local)
        self._hear: dict[type, Callable[[Any], None]] = {
            Vote: self._on_vote,
            VoteReply: self._on_member,
            Append: self._on_leader,
            AppendReply: self._on_member,
            Heartbeat: self._on_leader,
            HeartbeatReply: self._on_member,
            Install: self._on_leader,
            TimeoutNow: self._on_timeout_now,
            ReadRequest: self._on_member,
            ReadReply: self._on_read_reply,
        }

    # --- time ---

    def tick(self) -> None:
        """Let time pass."""
        self.local.out.answer(self.forwarded.tick(), None)
        if self.leadership is not None:
            if not self.leadership.tick():
                self._become_follower(NOBODY)  # check-quorum (thesis 6.2)
        elif self._election.tick():
            self.stand()

    def stand(self, transfer: bool = False) -> None:
        """Stand for election, if that is ours to do."""
        self._leave_leader()
        if not self.local.electable:
            self.local.leader = NOBODY
            self._election.wait_whole()
        elif transfer or self._election.stand(pre=True):
            self._election.stand(pre=False, transfer=transfer)

    def lost(self, peer: int) -> None:
        """Hear that the connection to a peer broke: it may be dead, no more."""
        if self.leadership is not None:
            self.leadership.lost(peer)
        elif peer == self.local.leader:
            self._election.leader_lost()

    # --- messages ---

    def step(self, message: AnyMessage) -> None:
        """Take a message that is sound in itself."""
        self._hear[type(message)](message)

    def _on_vote(self, message: Vote) -> None:
        local = self.local
        if message.sender in local.committed_membership.removed:
            return  # it has not heard that it is no member
        if not message.pre:
            if self._election.content and not message.transfer:
                return  # its term too: it must not unseat whom we hear (thesis 4.2.3)
            if message.term > local.term:
                self._follow(message.term, NOBODY)
        self._election.answer(message)

    def _on_leader(self, message: Append | Heartbeat | Install) -> None:
        """Hear a leader, known or not: who leads in our term or a later one was elected (thesis 4.1)."""
        local = self.local
        if message.term < local.term:
            # It learns our term, and steps down; without this a member that has stood in vain would stay out.
            local.say(AppendReply(sender=local.id, to=message.sender, term=local.term, index=0))
            return
        if message.term == local.term and local.leader not in (NOBODY, message.sender):
            raise errors.PeerFault(
                f"member {message.sender} leads in term {message.term}, which {local.leader} leads already"
            )
        check_agreement(local, message)
        self._follow(message.term, message.sender)
        if isinstance(message, Append):
            take_append(local, message)
        elif isinstance(message, Heartbeat):
            take_heartbeat(local, message)
        else:
            install(local, message)

    def _on_member(self, message: VoteReply | AppendReply | HeartbeatReply | ReadRequest) -> None:
        """Hear a member of the membership in force; others' terms and answers are nothing to us."""
        local = self.local
        if message.sender not in local.memberships.ids:
            return
        if message.term > local.term and not (
            isinstance(message, VoteReply) and message.pre and message.granted
        ):
            self._follow(message.term, NOBODY)
        leadership = self.leadership if message.term == local.term else None
        if isinstance(message, AppendReply):
            if leadership is not None and leadership.on_append_reply(message):
                self._commit()
        elif isinstance(message, HeartbeatReply):
            if leadership is not None:
                leadership.on_heartbeat_reply(message)
        elif isinstance(message, VoteReply):
            self._on_vote_reply(message)
        else:
            self._on_read_request(message)

    def _on_vote_reply(self, message: VoteReply) -> None:
        local = self.local
        if message.pre:
            # A refused pre-vote has the voter's term, at most ours by now.
            if local.role is not Role.PRE_CANDIDATE or (message.granted and message.term != local.term + 1):
                return
            if self._election.count(message.sender, message.granted):
                self._election.stand(pre=False)
        elif local.role is not Role.CANDIDATE or message.term != local.term:
            return
        elif self._election.count(message.sender, message.granted):
            self._become_leader()

    def _on_timeout_now(self, message: TimeoutNow) -> None:
        """Stand at once, if the leader says so; it may be one that removes itself."""
        local = self.local
        told = message.sender == local.leader and message.term == local.term
        if told and local.id in local.memberships.voters:
            self.stand(transfer=True)

    def _on_read_reply(self, message: ReadReply) -> None:
        key = self.forwarded.answered(message.key)
        if key is not None:
            self.local.out.answer([key], message.index)

    def _on_read_request(self, message: ReadRequest) -> None:
        local = self.local
        if self.leadership is not None:
            self.leadership.read(message.sender, message.key)
        else:
            local.say(
                ReadReply(sender=local.id, to=message.sender, term=local.term, key=message.key, index=None)
            )

    # --- changes of role ---

    def _follow(self, term: int, leader: int) -> None:
        """Be a follower in `term`, which is ours or later; hearing a leader starts the timer anew."""
        local = self.local
        if term > local.term:
            local.term, local.vote = term, NOBODY
            self._become_follower(leader)
        elif local.role is not Role.FOLLOWER or local.leader != leader:
            self._become_follower(leader)
        elif leader != NOBODY:
            self._election.wait_whole()

    def _become_follower(self, leader: int) -> None:
        local = self.local
        if self.leadership is not None:
            self.leadership.give_up_reads()
            self.leadership = None
        if local.leader != leader:
            self._leave_leader()
        local.role = Role.FOLLOWER
        local.leader = leader
        self._election.wait_whole()

    def _leave_leader(self) -> None:
        self.local.out.answer(self.forwarded.give_up(), None)

    def written(self) -> None:
        """See what follows from more being on our disk: a vote that counts, entries of ours that do."""
        if self._election.own_vote_durable():
            self._become_leader()
        self._commit()

    def _become_leader(self) -> None:
        local = self.local
        local.role = Role.LEADER
        local.leader = local.id
        self.leadership = Leadership(local)

    def _commit(self) -> None:
        """Commit what a majority holds; step down if that says we are no member (thesis 4.2.2)."""
        leadership, local = self.leadership, self.local
        if leadership is None or not leadership.advance_commit():
            return
        if local.id not in local.memberships.ids and local.memberships.latest_index <= local.log.commit:
            leadership.flush()  # the others learn that it is committed
            leadership.have_another_lead()
            self._become_follower(NOBODY)
