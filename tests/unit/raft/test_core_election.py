"""Elections: figure 2's RequestVote and rules for servers, one claim a test; then pre-vote and what goes with it."""

from collections.abc import Callable
from random import Random

import pytest

from covey import errors, limits
from manager.raft.core import Raft
from manager.raft.entry import NOBODY, Entry, HardState, Stored
from manager.raft.messages import (
    Append,
    AppendReply,
    Heartbeat,
    Message,
    TimeoutNow,
    Vote,
    VoteReply,
)
from manager.raft.ready import Role
from tests.support.raft_network import RaftNetwork, drain, member, members, whole_timeout

TWICE = 2 * limits.raft_election_ticks


def ask(
    raft: Raft, term: int, last: tuple[int, int] = (0, 0), sender: int = 2, **more: bool
) -> VoteReply | None:
    """What a member answers to a candidate whose log ends with `last` (index, term)."""
    vote = Vote(sender=sender, to=raft.id, term=term, last_index=last[0], last_term=last[1], **more)
    raft.step(vote)
    replies = [message for message in drain(raft) if isinstance(message, VoteReply)]
    assert len(replies) <= 1
    return replies[0] if replies else None


# --- figure 2: RequestVote RPC, receiver ---


def test_no_vote_for_a_candidate_of_an_older_term() -> None:
    raft = member(1, term=5)
    reply = ask(raft, term=4)
    assert reply is not None
    assert (reply.granted, reply.term) == (False, 5)


def test_a_vote_for_the_first_who_asks_and_for_nobody_else_in_that_term() -> None:
    raft = member(1)
    first, second, again = ask(raft, 1, sender=2), ask(raft, 1, sender=3), ask(raft, 1, sender=2)
    assert [reply.granted for reply in (first, second, again) if reply] == [True, False, True]


@pytest.mark.parametrize(
    ("last", "granted"),
    [((2, 1), False), ((9, 1), False), ((1, 2), False), ((2, 2), True), ((3, 2), True), ((1, 3), True)],
)
def test_a_vote_only_for_a_log_at_least_as_up_to_date(last: tuple[int, int], granted: bool) -> None:
    """5.4.1: the later last term wins, and with equal ones the longer log."""
    raft = member(1, term=3, entries=[Entry(1, 1), Entry(2, 2)])
    reply = ask(raft, 4, last)
    assert reply is not None
    assert reply.granted is granted


def test_a_vote_outlives_a_restart() -> None:
    """Figure 2: votedFor is on disk before the answer leaves."""
    raft = member(1)
    raft.step(Vote(sender=2, to=1, term=1, last_index=0, last_term=0))
    ready = raft.ready()
    assert ready.hard_state == HardState(1, 2, 0)
    assert [type(message) for message in ready.replies] == [VoteReply]
    assert not ready.messages
    again = member(1, hard_state=ready.hard_state)
    refused = ask(again, 1, sender=3)
    assert refused is not None
    assert not refused.granted


# --- figure 2: rules for servers ---


def test_a_follower_stands_when_it_hears_nobody_for_a_random_timeout() -> None:
    waits = set()
    for seed in range(60):
        raft = member(1, seed=seed)
        ticks = 0
        while raft.standing.role is Role.FOLLOWER:
            raft.tick()
            ticks += 1
        waits.add(ticks)
    assert min(waits) == limits.raft_election_ticks
    assert max(waits) == TWICE - 1
    assert len(waits) > limits.raft_election_ticks / 2


def test_hearing_the_leader_or_giving_a_vote_starts_the_timer_anew() -> None:
    raft = member(1)
    for sign in [
        lambda: raft.step(Heartbeat(sender=2, to=1, term=1, commit=0)),
        lambda: raft.step(Append(sender=2, to=1, term=1, previous_index=0, previous_term=0, commit=0)),
        lambda: raft.step(Vote(sender=3, to=1, term=2, last_index=0, last_term=0, transfer=True)),
    ]:
        for _ in range(limits.raft_election_ticks - 1):
            raft.tick()
        sign()
        drain(raft)
        for _ in range(limits.raft_election_ticks - 1):
            raft.tick()
        assert raft.standing.role is Role.FOLLOWER


