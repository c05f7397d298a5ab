"""Snapshots: the claims of section 7 and figure 13, one a test."""

from random import Random

import pytest

from covey import errors, limits
from manager.raft.core import Raft
from manager.raft.entry import Entry, HardState, SnapshotMark, Stored
from manager.raft.messages import Append, AppendReply, Heartbeat, Install
from manager.raft.progress import Pace
from tests.support.raft_network import RaftNetwork, check, drain, member, members


def behind(network: RaftNetwork, *, keep: int = 0) -> None:
    """Let member 3 of three miss entries that the others compact away."""
    network.elect(1)
    network.isolate(3)
    for number in range(10):
        network.propose(1, b"%d" % number)
    for id in (1, 2):
        network[id].snapshot(keep_entries=keep)


def installs(network: RaftNetwork) -> list[Install]:
    return [message for message in network.sent if isinstance(message, Install)]


def test_a_follower_that_needs_what_was_compacted_away_is_sent_a_snapshot() -> None:
    network = RaftNetwork(3)
    behind(network)
    network.heal()
    network.tick(4)
    assert [message.mark.index for message in installs(network)] == [11]
    assert network[3].applied == network[1].applied
    network.propose(1, b"after")
    assert network[3].applied[-1] == b"after"


def test_a_tail_is_kept_for_slow_followers() -> None:
    network = RaftNetwork(3)
    behind(network, keep=10)
    network.heal()
    network.tick(4)
    assert installs(network) == []
    assert network[3].applied == network[1].applied


def test_a_snapshot_replaces_the_log_and_is_durable_before_it_is_acknowledged() -> None:
    """Figure 13, 7 and 8; the state machine is the driver's."""
    raft = member(1, term=2, entries=[Entry(1, 1), Entry(2, 2)])
    mark = SnapshotMark(9, 3, members(1, 2, 4))
    raft.step(Install(sender=2, to=1, term=3, mark=mark))
    ready = raft.ready()
    assert ready.snapshot == mark
    assert ready.hard_state == HardState(3, 0, 9)
    assert ready.entries == ready.committed == ()
    assert [type(message) for message in ready.messages] == []
    assert ready.replies == (AppendReply(sender=1, to=2, term=3, index=9),)
    raft.advance()
    check(raft)
    assert raft.membership == raft.committed_membership == members(1, 2, 4)
    assert (raft.log.base_index, raft.log.last_index, raft.log.last_term) == (9, 9, 3)
    raft.step(
        Append(sender=2, to=1, term=3, previous_index=9, previous_term=3, commit=10, entries=(Entry(10, 3),))
    )
    assert raft.ready().committed == (Entry(10, 3),)


def test_entries_that_follow_the_snapshot_stay_if_the_log_holds_its_last_one() -> None:
    """Figure 13, 6."""
    raft = member(1, term=2, entries=[Entry(1, 1), Entry(2, 2), Entry(3, 2)])
    raft.step(Install(sender=2, to=1, term=2, mark=SnapshotMark(2, 2, members(1, 2, 3))))
    ready = raft.ready()
    assert ready.snapshot is None
    assert [entry.index for entry in ready.committed] == [1, 2]
    assert raft.log.last_index == 3
    assert [m.index for m in ready.replies if isinstance(m, AppendReply)] == [2]


def test_an_old_snapshot_is_of_no_use() -> None:
    raft = member(1, entries=[Entry(1, 1), Entry(2, 1), Entry(3, 1)], hard_state=HardState(1, 0, 3))
    raft.step(Install(sender=2, to=1, term=1, mark=SnapshotMark(2, 1, members(1, 2, 3))))
    assert raft.ready().snapshot is None
    assert raft.log.last_index == 3


def test_a_snapshot_of_another_past_is_refused() -> None:
    raft = member(1, entries=[Entry(1, 1), Entry(2, 1)], hard_state=HardState(2, 0, 2))
    with pytest.raises(errors.PeerFault, match="contradicts entry 2"):
        raft.step(Install(sender=2, to=1, term=2, mark=SnapshotMark(2, 2, members(1, 2, 3))))


