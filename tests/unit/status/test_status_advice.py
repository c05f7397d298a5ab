"""From how the managers do to what people are told to do."""

import pytest
from msgspec.structs import replace

from manager.status.advice import advise
from manager.status.facts import ClusterFacts, Manager, Reachability

YES, NO, UNKNOWN = Reachability.REACHABLE, Reachability.UNREACHABLE, Reachability.UNKNOWN


def manager(number: int, reachability: Reachability = YES, **fields: object) -> Manager:
    made = Manager(
        f"n{number}",
        f"m{number}",
        f"10.0.0.{number}:2377",
        number,
        leader=number == 1,
        voter=True,
        reachability=reachability,
    )
    return replace(made, **fields)


def facts(*managers: Manager, answered_by: str = "n1", store: str = "raft") -> ClusterFacts:
    return ClusterFacts(managers, answered_by, store)


@pytest.mark.parametrize("number", [1, 3, 5])
def test_nothing_is_said_while_all_is_well(number: int) -> None:
    found = facts(*(manager(each) for each in range(1, number + 1)))
    assert advise(found) == ()
    assert found.has_quorum


def test_a_lost_majority_names_who_is_missing_and_both_ways_out() -> None:
    (sentence,) = advise(
        facts(
            manager(1, leader=False), manager(2, NO, silent_ms=40_300), manager(3, UNKNOWN), answered_by="n1"
        )
    )
    assert sentence.startswith(
        "2 of 3 managers do not answer: m2 (10.0.0.2:2377) for 40 s, m3 (10.0.0.3:2377)."
    )
    assert "Bring one of them back" in sentence
    assert "`covey init --force-new-cluster` on this host and never start the lost ones again" in sentence


def test_of_five_two_must_come_back() -> None:
    found = facts(manager(1, leader=False), *(manager(each, NO) for each in (2, 3, 4, 5)))
    assert "4 of 5" in advise(found)[0]
    assert "Bring two of them back" in advise(found)[0]


def test_of_two_managers_one_is_no_majority() -> None:
    found = facts(manager(1, leader=False), manager(2, NO))
    assert not found.has_quorum
    assert "1 of 2 managers does not answer" in advise(found)[0]
    assert "2 managers bear the loss of none, no more than 1 would" in advise(found)[1]


@pytest.mark.parametrize(
    ("total", "missing", "left"),
    [
        (3, 1, "no other manager may fail now"),
        (5, 1, "one more may fail"),
        (5, 2, "no other manager may fail now"),
    ],
)
def test_who_is_missing_is_named_though_all_goes_on(total: int, missing: int, left: str) -> None:
    found = facts(*(manager(each, NO if each > total - missing else YES) for each in range(1, total + 1)))
    assert found.has_quorum
    (sentence,) = advise(found)
    assert left in sentence
    assert "covey node demote" in sentence


def test_an_election_is_no_reason_to_despair() -> None:
    found = facts(*(manager(each, leader=False) for each in (1, 2, 3)))
    (sentence,) = advise(found)
    assert "election is under way" in sentence


def test_even_numbers_of_managers_buy_nothing() -> None:
    found = facts(*(manager(each) for each in (1, 2, 3, 4)))
    assert advise(found) == (
        "4 managers bear the loss of 1, no more than 3 would; make one more node a manager, or one fewer",
    )
    leaving = facts(*(manager(each, departs=each == 4) for each in (1, 2, 3, 4)))
    assert advise(leaving) == ("m4 (10.0.0.4:2377) is being demoted",)


def test_who_does_not_count_yet_is_named() -> None:
    learner = manager(3, voter=False, behind_entries=1234)
    waiting = Manager("n4", "m4")
    said = advise(facts(manager(1), manager(2), learner, waiting))
    assert any("m3 (10.0.0.3:2377) is catching up, 1234 entries behind," in sentence for sentence in said)
    assert any("m4 is to be a manager and has not joined" in sentence for sentence in said)


def test_a_manager_outside_the_group_says_so() -> None:
    assert any("itself no member" in each for each in advise(facts(manager(1), answered_by="n9")))
    assert "waiting to be let in" in advise(facts(answered_by="n9"))[0]


def test_who_is_kept_out_says_why_and_nothing_else() -> None:
    said = advise(facts(answered_by="n9"), "192.0.2.1:2377: node m9 is a worker")
    assert len(said) == 1
    assert "not let this one in yet, and it goes on asking: 192.0.2.1:2377: node m9 is a worker" in said[0]


def test_with_etcd_only_the_leader_counts() -> None:
    assert advise(facts(manager(1), manager(2, UNKNOWN), store="etcd")) == ()
    leaderless = facts(manager(1, leader=False), store="etcd")
    assert not leaderless.has_quorum
    assert "etcd does not answer" in advise(leaderless)[0]
