"""Linearizable reads: the claims of the thesis' 6.4, one a test."""

import pytest

from covey import limits
from manager.raft.messages import Append, Heartbeat, HeartbeatReply, Message, ReadReply, ReadRequest
from manager.raft.ready import ReadAnswer
from tests.support.raft_network import RaftNetwork, drain, member


def test_a_leader_reads_at_its_commit_index_once_a_majority_confirms_it() -> None:
    network = RaftNetwork(3)
    network.elect(1)
    network.propose(1, b"a")
    network.isolate(2, 3)
    network[1].core.read(7)
    network.settle()
    assert network[1].reads == []
    network.heal()
    network.tick(limits.raft_heartbeat_ticks)
    assert network[1].reads == [ReadAnswer(7, 2)]


def test_a_leader_that_was_replaced_without_knowing_gives_no_old_answer() -> None:
    network = RaftNetwork(3)
    network.elect(1)
    network.isolate(1)
    network.tick(3 * limits.raft_election_ticks, 2, 3)
    other = network.leader.id
    network.propose(other, b"newer")
    assert network[1].leads, "it does not know yet"
    network[1].core.read(7)
    network.settle()
    assert network[1].reads == []
    network.heal()
    network.tick(4)
    assert network[1].reads == [ReadAnswer(7, None)]


def test_no_read_before_an_entry_of_the_leaders_term_is_committed() -> None:
    network = RaftNetwork(3)
    network.drop = lambda message: isinstance(message, Append)
    network.elect(1)
    network[1].core.read(7)
    network.tick(3)
    assert network[1].reads == []
    assert any(isinstance(message, Heartbeat) for message in network.sent), "it goes on to show that it lives"
    network.drop = lambda message: False
    network.tick(4)
    assert network[1].reads == [ReadAnswer(7, 1)]


def test_all_reads_that_wait_are_confirmed_by_one_round() -> None:
    network = RaftNetwork(3)
    network.elect(1)
    network.sent.clear()
    for key in range(50):
        network[1].core.read(key)
    network.settle()
    assert [answer.key for answer in network[1].reads] == list(range(50))
    assert len([message for message in network.sent if isinstance(message, Heartbeat)]) == 2


def test_reads_that_come_during_a_round_wait_for_the_next() -> None:
    network = RaftNetwork(3)
    network.elect(1)
    raft = network[1].core
    network.sent.clear()
    raft.read(1)
    network.post(raft.take_messages())
    raft.read(2)
    network.post(raft.take_messages())
    assert [m.read for m in network.sent if isinstance(m, Heartbeat) and m.to == 2] == [1]
    network.settle()
    assert [m.read for m in network.sent if isinstance(m, Heartbeat) and m.to == 2] == [1, 2]
    assert network[1].reads == [ReadAnswer(1, 1), ReadAnswer(2, 1)]


def test_answers_to_an_older_heartbeat_confirm_nothing_newer() -> None:
    network = RaftNetwork(3)
    network.elect(1)
    network.isolate(1)
    network[1].core.read(7)
    network.settle()
    network[1].step(HeartbeatReply(sender=2, to=1, term=1, read=0))
    network.settle()
    assert network[1].reads == []
    network[1].step(HeartbeatReply(sender=2, to=1, term=1, read=1))
    network.settle()
    assert network[1].reads == [ReadAnswer(7, 1)]


def test_learners_confirm_nothing() -> None:
    network = RaftNetwork(3, learners=[4, 5])
    network.elect(1)
    network.crash(2, 3)
    network[1].core.read(7)
    network.tick(4)
    assert network[1].reads == []


def test_a_sole_voter_reads_at_once() -> None:
    network = RaftNetwork(1)
    network.settle()
    network[1].core.read(7)
    network.settle()
    assert network[1].reads == [ReadAnswer(7, 1)]


def test_a_follower_asks_its_leader() -> None:
    network = RaftNetwork(3)
    network.elect(1)
    network.propose(1, b"a")
    network[3].core.read(7)
    network.settle()
    assert network[3].reads == [ReadAnswer(7, 2)]


def test_a_learner_asks_too() -> None:
    network = RaftNetwork(3, learners=[4])
    network.elect(1)
    network[4].core.read(7)
    network.settle()
    assert network[4].reads == [ReadAnswer(7, 1)]


def test_without_a_leader_nobody_can_tell() -> None:
    network = RaftNetwork(3)
    network[3].core.read(7)
    network.settle()
    assert network[3].reads == [ReadAnswer(7, None)]


def test_who_leads_no_more_says_so() -> None:
    raft = member(1, term=3)
    raft.step(ReadRequest(sender=2, to=1, term=3, key=99))
    assert drain(raft) == [ReadReply(sender=1, to=2, term=3, key=99, index=None)]


@pytest.mark.parametrize("lost", [ReadRequest, ReadReply])
def test_a_lost_question_or_answer_is_given_up_after_an_election_timeout(lost: type[Message]) -> None:
    network = RaftNetwork(3)
    network.elect(1)
    network.drop = lambda message: isinstance(message, lost)
    network[3].core.read(7)
    network.tick(limits.raft_election_ticks - 1)
    assert network[3].reads == []
    network.tick(1)
    assert network[3].reads == [ReadAnswer(7, None)]


def test_questions_to_a_leader_that_is_followed_by_another_are_given_up() -> None:
    network = RaftNetwork(3)
    network.elect(1)
    network.isolate(1)
    network[3].core.read(7)
    network[3].step(Heartbeat(sender=2, to=3, term=9, commit=0))
    network.settle()
    assert network[3].reads == [ReadAnswer(7, None)]


def test_an_answer_to_a_former_life_answers_nothing_now() -> None:
    network = RaftNetwork(3)
    network.elect(1)
    network[3].core.read(7)
    network[3].work()
    asked = [message for message in network.queue if isinstance(message, ReadRequest)]
    network.queue.clear()
    network.crash(3)
    network.restart(3)
    network.tick(3)
    network.propose(1, b"newer")
    network[3].core.read(7)
    network[3].step(ReadReply(sender=1, to=3, term=1, key=asked[0].key, index=1))
    network.settle()
    assert network[3].reads == [ReadAnswer(7, 2)]


def test_a_handover_leaves_no_read_without_an_answer() -> None:
    network = RaftNetwork(3)
    network.elect(1)
    network.isolate(3)
    network[1].core.read(1)
    network[2].core.read(2)
    network[1].core.transfer(2)
    network.settle()
    assert {answer.key for answer in network[1].reads + network[2].reads} == {1, 2}
