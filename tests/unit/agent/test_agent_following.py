"""How a session finds the leader, and passes on what the node is to be."""

from random import Random

import pytest

from agent.session.events import (
    Connected,
    Dial,
    Disconnected,
    Effect,
    Follow,
    Followed,
    HangUp,
    Heard,
    Remember,
    Send,
)
from agent.session.machine import NEVER, Phase, Session
from agent.session.messages import (
    Alive,
    Down,
    Membership,
    Redirect,
    Register,
    SessionStarted,
)
from covey import limits
from covey.machine import Tick
from covey.model.objects import ClusterVersion, NodeDescription
from covey.model.states import NodeRole

A, B, C = "10.0.0.1:2377", "10.0.0.2:2377", "10.0.0.3:2377"
ALL = (A, B, C)
PERIOD_MS = 1000


def new(seed: int = 1, managers: tuple[str, ...] = ALL) -> Session:
    known = Membership(NodeRole.WORKER, managers)
    return Session(NodeDescription(), managers, Random(seed), NEVER, known=known)


def dialled(effects: list[Effect]) -> list[str]:
    return [effect.address for effect in effects if isinstance(effect, Dial)]


def next_dial(session: Session) -> str:
    (address,) = dialled(list(session.step(Tick(max(session.now_ms, session.dial_at_ms)))))
    session.step(Connected(session.number))
    return address


def hear(session: Session, message: Down) -> list[Effect]:
    return list(session.step(Heard(session.number, message)))


def opened(session: Session) -> Session:
    """A session with whatever manager is dialled next."""
    if session.phase is Phase.AWAY:
        next_dial(session)
    hear(session, SessionStarted("s", PERIOD_MS, ClusterVersion(1, 1)))
    return session


@pytest.mark.parametrize("seed", range(20))
def test_a_manager_that_does_not_lead_names_the_leader_who_is_dialled_at_once(seed: int) -> None:
    session = new(seed)
    first = next_dial(session)
    leader = next(address for address in ALL if address != first)
    effects = hear(session, Redirect(leader, ALL))
    assert [type(effect) for effect in effects] == [HangUp, Dial]
    assert dialled(effects) == [leader]
    assert session.failures == 0
    assert list(session.step(Connected(session.number))) == [
        Send(session.number, Register(NodeDescription(), NEVER))
    ]


def test_two_managers_that_name_each_other_are_not_asked_without_a_pause_for_ever() -> None:
    session = new()
    at = next_dial(session)
    for _ in range(limits.redirects_in_a_row_max):
        other = B if at != B else C
        assert dialled(hear(session, Redirect(other, ALL))) == [other]
        session.step(Connected(session.number))
        at = other
    assert dialled(hear(session, Redirect(A if at != A else B, ALL))) == []
    pause_ms = session.dial_at_ms - session.now_ms
    assert limits.leaderless_pause_ms_min <= pause_ms <= limits.leaderless_pause_ms_max


@pytest.mark.parametrize("seed", range(10))
def test_a_leader_that_has_just_died_is_not_dialled_though_the_others_still_name_it(seed: int) -> None:
    session = opened(new(seed))
    dead = session.address
    session.step(Disconnected(session.number, "it died"))
    began_ms = session.now_ms
    asked = []
    while session.now_ms < began_ms + 1000:  # an election takes about so long
        asked.append(next_dial(session))
        effects = hear(session, Redirect(dead if len(asked) < 3 else "", ALL))
        assert dialled(effects) == []
    assert dead not in asked
    assert set(asked) == set(ALL) - {dead}
    leader = next_dial(session)
    assert leader != dead
    opened(session)
    assert session.phase is Phase.OPEN
    assert session.now_ms - began_ms <= 1000 + 2 * limits.leaderless_pause_ms_max


def test_pauses_grow_where_there_is_no_leader_for_long() -> None:
    session, pauses = new(), []
    for _ in range(60):
        next_dial(session)
        hear(session, Redirect("", ALL))
        pauses.append(session.dial_at_ms - session.now_ms)
    assert max(pauses[: limits.leaderless_pauses_short]) <= limits.leaderless_pause_ms_max
    assert limits.search_pause_ms_max / 4 <= min(pauses[-10:])
    assert max(pauses) <= limits.search_pause_ms_max
    assert len(set(pauses)) > 40, "many agents do not come at once"


def test_a_session_that_has_come_about_makes_the_next_search_quick_again() -> None:
    session = new()
    for _ in range(30):
        next_dial(session)
        hear(session, Redirect("", ALL))
    opened(session)
    hear(session, Redirect("", ALL))
    assert session.dial_at_ms - session.now_ms <= limits.leaderless_pause_ms_max


def test_managers_named_in_a_redirect_are_remembered() -> None:
    session = new(managers=(A,))
    next_dial(session)
    effects = hear(session, Redirect("", (A, B)))
    assert Remember(NEVER, (A, B)) in effects
    assert next_dial(session) == B


def test_a_leader_that_no_list_names_is_dialled_all_the_same() -> None:
    session = new(managers=(A,))
    next_dial(session)
    assert dialled(hear(session, Redirect(C, ()))) == [C]


def test_a_leader_that_steps_down_sends_its_agents_on() -> None:
    session = opened(new())
    other = next(address for address in ALL if address != session.address)
    assert dialled(hear(session, Redirect(other, ALL))) == [other]
    session.step(Connected(session.number))
    opened(session)
    assert session.address == other


# --- silence -----------------------------------------------------------------------------------------


