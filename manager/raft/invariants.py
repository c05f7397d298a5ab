"""What must be true of a member at any moment. Tests and the simulation ask after every step.

`check` is quick. `check_log` reads the whole log in memory.
"""

from covey import limits

from .core import Raft
from .entry import NOBODY
from .progress import Pace, Progress
from .ready import Role


def check(raft: Raft) -> None:
    """Assert what costs little to see."""
    local, log, leadership = raft.local, raft.log, raft.leadership
    assert 0 <= log.base_index <= log.handed <= log.commit <= log.last_index
    assert log.durable <= log.given <= log.last_index
    assert log.last_term <= local.term, "an entry of a term that has not come yet"
    assert log.base_index <= local.snapshot.index <= log.commit, (
        "entries between snapshot and log are missing"
    )
    assert local.memberships.latest_index <= log.last_index, "a membership that is in no entry"
    assert (local.role is Role.LEADER) == (leadership is not None)
    if local.role is Role.LEADER:
        assert local.leader == local.id
    elif local.role is Role.FOLLOWER:
        assert local.leader != local.id, "a follower of itself"
    else:
        assert local.leader == NOBODY, "a candidate that has a leader"
    if local.role in (Role.LEADER, Role.CANDIDATE):
        assert local.vote == local.id, "stands without its own vote"
    if leadership is not None:
        assert local.settled, "leads in a term that is not on disk"
        assert log.last_term == local.term, "a leader without an entry of its term"
        assert log.term_at(leadership.first_index) in (local.term, None)
        assert leadership.peers.keys() == {member.id for member in local.membership.members} - {local.id}
        for peer in leadership.peers.values():
            check_progress(peer, log.last_index)


def check_progress(peer: Progress, last_index: int) -> None:
    """Assert what a leader believes of one member."""
    assert 0 <= peer.match <= last_index, f"member {peer.id} holds what the leader does not"
    assert peer.match < peer.next <= last_index + 1
    assert len(peer.under_way) <= limits.raft_inflight_messages_max
    assert list(peer.under_way) == sorted(peer.under_way)
    if peer.pace is Pace.REPLICATE:
        assert not peer.paused
        assert all(peer.match < index < peer.next for index in peer.under_way)
    else:
        assert not peer.under_way, "entries under way while it is not known where the logs agree"
        assert peer.bytes_under_way == 0
    assert (peer.pace is Pace.SNAPSHOT) == (peer.snapshot_index > 0)


def check_log(raft: Raft) -> None:
    """Assert that the log has no gap, and that terms never fall along it."""
    log = raft.log
    index, term = log.base_index, log.base_term
    for entry in log.between(log.base_index, log.last_index):
        assert entry.index == index + 1, f"entry {entry.index} follows {index}"
        assert entry.term >= term, f"term {entry.term} follows {term}"
        index, term = entry.index, entry.term
    assert (index, term) == (log.last_index, log.last_term)
