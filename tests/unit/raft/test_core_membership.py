"""Changing who keeps the log: the claims of the thesis' chapter 4, one a test."""

from random import Random

import pytest
from msgspec.structs import replace

from covey import errors, limits
from manager.raft.core import Raft
from manager.raft.entry import Entry, EntryKind, HardState, Member, Membership, SnapshotMark, Stored
from manager.raft.membership import Memberships, encode_membership, next_membership
from manager.raft.messages import Append, Heartbeat, Vote, VoteReply
from manager.raft.ready import Role
from tests.support.raft_network import RaftNetwork, drain, members

TWICE = 2 * limits.raft_election_ticks


def without(membership: Membership, *ids: int) -> Membership:
    return replace(membership, members=tuple(m for m in membership.members if m.id not in ids))


def kept(raft: Raft) -> list[int]:
    return [member.id for member in raft.membership.members]


# --- a step ---


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (members(1, 2, 3), "this changes 0"),
        (members(1, 2, 3, 4, 5), "this changes 2"),
        (members(1, 2, 4), "this changes 2"),
        (members(1, 2, learners=[3]), "remove it instead"),
        (Membership((*members(1, 2, 3).members, Member(3))), "named twice"),
        (Membership((*members(1, 2, 3).members, Member(0))), "no id"),
        (Membership((*members(1, 2, 3).members, Member(2**63))), "no id"),
    ],
)
def test_a_change_is_one_step(wanted: Membership, reason: str) -> None:
    network = RaftNetwork(3)
    network.elect(1)
    last = network[1].core.status().last_index
    with pytest.raises(errors.FailedPrecondition, match=reason):
        network[1].core.change(wanted)
    assert network[1].core.status().last_index == last


def test_the_last_voter_stays() -> None:
    network = RaftNetwork(1, learners=[2])
    network.settle()
    with pytest.raises(errors.FailedPrecondition, match="last voting member"):
        network[1].core.change(without(members(1, learners=[2]), 1))


def test_who_was_removed_never_comes_back_under_its_id() -> None:
    network = RaftNetwork(3)
    network.elect(1)
    network.change(1, members(1, 2))
    assert network[1].core.membership.removed == (3,)
    with pytest.raises(errors.FailedPrecondition, match="was removed"):
        network[1].core.change(members(1, 2, 3))


def test_so_many_removed_ids_are_remembered() -> None:
    removed = tuple(range(100, 100 + limits.raft_removed_ids_max))
    changed = next_membership(replace(members(1, 2), removed=removed), members(1))
    assert changed.removed == (*removed[1:], 2)


def test_members_stand_in_order_whoever_wrote_the_list() -> None:
    wanted = Membership(tuple(reversed(members(1, 2, 3).members)))
    assert kept_ids(next_membership(members(1, 3), wanted)) == [1, 2, 3]


def kept_ids(membership: Membership) -> list[int]:
    return [member.id for member in membership.members]


def test_an_address_can_be_changed() -> None:
    network = RaftNetwork(3)
    network.elect(1)
    now = network[1].core.membership
    moved = replace(now.members[1], address="10.0.0.22:2377")
    network.change(1, replace(now, members=(now.members[0], moved, now.members[2])))
    network.tick(2)
    for member in network.members.values():
        assert member.core.committed_membership.get(2) == moved


# --- when (thesis 4.1) ---


def test_one_change_at_a_time() -> None:
    network = RaftNetwork(3)
    network.elect(1)
    network.isolate(1)
    network[1].core.change(members(1, 2, 3, 4))
    with pytest.raises(errors.FailedPrecondition, match="not through yet"):
        network[1].core.change(members(1, 2, 3))


def test_none_before_an_entry_of_the_leaders_term_is_committed() -> None:
    """Else two leaders could each change the same membership, into two without a common majority."""
    network = RaftNetwork(3)
    network.drop = lambda message: isinstance(message, Append)
    network.elect(1)
    with pytest.raises(errors.FailedPrecondition, match="just been elected"):
        network[1].core.change(members(1, 2, 3, 4))


def test_none_while_leadership_is_handed_over() -> None:
    network = RaftNetwork(3)
    network.elect(1)
    network[1].core.transfer(2)
    with pytest.raises(errors.FailedPrecondition, match="handed over"):
        network[1].core.change(members(1, 2))


def test_only_the_leader_changes_members() -> None:
    network = RaftNetwork(3)
    network.elect(1)
    with pytest.raises(errors.NotLeader):
        network[2].core.change(members(1, 2))


