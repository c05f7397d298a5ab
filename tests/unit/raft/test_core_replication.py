"""Replication: figure 2's AppendEntries and rules for leaders, one claim a test; then pace and batching."""

import pytest

from covey import errors, limits
from manager.raft.core import Raft
from manager.raft.entry import Entry, EntryKind, HardState
from manager.raft.messages import AnyMessage, Append, AppendReply, Heartbeat, HeartbeatReply, VoteReply
from manager.raft.progress import Pace
from manager.raft.ready import Role
from tests.support.raft_network import RaftNetwork, drain, member


def entry(index: int, term: int, data: bytes = b"") -> Entry:
    return Entry(index, term, EntryKind.DATA, data)


def append(
    raft: Raft, previous: tuple[int, int], *entries: Entry, term: int = 3, commit: int = 0
) -> AppendReply | None:
    """What a member answers to a leader's entries after `previous` (index, term)."""
    index, previous_term = previous
    raft.step(
        Append(
            sender=2,
            to=raft.id,
            term=term,
            previous_index=index,
            previous_term=previous_term,
            commit=commit,
            entries=entries,
        )
    )
    replies = [message for message in drain(raft) if isinstance(message, AppendReply)]
    assert len(replies) <= 1
    return replies[0] if replies else None


def log_of(raft: Raft) -> list[tuple[int, int]]:
    return [(e.index, e.term) for e in raft.log.between(raft.log.base_index, raft.log.last_index)]


OLD = [entry(1, 1), entry(2, 1), entry(3, 2)]


# --- figure 2: AppendEntries RPC, receiver ---


def test_entries_of_an_older_term_are_refused() -> None:
    raft = member(1, term=4, entries=OLD)
    reply = append(raft, (3, 2), entry(4, 3), term=3)
    assert reply is not None
    assert reply.term == 4
    assert log_of(raft) == [(1, 1), (2, 1), (3, 2)]


@pytest.mark.parametrize("previous", [(4, 2), (3, 3), (9, 3)])
def test_entries_are_refused_where_the_log_before_them_differs(previous: tuple[int, int]) -> None:
    raft = member(1, term=3, entries=OLD)
    reply = append(raft, previous, entry(previous[0] + 1, 3))
    assert reply is not None
    assert (reply.rejected, reply.index) == (True, previous[0])
    assert log_of(raft) == [(1, 1), (2, 1), (3, 2)]


def test_an_entry_that_contradicts_goes_with_all_after_it() -> None:
    raft = member(1, term=3, entries=[*OLD, entry(4, 2)])
    reply = append(raft, (2, 1), entry(3, 3))
    assert reply is not None
    assert (reply.rejected, reply.index) == (False, 3)
    assert log_of(raft) == [(1, 1), (2, 1), (3, 3)]


def test_entries_that_are_there_already_stay_with_what_follows() -> None:
    """A late or repeated message must not shorten the log: what follows may be acknowledged."""
    raft = member(1, term=3, entries=OLD)
    reply = append(raft, (0, 0), entry(1, 1), entry(2, 1))
    assert reply is not None
    assert reply.index == 2
    assert log_of(raft) == [(1, 1), (2, 1), (3, 2)]


def test_the_commit_index_follows_the_leaders_as_far_as_the_message_reaches() -> None:
    raft = member(1, term=3, entries=OLD)
    append(raft, (1, 1), entry(2, 1), commit=9)
    assert raft.log.commit == 2, "entry 3 may not be the leader's"
    append(raft, (2, 1), entry(3, 3), commit=2)
    assert raft.log.commit == 2
    append(raft, (3, 3), commit=3)
    assert raft.log.commit == 3
    append(raft, (0, 0), entry(1, 1), commit=1)
    assert raft.log.commit == 3, "never back"


def test_entries_are_on_disk_before_they_are_acknowledged() -> None:
    raft = member(1, term=3)
    raft.step(
        Append(sender=2, to=1, term=3, previous_index=0, previous_term=0, commit=1, entries=(entry(1, 3),))
    )
    ready = raft.ready()
    assert ready.entries == (entry(1, 3),)
    assert [message for message in ready.messages if isinstance(message, AppendReply)] == []
    assert [message.index for message in ready.replies if isinstance(message, AppendReply)] == [1]
    assert ready.committed == (entry(1, 3),), "and may be applied after that"


def test_what_is_committed_is_never_replaced() -> None:
    raft = member(1, entries=OLD, hard_state=HardState(3, 0, 2))
    with pytest.raises(errors.PeerFault, match="contradicts entry 2"):
        append(raft, (1, 1), entry(2, 3))
    with pytest.raises(errors.PeerFault, match="contradicts entry 2"):
        append(raft, (2, 2), entry(3, 3))
    assert log_of(raft) == [(1, 1), (2, 1), (3, 2)]


