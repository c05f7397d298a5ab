"""Handing leadership over (thesis 3.10): the other one catches up, then stands for election at once."""

from covey import limits

from .entry import NOBODY, Membership
from .local import Local
from .messages import TimeoutNow
from .progress import Progress


class Transfer:
    """A leader's wish to be followed by `to`; given up after an election timeout."""

    __slots__ = ("_local", "_ticks", "to")

    def __init__(self, local: Local) -> None:
        self._local = local
        self.to = NOBODY
        self._ticks = 0

    def begin(self, peer: Progress) -> None:
        """Hand over to a member; meanwhile nothing is proposed, so that it can catch up."""
        if self.to == peer.id:
            return
        self.to = peer.id
        self._ticks = 0
        self.follow(peer)

    def follow(self, peer: Progress) -> None:
        """See whether the member holds everything by now, and let it stand if so."""
        local = self._local
        if peer.id == self.to and peer.match == local.log.last_index:
            local.out.send(TimeoutNow(sender=local.id, to=peer.id, term=local.term))

    def check(self, membership: Membership) -> None:
        """Give up if the member has gone."""
        if self.to not in membership.voters:
            self.to = NOBODY

    def tick(self) -> None:
        """Give up if it takes too long, and lead on."""
        self._ticks += 1
        if self._ticks >= limits.raft_election_ticks:
            self.to = NOBODY
