"""How a leader is found: pre-vote, vote, and when neither is given (section 5.2, 5.4.1; thesis 4.2.3, 9.6).

    follower ──silence──► pre-candidate ──would be elected──► candidate ──elected──► leader
        ▲                      │ would not                        │ not elected
        └──────────────────────┴──────────── a leader speaks ─────┘

A pre-candidate only asks whether it would be elected. Its term stays, so a member that comes back after a
while cannot unseat a leader that the others hear. A candidate's own vote counts once it is on disk, and the
others are asked only then.
"""

from covey import limits

from .entry import NOBODY
from .local import Local
from .membership import majority
from .messages import Vote, VoteReply
from .ready import Role


class Election:
    """The timer, and the votes of an election under way."""

    __slots__ = ("_elapsed", "_local", "_own_vote_counts", "_timeout", "_trusting", "_votes")

    def __init__(self, local: Local) -> None:
        self._local = local
        self._votes: dict[int, bool] = {}
        self._own_vote_counts = False
        self._trusting = True  # in the leader; ends when the connection to it breaks
        self._elapsed = 0
        self._timeout = 0
        self.wait_whole()

    # --- the timer ---

    def wait_whole(self) -> None:
        """Start the timer anew: a random time, so that few stand at once (section 5.2)."""
        self._elapsed = 0
        self._trusting = True
        self._timeout = limits.raft_election_ticks + self._local.dice.randrange(limits.raft_election_ticks)

    def wait_briefly(self) -> None:
        """Start it with a short pause: pre-vote makes sure that nobody is disturbed."""
        self._elapsed = 0
        self._timeout = 1 + self._local.dice.randrange(limits.raft_retry_ticks_max)

    def leader_lost(self) -> None:
        """Stop trusting that the leader lives: the connection to it has broken."""
        self._trusting = False
        self.wait_briefly()

    def tick(self) -> bool:
        """Let time pass; True once it is time to stand."""
        self._elapsed += 1
        return self._elapsed >= self._timeout

    @property
    def content(self) -> bool:
        """Whether a leader was heard within the shortest timeout: then nobody else is wanted (thesis 4.2.3)."""
        if self._local.role is Role.LEADER:
            return True
        heard = self._trusting and self._elapsed < limits.raft_election_ticks
        return self._local.leader != NOBODY and heard

    # --- standing ---

    def stand(self, pre: bool, transfer: bool = False) -> bool:
        """Ask for votes, or whether they would be given; True if none but our own is needed.

        For a real election that only shows once our own vote is on disk: `own_vote_durable`.
        """
        local = self._local
        local.leader = NOBODY
        self.wait_whole()
        self._votes = {}
        if pre:
            local.role = Role.PRE_CANDIDATE
            term = local.term + 1
        else:
            local.role = Role.CANDIDATE
            local.term += 1
            local.vote = local.id
            term = local.term
            self._own_vote_counts = False
        for voter in sorted(local.memberships.voters - {local.id}):
            vote = Vote(
                sender=local.id,
                to=voter,
                term=term,
                last_index=local.log.last_index,
                last_term=local.log.last_term,
                pre=pre,
                transfer=transfer,
            )
            # A real one says "I have voted for myself", which must be true after a crash as well.
            (local.out.send if pre else local.out.promise)(vote)
        return pre and self.count(local.id, granted=True)

    def own_vote_durable(self) -> bool:
        """Count our own vote if it was not counted; True if that elects us."""
        if self._local.role is not Role.CANDIDATE or self._own_vote_counts or not self._local.settled:
            return False
        self._own_vote_counts = True
        return self.count(self._local.id, granted=True)

    def count(self, voter: int, granted: bool) -> bool:
        """Count an answer; True if there is a majority for us. Without any hope, go back to waiting."""
        voters = self._local.memberships.voters
        if voter in voters:
            self._votes.setdefault(voter, granted)
        needed = majority(len(voters))
        given = sum(granted for id, granted in self._votes.items() if id in voters)
        refused = sum(not granted for id, granted in self._votes.items() if id in voters)
        if given >= needed:
            return True
        if refused > len(voters) - needed:
            self._local.role = Role.FOLLOWER
            self.wait_briefly()
        return False

    # --- being asked ---

    def answer(self, vote: Vote) -> None:
        """Give a vote or not (figure 2, RequestVote). Its term is ours, or for a pre-vote any."""
        local = self._local
        current = not local.log.newer_than(vote.last_index, vote.last_term)
        if vote.pre:
            granted = current and vote.term > local.term and not self.content
            self._reply(vote, granted, vote.term if granted else local.term)
            return
        free = local.vote == vote.sender or (local.vote == NOBODY and local.leader == NOBODY)
        granted = current and free and vote.term == local.term
        if granted:
            local.vote = vote.sender
            self.wait_whole()
        self._reply(vote, granted, local.term)

    def _reply(self, vote: Vote, granted: bool, term: int) -> None:
        local = self._local
        reply = VoteReply(sender=local.id, to=vote.sender, term=term, granted=granted, pre=vote.pre)
        if vote.pre:
            local.say(reply)
        else:
            local.out.promise(reply)