def test_a_membership_holds_from_the_moment_it_is_appended() -> None:
    network = RaftNetwork(1)
    network.settle()
    network.add_empty(2)
    network[1].core.change(members(1, 2))
    assert network[1].core.membership.voters == {1, 2}
    assert network[1].core.committed_membership.voters == {1}
    network[1].work()
    assert network[1].core.committed_membership.voters == {1}, "its own disk is no majority of two"
    network.settle()
    assert network[1].core.committed_membership.voters == {1, 2}
    assert network[2].core.membership.voters == {1, 2}


def test_a_membership_that_is_replaced_in_the_log_holds_no_more() -> None:
    network = RaftNetwork(3)
    network.elect(1)
    network.isolate(1)
    network[1].core.change(members(1, 2, 3, 4))
    network.settle()
    assert kept(network[1].core) == [1, 2, 3, 4]
    network.tick(2 * TWICE, 2, 3)
    assert network.leader.id in (2, 3)
    network.heal()
    network.tick(TWICE)
    assert kept(network[1].core) == [1, 2, 3]


def test_memberships_are_found_again_after_a_restart() -> None:
    network = RaftNetwork(3, learners=[4])
    network.elect(1)
    network.change(1, members(1, 2, 3, 4))
    network.restart(2)
    assert network[2].core.membership == members(1, 2, 3, 4)


# --- joining (thesis 4.2.1) ---


def test_a_machine_with_an_empty_log_waits_to_be_added_and_stands_for_nothing() -> None:
    raft = Raft(Stored(9), Random(1))
    for _ in range(5 * TWICE):
        raft.tick()
    assert drain(raft) == []
    assert raft.standing.role is Role.FOLLOWER


def test_a_machine_with_an_empty_log_follows_whoever_leads_the_cluster() -> None:
    raft = Raft(Stored(9), Random(1))
    data = encode_membership(members(1, 9))
    entries = (Entry(1, 1, EntryKind.MEMBERSHIP, encode_membership(members(1))), Entry(2, 1))
    entries += (Entry(3, 1, EntryKind.MEMBERSHIP, data),)
    raft.step(Append(sender=1, to=9, term=1, previous_index=0, previous_term=0, commit=2, entries=entries))
    assert raft.standing.leader == 1
    assert raft.membership == members(1, 9)
    assert raft.committed_membership == members(1)


def test_a_learner_is_sent_everything_and_counts_for_nothing() -> None:
    network = RaftNetwork(3)
    network.elect(1)
    network.add_empty(4)
    network.change(1, members(1, 2, 3, learners=[4]))
    network.crash(3)
    network.propose(1, b"a")
    assert network[4].applied == [b"a"]
    network.crash(2)
    network.propose(1, b"b")
    assert network[1].applied == [b"a"], "two voters of three are gone"


def test_a_learner_that_has_caught_up_can_be_given_a_vote() -> None:
    network = RaftNetwork(3)
    network.elect(1)
    network.add_empty(4)
    network.change(1, members(1, 2, 3, learners=[4]))
    peers = {peer.id: peer for peer in network[1].core.status().peers}
    assert peers[4].match == network[1].core.status().last_index
    network.change(1, members(1, 2, 3, 4))
    network.crash(3)
    network.propose(1, b"a")
    assert network[1].applied == [b"a"], "three of four"
    network.crash(2)
    network.propose(1, b"b")
    assert network[1].applied == [b"a"], "two of four are no majority"


def test_a_leader_that_a_member_has_not_heard_of_is_a_leader_all_the_same() -> None:
    """Thesis 4.1: the member's own list may be the older one."""
    raft = Raft(Stored(1, snapshot=SnapshotMark(0, 0, members(1, 2, 3))), Random(1))
    raft.step(Heartbeat(sender=7, to=1, term=4, commit=0))
    assert (raft.standing.leader, raft.standing.term) == (7, 4)


def test_a_candidate_that_a_member_has_not_heard_of_may_be_needed() -> None:
    """Thesis 4.1: it may be a new member without which there is no majority."""
    raft = Raft(Stored(1, snapshot=SnapshotMark(0, 0, members(1, 2, 3))), Random(1))
    raft.step(Vote(sender=7, to=1, term=1, last_index=0, last_term=0))
    assert [message.granted for message in drain(raft) if isinstance(message, VoteReply)] == [True]


# --- leaving (thesis 4.2.2, 4.2.3) ---


def test_a_leader_that_removes_itself_manages_until_that_is_committed_without_counting_itself() -> None:
    network = RaftNetwork(3)
    network.elect(1)
    network.crash(3)
    network[2].slow_disk = True
    network.change(1, members(2, 3))
    assert network[1].leads
    assert network[1].core.committed_membership == members(1, 2, 3), "its own disk does not count"
    network[2].disk_done()
    network.restart(3)
    network.tick(4)
    assert not network[1].leads
    assert network[1].core.committed_membership.removed == (1,)
    assert network.leader.id in (2, 3)