def beat(session: Session) -> list[Effect]:
    assert session.wake_ms is not None
    return list(session.step(Tick(max(session.now_ms, session.wake_ms))))


def test_a_manager_that_answers_heartbeats_is_kept() -> None:
    session = opened(new())
    for _ in range(20):
        beat(session)
        hear(session, Alive())
    assert session.phase is Phase.OPEN


def test_a_manager_that_falls_silent_is_left_for_another() -> None:
    session = opened(new())
    silent = session.address
    beat(session)
    hear(session, Alive())
    heard_ms = session.now_ms
    while session.phase is Phase.OPEN:
        beat(session)
    assert session.now_ms - heard_ms == limits.manager_grace_periods * PERIOD_MS
    assert next_dial(session) != silent


def test_a_manager_that_is_silent_from_the_start_is_left_too() -> None:
    session = opened(new())
    while session.phase is Phase.OPEN:
        beat(session)
        assert session.now_ms < 10_000
    assert session.now_ms == limits.manager_grace_periods * PERIOD_MS


def test_what_this_agent_slept_over_is_not_held_against_the_manager() -> None:
    session = opened(new())
    beat(session)
    hear(session, Alive())
    session.step(Tick(session.now_ms + 60_000))  # the process was stopped for a minute
    assert session.phase is Phase.OPEN
    hear(session, Alive())
    for _ in range(3):
        beat(session)
        hear(session, Alive())
    assert session.phase is Phase.OPEN


def test_a_manager_without_an_answer_is_given_less_time_where_there_are_others() -> None:
    session, waited = new(), []
    for _ in range(30):
        next_dial(session)
        waited.append(session.deadline_ms - session.now_ms)
        session.step(Tick(session.deadline_ms))
    assert waited[:3] == [limits.manager_answer_ms] * 3
    assert waited[-1] == limits.register_timeout_ms, "all may be busy: more time, in the end"


def test_all_managers_are_asked_before_a_pause_grows() -> None:
    session, asked = new(), []
    for _ in range(3):
        asked.append(next_dial(session))
        session.step(Disconnected(session.number, "refused"))
    assert set(asked) == set(ALL)
    assert session.now_ms < 3 * limits.reconnect_backoff_ms_min
    pauses = []
    for _ in range(60):
        next_dial(session)
        session.step(Disconnected(session.number, "refused"))
        pauses.append(session.dial_at_ms - session.now_ms)
    assert limits.search_pause_ms_max / 2 <= pauses[-1] <= limits.search_pause_ms_max


@pytest.mark.parametrize("seed", range(10))
def test_one_that_answers_is_asked_rather_than_those_that_are_dead(seed: int) -> None:
    session, asked = new(seed), list[str]()
    while session.now_ms < 60_000:
        asked.append(next_dial(session))
        if asked[-1] == B:
            hear(session, Redirect("", ALL))
        else:
            session.step(Tick(session.deadline_ms))
    assert asked.count(B) > len(asked) - asked.count(B)
    away = longest = 0
    for address in asked[10:]:
        away = 0 if address == B else away + 1
        longest = max(longest, away)
    assert longest <= 2, "it is soon back with the one that may lead next"


# --- what the node is to be ----------------------------------------------------------------------------


def test_a_change_of_role_or_of_managers_is_passed_on_to_coveyd_once() -> None:
    session = opened(new())
    assert hear(session, Membership(NodeRole.WORKER, ALL)) == []
    promoted = Membership(NodeRole.MANAGER, ALL)
    assert hear(session, promoted) == [Follow(promoted)]
    assert hear(session, promoted) == [], "while coveyd is at it"
    assert list(session.step(Followed(ok=True))) == []
    assert hear(session, promoted) == []


def test_the_order_of_managers_says_nothing() -> None:
    session = opened(new())
    assert not [e for e in hear(session, Membership(NodeRole.WORKER, (C, B, A))) if isinstance(e, Follow)]


def test_what_changes_while_coveyd_follows_is_passed_on_next() -> None:
    session = opened(new())
    promoted, demoted = Membership(NodeRole.MANAGER, ALL), Membership(NodeRole.WORKER, ALL)
    hear(session, promoted)
    assert hear(session, demoted) == []
    assert list(session.step(Followed(ok=True))) == [Follow(demoted)]


def test_coveyd_is_told_again_until_it_follows() -> None:
    session = opened(new())
    promoted = Membership(NodeRole.MANAGER, ALL)
    hear(session, promoted)
    pauses = []
    for _ in range(10):
        session.step(Followed(ok=False))
        due_ms = session.following.due_ms
        assert due_ms is not None
        pauses.append(due_ms - session.now_ms)
        told = list[Follow]()
        while not told:
            told = [effect for effect in beat(session) if isinstance(effect, Follow)]
            hear(session, Alive())
        assert told == [Follow(promoted)]
        assert session.now_ms == due_ms
    assert pauses[0] == limits.follow_retry_ms_min
    assert pauses[-1] == limits.follow_retry_ms_max


def test_it_is_told_also_while_there_is_no_session() -> None:
    session = opened(new())
    promoted = Membership(NodeRole.MANAGER, ALL)
    hear(session, promoted)
    session.step(Followed(ok=False))
    session.step(Disconnected(session.number, "cut"))
    due_ms = session.following.due_ms
    assert due_ms is not None
    assert session.wake_ms is not None
    assert session.wake_ms <= due_ms
    assert Follow(promoted) in session.step(Tick(due_ms))