def test_a_snapshot_that_comes_while_another_is_written_follows_it() -> None:
    raft = member(1)
    first, second = SnapshotMark(5, 1, members(1, 2, 3)), SnapshotMark(8, 1, members(1, 2, 3))
    raft.step(Install(sender=2, to=1, term=1, mark=first))
    assert raft.ready().snapshot == first
    raft.step(Install(sender=2, to=1, term=1, mark=second))
    raft.advance()
    assert raft.ready().snapshot == second
    raft.advance()
    check(raft)
    assert not raft.has_ready()


def test_entries_that_are_written_while_a_snapshot_comes_are_not_taken_for_it() -> None:
    raft = member(1)
    raft.step(
        Append(sender=2, to=1, term=1, previous_index=0, previous_term=0, commit=0, entries=(Entry(1, 1),))
    )
    raft.ready()
    raft.step(Install(sender=2, to=1, term=1, mark=SnapshotMark(8, 1, members(1, 2, 3))))
    raft.advance()
    raft.step(Append(sender=2, to=1, term=1, previous_index=8, previous_term=1, commit=8))
    assert raft.take_messages() == (), "an acknowledgement before the snapshot is on disk"
    ready = raft.ready()
    assert ready.snapshot is not None
    assert [message.index for message in ready.replies if isinstance(message, AppendReply)] == [8]


def test_nothing_but_heartbeats_goes_to_a_member_while_its_snapshot_is_on_the_way() -> None:
    network = RaftNetwork(3)
    behind(network)
    network.heal()
    held: list[Install] = []
    raft = network[1].core
    deliver = network.deliver
    network.deliver = lambda m: held.append(m) if isinstance(m, Install) else deliver(m)  # type: ignore[method-assign]
    network.tick(4)
    assert len(held) == 1
    network.sent.clear()
    network.propose(1, b"meanwhile")
    network.tick(10)
    assert {type(message) for message in network.sent if message.to == 3} == {Heartbeat}
    assert [peer.snapshotting for peer in raft.status().peers if peer.id == 3] == [True]
    network.deliver = deliver  # type: ignore[method-assign]
    network.deliver(held[0])
    network.tick(4)
    assert network[3].applied == network[1].applied


def test_a_snapshot_that_did_not_arrive_is_sent_again_after_a_while() -> None:
    """Whatever prevented it, a full disk say, may go on."""
    network = RaftNetwork(3)
    behind(network)
    network.heal()
    network.drop = lambda message: isinstance(message, Install)
    while not installs(network):
        network.tick(1)
    network.drop = lambda message: False
    network.sent.clear()
    network.tick(limits.raft_election_ticks - 2)
    assert installs(network) == [], "not again and again"
    network.tick(2 * limits.raft_heartbeat_ticks)
    assert network[3].applied == network[1].applied


def test_a_newer_snapshot_than_the_one_asked_for_serves_as_well() -> None:
    network = RaftNetwork(3)
    behind(network)
    network.heal()
    held: list[Install] = []
    deliver = network.deliver
    network.deliver = lambda m: held.append(m) if isinstance(m, Install) else deliver(m)  # type: ignore[method-assign]
    network.tick(4)
    network.propose(1, b"newer")
    mark = network[1].snapshot()
    assert mark.index > held[0].mark.index
    network[3].step(Install(sender=1, to=3, term=1, mark=mark))
    network.settle()
    leadership = network[1].core.leadership
    assert leadership is not None
    assert leadership.peers[3].pace is Pace.REPLICATE
    assert network[3].applied[-1] == b"newer"


def test_a_mark_has_the_membership_of_its_place() -> None:
    network = RaftNetwork(3)
    network.elect(1)
    network.propose(1, b"a")
    before = network[1].core.mark_at(2)
    network.change(1, members(1, 2))
    assert network[1].core.mark_at(2) == before == SnapshotMark(2, 1, members(1, 2, 3))
    after = network[1].core.mark_at(3)
    assert after is not None
    assert after.membership.removed == (3,)