def test_a_repeated_message_from_before_the_commit_index_is_acknowledged_up_to_there() -> None:
    raft = member(1, entries=OLD, hard_state=HardState(3, 0, 2))
    reply = append(raft, (0, 0), entry(1, 1))
    assert reply is not None
    assert (reply.rejected, reply.index) == (False, 2)
    reply = append(raft, (0, 0), entry(1, 1), entry(2, 1), entry(3, 3), entry(4, 3))
    assert reply is not None
    assert reply.index == 4
    assert log_of(raft) == [(1, 1), (2, 1), (3, 3), (4, 3)]


def test_acknowledgements_that_wait_for_one_write_are_one() -> None:
    raft = member(1, term=3)
    for index in range(1, 6):
        message = Append(
            sender=2,
            to=1,
            term=3,
            previous_index=index - 1,
            previous_term=3 if index > 1 else 0,
            commit=0,
            entries=(entry(index, 3),),
        )
        raft.step(message)
    ready = raft.ready()
    assert len(ready.entries) == 5
    assert [message.index for message in ready.replies if isinstance(message, AppendReply)] == [5]


# --- figure 2: rules for leaders ---


def test_a_new_leader_says_so_to_all_and_again_while_it_is_idle() -> None:
    network = RaftNetwork(3)
    network.elect(1)
    assert {message.to for message in network.sent if isinstance(message, Append)} == {2, 3}
    network.sent.clear()
    network.tick(limits.raft_heartbeat_ticks)
    assert {message.to for message in network.sent if isinstance(message, Heartbeat)} == {2, 3}


def test_a_leader_never_replaces_entries_of_its_own() -> None:
    """Leader append-only (figure 3): what others lack or have too much of changes nothing for it."""
    network = RaftNetwork(3)
    network.elect(1)
    network.propose(1, b"a", b"b")
    before = log_of(network[1].core)
    network[1].core.step(AppendReply(sender=2, to=1, term=1, index=3, rejected=True))
    network.settle()
    network.tick(3)
    assert log_of(network[1].core)[: len(before)] == before


def test_an_entry_is_applied_once_a_majority_holds_it() -> None:
    network = RaftNetwork(5)
    network.elect(1)
    network.crash(4, 5)
    network[2].slow_disk = True
    network.propose(1, b"x")
    assert network[1].applied == [], "on two disks of five"
    network[2].disk_done()
    network.settle()
    assert network[1].applied == [b"x"]


def test_a_leaders_own_entries_count_once_they_are_on_its_own_disk() -> None:
    network = RaftNetwork(3)
    network.elect(1)
    network.crash(3)
    network[1].slow_disk = True
    network.propose(1, b"x")
    assert network[2].core.status().last_index == 2, "sent while the leader still writes (thesis 10.2.1)"
    assert network[1].core.log.commit == 1
    network[1].disk_done()
    network.settle()
    assert network[1].applied == network[2].applied == [b"x"]


def test_a_majority_without_the_leaders_disk_commits_too() -> None:
    network = RaftNetwork(3)
    network.elect(1)
    network[1].slow_disk = True
    network.propose(1, b"x")
    assert network[1].core.log.commit == 2
    assert network[1].applied == [], "but the leader applies what is on its disk"
    network[1].disk_done()
    network.settle()
    assert network[1].applied == [b"x"]


def test_a_leader_that_dies_with_entries_it_had_only_sent_comes_back_without_them() -> None:
    network = RaftNetwork(3)
    network.elect(1)
    network[1].slow_disk = True
    network.propose(1, b"x")
    network.crash(1)
    network.restart(1)
    assert network[1].core.status().last_index == 1
    network.elect(2)
    network.tick(4)
    assert network[1].applied == [b"x"]


def test_an_older_terms_entry_is_not_committed_by_counting() -> None:
    """Figure 8: entry 2 of term 1 on a majority may still be replaced until one of term 3 follows it."""
    raft = member(1, entries=[entry(1, 1), entry(2, 1)], hard_state=HardState(1))
    elected(raft)
    assert log_of(raft) == [(1, 1), (2, 1), (3, 2)]
    raft.step(AppendReply(sender=2, to=1, term=2, index=2))
    raft.step(AppendReply(sender=3, to=1, term=2, index=2))
    assert raft.log.commit == 0
    raft.step(AppendReply(sender=2, to=1, term=2, index=3))
    assert raft.log.commit == 3


def elected(raft: Raft) -> None:
    """Let it be elected by member 2."""
    while raft.standing.role is Role.FOLLOWER:
        raft.tick()
    drain(raft)
    term = raft.standing.term + 1
    raft.step(VoteReply(sender=2, to=1, term=term, granted=True, pre=True))
    drain(raft)
    raft.step(VoteReply(sender=2, to=1, term=term, granted=True))
    drain(raft)
    assert raft.standing.role is Role.LEADER