def test_a_candidate_raises_its_term_votes_for_itself_and_asks_all_others() -> None:
    raft = member(1, term=4)
    whole_timeout(raft)
    drain(raft)
    raft.step(VoteReply(sender=2, to=1, term=5, granted=True, pre=True))
    ready = raft.ready()
    assert ready.hard_state == HardState(5, 1, 0)
    assert not ready.messages, "a vote of one's own is on disk before others hear of it"
    assert [(type(m), m.to, m.term) for m in ready.replies] == [(Vote, 2, 5), (Vote, 3, 5)]


def candidate(count: int = 3) -> Raft:
    raft = member(1, count=count)
    whole_timeout(raft)
    drain(raft)
    for id in range(2, count + 1):
        raft.step(VoteReply(sender=id, to=1, term=1, granted=True, pre=True))
    drain(raft)
    assert raft.standing.role is Role.CANDIDATE
    return raft


def test_a_candidate_with_votes_of_a_majority_leads_and_says_so_at_once() -> None:
    raft = candidate(5)
    raft.step(VoteReply(sender=2, to=1, term=1, granted=True))
    assert raft.standing.role is Role.CANDIDATE
    raft.step(VoteReply(sender=2, to=1, term=1, granted=True))  # the same again counts once
    assert raft.standing.role is Role.CANDIDATE
    raft.step(VoteReply(sender=3, to=1, term=1, granted=True))
    assert raft.standing.role is Role.LEADER
    sent = drain(raft)
    assert [(type(m), m.to) for m in sent] == [(Append, 2), (Append, 3), (Append, 4), (Append, 5)]
    assert raft.standing.first_index == 1


def test_its_own_vote_counts_only_once_it_is_on_disk() -> None:
    raft = member(1)
    whole_timeout(raft)
    drain(raft)
    raft.step(VoteReply(sender=2, to=1, term=1, granted=True, pre=True))
    raft.ready()
    raft.step(VoteReply(sender=2, to=1, term=1, granted=True))
    assert raft.standing.role is Role.CANDIDATE
    raft.advance()
    assert raft.standing.role is Role.LEADER


def test_votes_of_learners_and_strangers_and_of_another_term_count_for_nothing() -> None:
    raft = candidate()
    raft.step(VoteReply(sender=9, to=1, term=1, granted=True))
    raft.step(VoteReply(sender=2, to=1, term=0, granted=True))
    assert raft.standing.role is Role.CANDIDATE


def test_a_candidate_that_hears_a_leader_of_its_term_follows_it() -> None:
    raft = candidate()
    raft.step(Heartbeat(sender=3, to=1, term=1, commit=0))
    assert (raft.standing.role, raft.standing.leader) == (Role.FOLLOWER, 3)


def test_a_candidate_that_is_not_elected_stands_again() -> None:
    raft = candidate()
    whole_timeout(raft)
    assert raft.standing.role is Role.PRE_CANDIDATE
    assert raft.standing.term == 1


def test_a_candidate_without_hope_tries_again_after_a_short_pause() -> None:
    raft = candidate()
    raft.step(VoteReply(sender=2, to=1, term=1, granted=False))
    assert raft.standing.role is Role.CANDIDATE
    raft.step(VoteReply(sender=3, to=1, term=1, granted=False))
    assert raft.standing.role is Role.FOLLOWER
    for _ in range(limits.raft_retry_ticks_max):
        raft.tick()
    assert raft.standing.role is Role.PRE_CANDIDATE


def leader(count: int = 3) -> Raft:
    raft = candidate(count)
    for id in range(2, count + 1):
        raft.step(VoteReply(sender=id, to=1, term=1, granted=True))
    drain(raft)
    return raft