def test_there_is_no_mark_for_what_a_leaders_snapshot_has_replaced() -> None:
    """A snapshot of our own may be under way when the leader's arrives, and be older."""
    raft = member(1, entries=[Entry(1, 1), Entry(2, 1)], hard_state=HardState(1, 0, 2))
    drain(raft)
    assert raft.mark_at(2) == SnapshotMark(2, 1, members(1, 2, 3))
    raft.step(Install(sender=2, to=1, term=1, mark=SnapshotMark(9, 1, members(1, 2, 3))))
    assert raft.mark_at(2) is None


def test_a_member_starts_from_its_snapshot_and_the_entries_after_it() -> None:
    network = RaftNetwork(3)
    network.elect(1)
    network.propose(1, b"a")
    network.change(1, members(1, 2))
    network[2].snapshot(keep_entries=1)
    network.propose(1, b"b")
    network.tick(2)
    network.restart(2)
    core = network[2].core
    assert (core.log.base_index, core.local.snapshot.index, core.log.last_index) == (2, 3, 4)
    assert core.membership.removed == (3,)
    network.tick(4)
    given = [entry.index for ready in network[2].readies for entry in ready.committed]
    assert given == [4], "what the snapshot does not hold"


def test_compaction_never_runs_ahead_of_what_was_given_out() -> None:
    raft = member(1, term=1, entries=[Entry(1, 1), Entry(2, 1)])
    with pytest.raises(AssertionError):
        raft.compact(SnapshotMark(2, 1, members(1, 2, 3)), 0)


def test_compacting_to_an_older_mark_changes_nothing() -> None:
    network = RaftNetwork(1)
    network.settle()
    network.propose(1, b"a", b"b")
    old = network[1].core.mark_at(2)
    network[1].snapshot()
    network[1].core.compact(old, 0)
    assert network[1].core.local.snapshot.index == 3


@pytest.mark.parametrize(
    ("stored", "says"),
    [
        (Stored(0), "member id is 0"),
        (Stored(1, kept_after=SnapshotMark(5, 1)), "entries in between are gone"),
        (Stored(1, HardState(1), entries=(Entry(2, 1),)), "entry 2 of term 1 after entry 0"),
        (Stored(1, HardState(1), entries=(Entry(1, 2),)), "in term 1"),
        (
            Stored(1, HardState(2), entries=(Entry(1, 2), Entry(2, 1))),
            "entry 2 of term 1 after entry 1 of term 2",
        ),
        (Stored(1, HardState(1), SnapshotMark(3, 1), SnapshotMark(1, 1), (Entry(2, 1),)), "ends at entry 2"),
    ],
)
def test_a_disk_that_no_member_could_have_written_is_named(stored: Stored, says: str) -> None:
    with pytest.raises(errors.Corrupt, match=says) as raised:
        Raft(stored, Random(1))
    assert "join again" in str(raised.value)


def test_a_heartbeat_alone_does_not_commit_what_a_snapshot_replaced() -> None:
    raft = member(1)
    raft.step(Install(sender=2, to=1, term=1, mark=SnapshotMark(8, 1, members(1, 2, 3))))
    raft.step(Heartbeat(sender=2, to=1, term=1, commit=8))
    assert drain(raft)
    assert raft.log.commit == raft.log.handed == 8


def test_what_was_lost_on_the_way_may_be_compacted_before_that_is_noticed() -> None:
    network = RaftNetwork(3)
    network.elect(1)
    network.drop = lambda message: isinstance(message, Append) and message.to == 3
    for _ in range(limits.raft_inflight_messages_max + 2):  # so that what comes next is compacted, too
        network.propose(1, b"a")
    network.drop = lambda message: False
    network[1].snapshot()
    network.tick(4 * limits.raft_heartbeat_ticks)
    assert network[3].applied == network[1].applied