@pytest.mark.parametrize(
    ("name", "follower"),
    [
        ("a", [1, 1, 1, 4, 4, 5, 5, 6, 6]),
        ("b", [1, 1, 1, 4]),
        ("c", [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6]),
        ("d", [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7]),
        ("e", [1, 1, 1, 4, 4, 4, 4]),
        ("f", [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3]),
        ("empty", []),
    ],
)
def test_logs_of_figure_7_become_the_leaders_in_few_round_trips(name: str, follower: list[int]) -> None:
    leader_terms = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6]
    leader = member(1, entries=[entry(i, t) for i, t in enumerate(leader_terms, 1)], hard_state=HardState(7))
    other = member(2, entries=[entry(i, t) for i, t in enumerate(follower, 1)], hard_state=HardState(7))
    while leader.standing.role is not Role.LEADER:
        elected(leader)
    trips = 0
    leader.take_messages()
    queue: list[AnyMessage] = [
        Heartbeat(sender=1, to=2, term=8, commit=0),
        Append(sender=1, to=2, term=8, previous_index=10, previous_term=6, commit=0, entries=(entry(11, 8),)),
    ]
    while queue:
        message = queue.pop(0)
        trips += isinstance(message, Append)
        raft = leader if message.to == 1 else other
        raft.step(message)
        queue += [said for said in drain(raft) if said.to in (1, 2) and said.to != raft.id]
    assert log_of(other) == log_of(leader)
    assert trips <= 5, f"{name}: a term at a time, not an entry"


# --- stale answers ---


def test_old_answers_do_not_set_a_member_back() -> None:
    network = RaftNetwork(3)
    network.elect(1)
    network.propose(1, b"a", b"b", b"c")
    leadership = network[1].core.leadership
    assert leadership is not None
    peer = leadership.peers[2]
    assert (peer.match, peer.pace) == (4, Pace.REPLICATE)
    for old in [
        AppendReply(sender=2, to=1, term=1, index=2),
        AppendReply(sender=2, to=1, term=1, index=3, rejected=True, hint_index=1, hint_term=1),
        AppendReply(sender=2, to=1, term=0, index=0, rejected=True),
    ]:
        network[1].step(old)
        assert (peer.match, peer.next, peer.pace) == (4, 5, Pace.REPLICATE)


def test_a_member_that_has_lost_what_it_acknowledged_is_not_chased_in_circles() -> None:
    network = RaftNetwork(3)
    network.elect(1)
    network.propose(1, b"a", b"b")
    network.crash(3)
    network[3].disk.entries.clear()
    network.restart(3)
    with pytest.raises(errors.PeerFault, match="let it join anew"):
        network.tick(3)
    network.queue.clear()
    network.drop = lambda message: isinstance(message, Heartbeat)
    network.propose(1, b"c")  # comes to an end
    assert network[2].applied == [b"a", b"b", b"c"]


# --- pace: batches, pipelining, the window ---


def test_proposals_between_two_readies_travel_together() -> None:
    network = RaftNetwork(3)
    network.elect(1)
    network.sent.clear()
    for number in range(100):
        network[1].core.propose([b"%d" % number])
    network.settle()
    carrying = [message for message in network.appends(2) if message.entries]
    assert [len(message.entries) for message in carrying] == [100]


def test_the_next_batch_does_not_wait_for_the_answer_to_the_one_before() -> None:
    network = RaftNetwork(3)
    network.elect(1)
    network.sent.clear()
    raft = network[1].core
    for number in range(3):
        raft.propose([b"%d" % number])
        network.post(raft.take_messages())
    assert [message.previous_index for message in network.appends(2)] == [1, 2, 3]
    network.settle()
    assert network[2].applied == [b"0", b"1", b"2"]


def test_a_message_holds_so_many_bytes_or_one_entry() -> None:
    network = RaftNetwork(3)
    network.elect(1)
    network.sent.clear()
    part = limits.raft_append_bytes_max // 4
    network[1].core.propose([bytes(part)] * 8 + [bytes(3 * limits.raft_append_bytes_max)] + [b"small"])
    network.settle()
    counts = [len(message.entries) for message in network.appends(2) if message.entries]
    assert counts == [3, 3, 2, 1, 1]


def test_no_more_is_under_way_than_the_window_holds() -> None:
    network = RaftNetwork(3)
    network.elect(1)
    network.isolate(2)
    part = limits.raft_append_bytes_max // 2
    for _ in range(40):
        network[1].core.propose([bytes(part)])
        network.settle()
    leadership = network[1].core.leadership
    assert leadership is not None
    assert leadership.peers[2].full
    assert (
        leadership.peers[2].bytes_under_way <= limits.raft_inflight_bytes_max + limits.raft_append_bytes_max
    )
    assert len(network[3].applied) == 40
    network.heal()
    network.tick(8)
    assert len(network[2].applied) == 40