@pytest.mark.parametrize("who", [lambda: member(1, term=1), candidate, leader])
@pytest.mark.parametrize(
    "message",
    [
        Heartbeat(sender=2, to=1, term=7, commit=0),
        AppendReply(sender=2, to=1, term=7, index=0),
        VoteReply(sender=2, to=1, term=7, granted=False),
        Vote(sender=2, to=1, term=7, last_index=0, last_term=0, transfer=True),
    ],
    ids=lambda message: type(message).__name__,
)
def test_whoever_hears_of_a_later_term_follows_in_it(who: Callable[[], Raft], message: Message) -> None:
    raft = who()
    raft.step(message)  # type: ignore[arg-type]
    assert (raft.standing.role, raft.standing.term) == (Role.FOLLOWER, 7)


def test_a_leader_of_an_older_term_is_told_the_newer_one() -> None:
    raft = member(1, term=5)
    raft.step(
        Append(sender=2, to=1, term=4, previous_index=0, previous_term=0, commit=0, entries=(Entry(1, 4),))
    )
    assert raft.status().last_index == 0
    assert [message.term for message in drain(raft)] == [5]


# --- pre-vote, check-quorum and the leases of voters (thesis 4.2.3, 6.2, 9.6) ---


def test_asking_whether_one_would_be_elected_changes_nobodys_term() -> None:
    network = RaftNetwork(3)
    network.isolate(1)
    network.tick(5 * TWICE, 1)
    assert network[1].core.status().standing == network[1].core.standing
    assert network[1].core.standing.term == 0
    assert network[1].core.standing.role is Role.PRE_CANDIDATE


def test_who_comes_back_after_a_while_does_not_unseat_the_leader() -> None:
    network = RaftNetwork(3)
    network.elect(1)
    network.isolate(3)
    network.tick(4 * TWICE)
    network.propose(1, b"meanwhile")
    network.heal()
    network.tick(TWICE)
    assert network.leader.id == 1
    assert network[1].core.standing.term == 1
    assert network[3].applied == [b"meanwhile"]


def test_a_voter_that_hears_a_leader_ignores_who_stands_but_not_one_the_leader_chose() -> None:
    raft = member(1)
    raft.step(Heartbeat(sender=2, to=1, term=1, commit=0))
    drain(raft)
    assert ask(raft, 9, sender=3) is None
    assert raft.standing.term == 1, "nor does it take the term"
    refused = ask(raft, 2, sender=3, pre=True)
    assert refused is not None
    assert (refused.granted, refused.term) == (False, 1)
    chosen = ask(raft, 9, sender=3, transfer=True)
    assert chosen is not None
    assert chosen.granted


def test_after_an_election_timeout_of_silence_it_would_vote() -> None:
    raft = member(1, seed=3)
    raft.step(Heartbeat(sender=2, to=1, term=1, commit=0))
    for _ in range(limits.raft_election_ticks):
        raft.tick()
    reply = ask(raft, 2, sender=3, pre=True)
    assert reply is not None
    assert (reply.granted, reply.term) == (True, 2)


def test_a_leader_that_hears_no_majority_for_an_election_timeout_leads_no_more() -> None:
    network = RaftNetwork(3)
    network.elect(1)
    network.isolate(1)
    network.tick(limits.raft_election_ticks - 2)
    assert network[1].leads
    network.tick(3)
    assert not network[1].leads
    assert network[1].core.standing.leader == NOBODY
    with pytest.raises(errors.NotLeader):
        network[1].core.propose([b"x"])


def test_learners_make_no_majority_and_never_stand() -> None:
    network = RaftNetwork(3, learners=[4, 5])
    network.elect(1)
    network.crash(2, 3)
    network.tick(2 * TWICE)
    assert not network[1].leads
    assert network[4].core.standing.role is Role.FOLLOWER
    assert network[4].core.standing.leader == NOBODY
    assert not any(isinstance(message, Vote) and message.sender in (4, 5) for message in network.sent)


# --- a broken connection ---


def test_a_broken_connection_to_the_leader_shortens_the_wait() -> None:
    network = RaftNetwork(3)
    network.elect(1)
    network.tick(3)
    network.crash(1)
    for id in (2, 3):
        network[id].core.lost(1)
    network.tick(3 * limits.raft_retry_ticks_max)
    assert network.leader.id in (2, 3)


