from itertools import product
from typing import Any

import pytest

from agent.tasks.lifecycle import (
    OVER,
    Act,
    Become,
    Box,
    Ended,
    Goal,
    Leave,
    Situation,
    Stop,
    Wait,
    goal_of,
    next_step,
)
from covey.model.states import HealthState, TaskState

S = TaskState
YES_NO = (False, True)
ALL = [
    Situation(
        state=state,
        goal=goal,
        box=box,
        stop=stop,
        image=image,
        attached=attached,
        joined=joined,
        tables=tables,
        failed=failed,
        leave=leave,
        health=health,
        done=done,
    )
    for state, goal, box, stop, image, attached, joined, tables, failed, leave, health, done in product(
        TaskState, Goal, Box, Stop, YES_NO, YES_NO, YES_NO, YES_NO, YES_NO, Leave, HealthState, YES_NO
    )
    if attached or not joined
    if not (done and box is not Box.EXITED)
    if health is not HealthState.STARTING or state is S.STARTING  # that it is checked says no more elsewhere
]


def test_every_situation_has_a_step_and_states_only_rise() -> None:
    for situation in ALL:
        step = next_step(situation)
        if isinstance(step, Become):
            assert step.state > situation.state, situation
        if isinstance(step, Ended):
            assert situation.state < S.COMPLETE


def test_a_container_is_started_only_in_starting() -> None:
    starting = [s for s in ALL if next_step(s) is Act.START]
    assert starting
    assert all(s.state is S.STARTING and s.box is Box.CREATED and s.goal <= Goal.RUN for s in starting)


def test_nothing_rises_towards_running_once_the_task_is_to_end() -> None:
    for situation in ALL:
        if situation.goal >= Goal.STOP:
            step = next_step(situation)
            assert step not in (Act.PULL, Act.ATTACH, Act.CREATE, Act.START)
            ends = (S.COMPLETE, S.SHUTDOWN) if situation.done else (S.SHUTDOWN,)
            assert not isinstance(step, Become) or step.state in ends


def test_an_ended_task_keeps_its_log_until_it_is_forgotten_but_no_network() -> None:
    for situation in ALL:
        if situation.state in OVER and situation.box is Box.EXITED:
            step = next_step(situation)
            if situation.attached:
                assert step is Act.RELEASE
            else:
                assert step == (Act.DISCARD if situation.goal is Goal.FORGET else Wait())


def test_nobody_who_is_used_is_asked_to_end() -> None:
    """A running task gets no signal while it is offered anything; and only an unhealthy one while it is busy."""
    for situation in ALL:
        if situation.state is S.RUNNING and situation.box is Box.RUNNING and situation.stop is Stop.NOT_ASKED:
            step = next_step(situation)
            if step in (Act.SIGNAL, Act.KILL):
                unwell = situation.health is HealthState.UNHEALTHY and situation.goal <= Goal.RUN
                assert situation.leave is Leave.DONE or (unwell and situation.leave is Leave.BUSY)


def test_only_the_healthy_run_and_the_unhealthy_fail() -> None:
    for situation in ALL:
        step = next_step(situation)
        if step == Become(S.RUNNING):
            assert situation.health in (HealthState.NONE, HealthState.HEALTHY)
        if (
            situation.health is HealthState.UNHEALTHY
            and situation.box is Box.RUNNING
            and not situation.failed
        ):
            assert step != Become(S.FAILED), "first it has to end"
            assert step != Ended()


RUNS: dict[str, Any] = {"state": S.RUNNING, "box": Box.RUNNING}
LEAVES: dict[str, Any] = {**RUNS, "goal": Goal.STOP}
UNWELL: dict[str, Any] = {**RUNS, "health": HealthState.UNHEALTHY}


@pytest.mark.parametrize(
    ("situation", "step"),
    [
        (Situation(state=S.ASSIGNED), Become(S.ACCEPTED)),
        (Situation(state=S.PREPARING), Act.PULL),
        (Situation(state=S.PREPARING, image=True), Act.ATTACH),
        (Situation(state=S.PREPARING, image=True, attached=True), Act.ATTACH),
        (Situation(state=S.PREPARING, image=True, attached=True, joined=True), Act.CREATE),
        (Situation(state=S.PREPARING, box=Box.EXITED), Act.DISCARD),
        (Situation(state=S.READY, goal=Goal.HOLD, box=Box.CREATED), Wait()),
        (Situation(state=S.READY, box=Box.CREATED, tables=False), Wait()),
        (Situation(state=S.READY, box=Box.CREATED), Become(S.STARTING)),
        (Situation(state=S.STARTING, box=Box.CREATED), Act.START),
        (Situation(state=S.STARTING, box=Box.RUNNING), Become(S.RUNNING)),
        (Situation(state=S.STARTING, box=Box.RUNNING, health=HealthState.STARTING), Wait()),
        (Situation(state=S.STARTING, box=Box.RUNNING, health=HealthState.HEALTHY), Become(S.RUNNING)),
        (Situation(state=S.STARTING, box=Box.RUNNING, health=HealthState.UNHEALTHY), Act.SIGNAL),
        (Situation(state=S.STARTING, box=Box.EXITED, health=HealthState.UNHEALTHY), Become(S.FAILED)),
        (Situation(**UNWELL, leave=Leave.PORTS), Act.CLOSE),
        (Situation(**UNWELL, leave=Leave.OFFERED), Wait()),
        (Situation(**UNWELL, leave=Leave.BUSY), Act.SIGNAL),
        (Situation(**UNWELL, stop=Stop.ASKED), Wait()),
        (Situation(**UNWELL, stop=Stop.OVERDUE), Act.KILL),
        (Situation(**LEAVES, leave=Leave.PORTS), Act.CLOSE),
        (Situation(**LEAVES, leave=Leave.OFFERED), Wait()),
        (Situation(**LEAVES, leave=Leave.BUSY), Act.DRAIN),
        (Situation(**LEAVES, leave=Leave.BUSY, stop=Stop.OVERDUE), Act.KILL),
        (Situation(state=S.STARTING), Become(S.FAILED)),
        (Situation(state=S.RUNNING), Become(S.FAILED)),
        (Situation(state=S.RUNNING, box=Box.EXITED), Ended()),
        (Situation(state=S.PREPARING, failed=True), Become(S.REJECTED)),
        (Situation(state=S.STARTING, box=Box.CREATED, failed=True), Become(S.FAILED)),
        (Situation(state=S.RUNNING, goal=Goal.STOP, box=Box.RUNNING), Act.SIGNAL),
        (Situation(state=S.RUNNING, goal=Goal.STOP, box=Box.RUNNING, stop=Stop.ASKED), Wait()),
        (Situation(state=S.RUNNING, goal=Goal.STOP, box=Box.RUNNING, stop=Stop.OVERDUE), Act.KILL),
        (Situation(state=S.RUNNING, goal=Goal.STOP, box=Box.EXITED), Become(S.SHUTDOWN)),
        (Situation(state=S.FAILED, box=Box.CREATED), Act.DISCARD),
        (Situation(state=S.FAILED, goal=Goal.FORGET), Act.ERASE),
    ],
)
def test_the_step_in_one_situation(situation: Situation, step: object) -> None:
    assert next_step(situation) == step


def test_what_desired_states_want() -> None:
    assert goal_of(S.READY) is Goal.HOLD
    assert goal_of(S.RUNNING) is goal_of(S.COMPLETE) is Goal.RUN
    assert goal_of(S.SHUTDOWN) is goal_of(S.REMOVE) is Goal.STOP