def test_small_messages_are_counted_too() -> None:
    network = RaftNetwork(3)
    network.elect(1)
    network.isolate(2)
    for _ in range(limits.raft_inflight_messages_max + 20):
        network[1].core.propose([b"x"])
        network.settle()
    leadership = network[1].core.leadership
    assert leadership is not None
    assert len(leadership.peers[2].under_way) == limits.raft_inflight_messages_max


def test_a_silent_member_is_sent_nothing_but_heartbeats() -> None:
    network = RaftNetwork(3)
    network.elect(1)
    network.crash(3)
    network.tick(limits.raft_election_ticks + 1)
    network.sent.clear()
    network.propose(1, b"a")
    network.propose(1, b"b")
    assert network.appends(3) == []
    network.restart(3)
    network.tick(5)
    assert network[3].applied == [b"a", b"b"]


def test_lost_messages_are_found_out_by_a_heartbeat() -> None:
    network = RaftNetwork(3)
    network.elect(1)
    network.drop = lambda message: isinstance(message, Append) and message.to == 3
    network.propose(1, b"a")
    network.drop = lambda message: False
    network.tick(3 * limits.raft_heartbeat_ticks)
    assert network[3].applied == [b"a"]


def test_a_broken_connection_makes_the_leader_ask_where_the_member_is() -> None:
    network = RaftNetwork(3)
    network.elect(1)
    network[1].core.lost(2)
    leadership = network[1].core.leadership
    assert leadership is not None
    assert leadership.peers[2].pace is Pace.PROBE
    network.propose(1, b"a")
    network.tick(limits.raft_heartbeat_ticks)
    assert leadership.peers[2].pace is Pace.REPLICATE
    assert network[2].applied == [b"a"]


def test_a_probe_that_is_repeated_repeats_no_entries() -> None:
    """Over a slow link the first may still be on its way when the next heartbeat is answered."""
    network = RaftNetwork(3)
    network.drop = lambda message: isinstance(message, Append) and message.to == 3
    network.elect(1)
    network.tick(3 * limits.raft_heartbeat_ticks)
    assert [len(message.entries) for message in network.appends(3)] == [1, 0, 0, 0]
    network.drop = lambda message: False
    network.propose(1, b"a")
    network.tick(limits.raft_heartbeat_ticks)
    assert network[3].applied == [b"a"]


def test_a_heartbeat_commits_no_further_than_what_the_member_holds() -> None:
    network = RaftNetwork(3)
    network.elect(1)
    network.drop = lambda message: isinstance(message, Append) and message.to == 3
    network.propose(1, b"a")
    network.sent.clear()
    network.tick(limits.raft_heartbeat_ticks)
    beats = {message.to: message.commit for message in network.sent if isinstance(message, Heartbeat)}
    assert beats == {2: 2, 3: 1}


def test_what_is_committed_is_told_without_waiting_for_a_heartbeat() -> None:
    network = RaftNetwork(3)
    network.elect(1)
    network.propose(1, b"a")
    assert network[2].applied == network[3].applied == [b"a"]


def test_a_slow_disk_delays_no_sign_of_life() -> None:
    network = RaftNetwork(3)
    network.elect(1)
    network[2].slow_disk = True
    network.propose(1, b"a")
    network.sent.clear()
    network.tick(limits.raft_heartbeat_ticks)
    assert [type(message) for message in network.sent if message.sender == 2] == [HeartbeatReply]


# --- what is refused ---


def test_only_the_leader_takes_proposals_and_others_say_who_leads() -> None:
    network = RaftNetwork(3)
    with pytest.raises(errors.NotLeader, match="no leader"):
        network[2].core.propose([b"x"])
    network.elect(1)
    with pytest.raises(errors.NotLeader, match="member 1 does"):
        network[2].core.propose([b"x"])


def test_too_much_that_waits_for_a_majority_is_refused() -> None:
    network = RaftNetwork(3)
    network.elect(1)
    network.crash(2, 3)
    part = limits.raft_uncommitted_bytes_max // 4
    for _ in range(3):
        network[1].core.propose([bytes(part)])
    with pytest.raises(errors.ResourceExhausted, match="wait for a majority"):
        network[1].core.propose([bytes(2 * part)])
    network.restart(2)
    network.tick(6)
    network.propose(1, bytes(part))


def test_a_large_proposal_is_taken_when_nothing_waits() -> None:
    network = RaftNetwork(3)
    network.elect(1)
    network.propose(1, bytes(limits.raft_uncommitted_bytes_max + 1))
    assert len(network[2].applied) == 1
