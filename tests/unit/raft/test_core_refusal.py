"""Messages that no member would send are refused, and change nothing."""

import pytest

from covey import errors
from manager.raft.core import Raft
from manager.raft.entry import Entry, EntryKind, HardState, SnapshotMark
from manager.raft.messages import (
    AnyMessage,
    Append,
    AppendReply,
    Heartbeat,
    HeartbeatReply,
    Install,
    ReadReply,
    Vote,
)
from tests.support.raft_network import RaftNetwork, drain, member, members


def append(
    previous: tuple[int, int] = (1, 1), term: int = 9, entries: tuple[Entry, ...] = (), commit: int = 0
) -> Append:
    index, previous_term = previous
    return Append(
        sender=2,
        to=1,
        term=term,
        previous_index=index,
        previous_term=previous_term,
        commit=commit,
        entries=entries,
    )


BAD: list[tuple[AnyMessage, str]] = [
    (append((-1, 1)), "follows entry -1"),
    (append((1, -1)), "term -1"),
    (append((0, 1)), "follows entry 0 of term 1"),
    (append((1, 0)), "follows entry 1 of term 0"),
    (append(commit=-1), "commits -1"),
    (append(entries=(Entry(3, 1),)), "entry 3 of term 1 where 2 follows"),
    (append(entries=(Entry(2, 1), Entry(2, 1))), "entry 2 of term 1 where 3 follows"),
    (append(entries=(Entry(2, 2), Entry(3, 1))), "where 3 follows, term 2"),
    (append((1, 3), entries=(Entry(2, 2),)), "where 2 follows, term 3"),
    (append(entries=(Entry(2, 10),)), "after its own 9"),
    (append((1, 10)), "after its own 9"),
    (append(entries=(Entry(2, 2, EntryKind.MEMBERSHIP, b"?"),)), "no membership in entry 2"),
    (AppendReply(sender=2, to=1, term=9, index=-1), "negative"),
    (AppendReply(sender=2, to=1, term=9, index=1, rejected=True, hint_index=-1), "negative"),
    (Heartbeat(sender=2, to=1, term=9, commit=-1), "negative"),
    (Heartbeat(sender=2, to=1, term=9, commit=4), "our log ends at 3"),
    (HeartbeatReply(sender=2, to=1, term=9, read=-1), "negative"),
    (Vote(sender=2, to=1, term=9, last_index=-1, last_term=1), "negative|stands in"),
    (Vote(sender=2, to=1, term=9, last_index=4, last_term=9), "stands in term 9 with a log of term 9"),
    (Install(sender=2, to=1, term=9, mark=SnapshotMark(0, 0)), "snapshot of entry 0"),
    (Install(sender=2, to=1, term=9, mark=SnapshotMark(5, 10)), "term 10"),
    (ReadReply(sender=2, to=1, term=9, key=1, index=-1), "negative"),
    (Heartbeat(sender=1, to=1, term=9, commit=0), "our own id"),
    (Heartbeat(sender=0, to=1, term=9, commit=0), "sender 0"),
    (Heartbeat(sender=2, to=1, term=-1, commit=0), "term -1"),
]


def seen(raft: Raft) -> tuple[object, ...]:
    log = raft.log
    return raft.status(), log.between(log.base_index, log.last_index), raft.membership, raft.has_ready()


@pytest.mark.parametrize(("message", "says"), BAD, ids=lambda value: value if isinstance(value, str) else "")
def test_a_malformed_message_changes_nothing(message: AnyMessage, says: str) -> None:
    raft = member(1, entries=[Entry(1, 1), Entry(2, 1), Entry(3, 1)], hard_state=HardState(2, 0, 1))
    drain(raft)
    before = seen(raft)
    with pytest.raises(errors.PeerFault, match=says):
        raft.step(message)
    assert seen(raft) == before


def test_two_leaders_in_one_term_are_noticed() -> None:
    raft = member(1)
    raft.step(Heartbeat(sender=2, to=1, term=3, commit=0))
    with pytest.raises(errors.PeerFault, match="which 2 leads already"):
        raft.step(Heartbeat(sender=3, to=1, term=3, commit=0))
    assert raft.standing.leader == 2


def test_a_leader_hears_of_no_entries_that_it_never_had() -> None:
    network = RaftNetwork(3)
    network.elect(1)
    with pytest.raises(errors.PeerFault, match="speaks of entry 9; the last is 1"):
        network[1].core.step(AppendReply(sender=2, to=1, term=1, index=9))


def test_a_restarted_leader_may_hear_of_entries_it_had_sent_and_lost() -> None:
    raft = member(1, hard_state=HardState(4, 1, 0))
    raft.step(AppendReply(sender=2, to=1, term=4, index=9))
    assert drain(raft) == []


def test_a_message_for_somebody_else_is_let_pass() -> None:
    raft = member(1)
    raft.step(Heartbeat(sender=2, to=5, term=3, commit=0))
    assert not raft.has_ready()


def test_answers_nobody_waits_for_are_let_pass() -> None:
    raft = member(1)
    raft.step(ReadReply(sender=2, to=1, term=0, key=5, index=3))
    raft.step(HeartbeatReply(sender=2, to=1, term=0, read=4))
    assert not raft.has_ready()


def test_a_foreign_clusters_leader_is_refused() -> None:
    """Certificates keep it out; should it come in nevertheless, nothing committed changes."""
    network = RaftNetwork(3)
    network.elect(1)
    network.propose(1, b"ours")
    with pytest.raises(errors.PeerFault, match="another cluster's log"):
        network[2].core.step(
            append((2, 7), term=9).__class__(
                sender=9, to=2, term=9, previous_index=2, previous_term=7, commit=2, entries=(Entry(3, 9),)
            )
        )
    assert network[2].core.standing.term == 1
    assert network[2].core.membership == members(1, 2, 3)