def test_it_has_another_take_over_at_once() -> None:
    network = RaftNetwork(3)
    network.elect(1)
    network.change(1, members(2, 3))
    assert network.leader.id in (2, 3)
    assert not network[1].leads


def test_it_does_so_under_writes_too() -> None:
    network = RaftNetwork(3)
    network.elect(1)
    raft = network[1].core
    raft.change(members(2, 3))
    network.post(raft.take_messages())
    raft.propose([b"after"])  # not sent yet when the removal is committed
    network.settle()
    network.tick(limits.raft_retry_ticks_max, 2, 3)
    network.propose(network.leader.id, b"x")
    assert network[2].applied == network[3].applied


def test_a_member_that_is_being_removed_can_be_the_only_one_who_can_lead() -> None:
    """Thesis 4.2.2: member 1 of two removes itself, and alone has the entry that says so."""
    network = RaftNetwork(2)
    network.elect(1)
    network.isolate(1)
    network[1].core.change(members(2))
    network.settle()
    network.crash(1)
    network.restart(1)
    network.heal()
    network.tick(3 * TWICE)
    network.wait_for_leader()
    assert network.leader.id == 2
    assert network[2].core.committed_membership.members == members(2).members


def test_a_removed_member_disturbs_nobody() -> None:
    network = RaftNetwork(3)
    network.elect(1)
    network.isolate(3)
    network.change(1, members(1, 2))
    network.heal()
    network.tick(4 * TWICE)
    assert network.leader.id == 1
    assert network[1].core.standing.term == 1
    assert network[3].core.standing.role is not Role.LEADER
    # Not even with a vote for a later term, and when the others hear no leader themselves.
    network[2].core.lost(1)
    network[2].step(Vote(sender=3, to=2, term=50, last_index=90, last_term=49, transfer=True))
    network[1].step(VoteReply(sender=3, to=1, term=50, granted=False))
    assert network[1].core.standing.term == network[2].core.standing.term == 1


def test_strangers_answers_count_for_nothing() -> None:
    network = RaftNetwork(3)
    network.elect(1)
    network[1].step(VoteReply(sender=77, to=1, term=50, granted=False))
    assert network[1].leads


def test_a_member_that_lost_its_disk_comes_back_as_another() -> None:
    network = RaftNetwork(3)
    network.elect(1)
    network.propose(1, b"a")
    network.crash(3)
    network.change(1, members(1, 2))
    network.add_empty(4)
    network.change(1, members(1, 2, learners=[4]))
    network.change(1, members(1, 2, 4))
    network.tick(3)
    assert network[4].applied == [b"a"]


def test_a_cluster_grows_from_one_to_five_and_shrinks_back_under_writes() -> None:
    network = RaftNetwork(0)
    network.found(1)
    network.settle()
    for id in range(2, 6):
        network.add_empty(id)
        now = network.leader.core.membership
        network.change(1, replace(now, members=(*now.members, Member(id, voter=False))))
        network.propose(1, b"learner %d" % id)
        now = network.leader.core.membership
        network.change(1, replace(now, members=(*now.members[:-1], Member(id))))
        network.propose(1, b"voter %d" % id)
    network.tick(3)
    assert all(network[id].applied == network[1].applied for id in range(2, 6))
    for id in range(1, 5):
        leader = network.wait_for_leader()
        network.change(leader.id, without(leader.core.membership, id))
        network.tick(2)
        leader = network.wait_for_leader()
        network.tick(2)
        network.propose(leader.id, b"without %d" % id)
    assert network.leader.id == 5
    assert network[5].applied[-1] == b"without 4"


# --- the history ---


def test_the_membership_at_a_place_is_the_last_one_before_it() -> None:
    history = Memberships(4, members(1))
    history.append(7, members(1, 2))
    history.append(9, members(1, 2, 3))
    assert [history.at(index) for index in (4, 6, 7, 8, 9, 12)] == [
        members(1), members(1), members(1, 2), members(1, 2), members(1, 2, 3), members(1, 2, 3)
    ]  # fmt: skip
    history.truncate(9)
    assert (history.latest, history.latest_index) == (members(1, 2), 7)
    history.forget(8)
    assert history.at(8) == members(1, 2)


def test_a_disk_whose_membership_cannot_be_read_is_named() -> None:
    stored = Stored(1, HardState(1), entries=(Entry(1, 1, EntryKind.MEMBERSHIP, b"\xff"),))
    with pytest.raises(errors.Corrupt, match="entry 1 holds no membership"):
        Raft(stored, Random(1))
