"""Reasons that outlive the next status of a task."""

import pytest

from covey.model.objects import Task, TaskStatus
from covey.model.reasons import with_reason
from covey.model.states import TaskState as S

WAITS = TaskStatus(S.NEW, "restarting 40 s after it ended, 6 times in a row: exit code 1")
STOPS = TaskStatus(S.RUNNING, "running", "stopped: node a no longer satisfies node.labels.disk == ssd")


@pytest.mark.parametrize("state", [S.PENDING, S.ASSIGNED, S.ACCEPTED, S.PREPARING, S.READY])
def test_why_a_task_is_held_back_stands_until_it_starts(state: S) -> None:
    task = Task(desired_state=S.READY, status=WAITS, quick_ends=6)
    after = with_reason(task, TaskStatus(state, "on the way", "no room", 7))
    assert after == TaskStatus(state, WAITS.message, "no room", 7)


@pytest.mark.parametrize(
    ("desired", "state", "quick_ends"),
    [(S.RUNNING, S.STARTING, 6), (S.READY, S.REJECTED, 6), (S.READY, S.READY, 0), (S.COMPLETE, S.READY, 6)],
)
def test_but_no_longer(desired: S, state: S, quick_ends: int) -> None:
    task = Task(desired_state=desired, status=WAITS, quick_ends=quick_ends)
    assert with_reason(task, TaskStatus(state, "on the way")).message == "on the way"


@pytest.mark.parametrize("state", [S.RUNNING, S.SHUTDOWN])
def test_why_a_task_was_stopped_stands_for_good(state: S) -> None:
    task = Task(desired_state=S.SHUTDOWN, status=STOPS)
    assert with_reason(task, TaskStatus(state, "stopped")).err == STOPS.err


def test_what_its_agent_has_to_say_comes_first() -> None:
    task = Task(desired_state=S.SHUTDOWN, status=STOPS)
    assert with_reason(task, TaskStatus(S.FAILED, "failed", "exit code 1")).err == "exit code 1"


def test_an_error_that_is_over_goes() -> None:
    task = Task(desired_state=S.RUNNING, status=TaskStatus(S.PENDING, "", "no suitable node"))
    assert with_reason(task, TaskStatus(S.ASSIGNED, "the scheduler chose a node")).err == ""
