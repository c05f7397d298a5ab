"""Who leads best after us."""

from collections.abc import Collection

from covey import limits

from ..entry import NOBODY
from ..ready import Status


def successor(status: Status, voters: Collection[int]) -> int:
    """Find the voter that answers and holds most; `NOBODY` if none does."""
    alive = [p for p in status.peers if p.id in voters and p.silent_ticks < limits.raft_election_ticks]
    return max(alive, key=lambda peer: peer.match).id if alive else NOBODY