def test_a_broken_connection_alone_unseats_nobody() -> None:
    network = RaftNetwork(3)
    network.elect(1)
    network.tick(3)
    network[2].core.lost(1)
    network.tick(TWICE)
    assert network.leader.id == 1
    assert network[1].core.standing.term == 1


def test_a_broken_connection_to_somebody_else_means_nothing() -> None:
    network = RaftNetwork(3)
    network.elect(1)
    network[2].core.lost(3)
    network.tick(limits.raft_retry_ticks_max, 2)
    assert network[2].core.standing.leader == 1


# --- handing over (thesis 3.10) ---


def test_leadership_is_handed_over_at_once_and_nothing_is_lost() -> None:
    network = RaftNetwork(3)
    network.elect(1)
    network[1].core.propose([b"a"])
    network[1].core.transfer(2)
    with pytest.raises(errors.NotLeader, match="handing"):
        network[1].core.propose([b"b"])
    network.settle()
    assert network.leader.id == 2
    assert network[1].core.standing.leader == 2
    assert network[2].applied == [b"a"]


def test_a_handover_that_takes_an_election_timeout_is_given_up() -> None:
    network = RaftNetwork(3)
    network.elect(1)
    network.crash(2)
    network[1].core.transfer(2)
    network.tick(limits.raft_election_ticks - 1)
    with pytest.raises(errors.NotLeader):
        network[1].core.propose([b"x"])
    network.tick(1)
    network.propose(1, b"x")
    assert network[3].applied == [b"x"]


def test_a_lost_word_to_take_over_is_said_again() -> None:
    network = RaftNetwork(3)
    network.elect(1)
    lost: list[Message] = []
    network.drop = lambda message: isinstance(message, TimeoutNow) and not lost and not lost.append(message)  # type: ignore[func-returns-value]
    network[1].core.transfer(2)
    network.tick(4)
    assert lost
    assert network.leader.id == 2


def test_leadership_goes_to_voters_only() -> None:
    network = RaftNetwork(3, learners=[4])
    network.elect(1)
    for nobody in (4, 9):
        with pytest.raises(errors.FailedPrecondition, match="no vote"):
            network[1].core.transfer(nobody)
    network[1].core.transfer(1)
    network.propose(1, b"still here")
    with pytest.raises(errors.NotLeader):
        network[2].core.transfer(1)


def test_the_word_to_take_over_counts_only_from_the_leader() -> None:
    network = RaftNetwork(3)
    network.elect(1)
    network[2].core.step(TimeoutNow(sender=3, to=2, term=1))
    assert network[2].core.standing.role is Role.FOLLOWER


def test_a_leader_whose_disk_hangs_has_another_lead() -> None:
    network = RaftNetwork(3)
    network.elect(1)
    network[1].slow_disk = True
    network.propose(1, b"a")
    network.tick(limits.raft_write_ticks_max - 1)
    assert network.leader.id == 1
    network.tick(2)
    assert network.leader.id in (2, 3)
    network.propose(network.leader.id, b"b")
    network[1].disk_done()
    network.tick(3)
    assert network[1].applied == [b"a", b"b"]


def test_it_goes_on_if_nobody_else_can() -> None:
    network = RaftNetwork(1, learners=[2])
    network.settle()
    network[1].slow_disk = True
    network[1].core.propose([b"a"])
    network.tick(2 * limits.raft_write_ticks_max)
    network[1].disk_done()
    network.tick(3)
    assert network[2].applied == [b"a"]


# --- the small ---


def test_a_sole_voter_leads_without_waiting() -> None:
    raft = Raft(Stored(1), Random(1), founding=members(1))
    drain(raft)
    assert raft.standing.role is Role.LEADER


def test_a_founder_is_alone() -> None:
    with pytest.raises(errors.InvalidArgument):
        Raft(Stored(1), Random(1), founding=members(1, 2))


def test_founding_is_only_for_an_empty_disk() -> None:
    raft = Raft(Stored(1, HardState(3, 0, 0), entries=(Entry(1, 1),)), Random(1), founding=members(1))
    assert raft.membership.members == ()
