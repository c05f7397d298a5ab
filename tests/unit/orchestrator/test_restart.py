"""Restarts and starts: conditions, attempts, windows, delays, and the wait for the one before."""

import pytest
from msgspec.structs import replace

from covey import limits
from covey.model.objects import Node, Task
from covey.model.specs import ClusterSpec, RestartPolicy, ServiceMode, ServiceSpec
from covey.model.states import Availability, NodeState, RestartCondition, TaskState
from tests.support.planner_cluster import PlannerCluster

SECOND_NS = 1_000_000_000


def started(replicas: int = 1, nodes: int = 1, **policy: object) -> tuple[PlannerCluster, str]:
    cluster = PlannerCluster()
    for n in range(nodes):
        cluster.node(f"n{n}")
    spec = ServiceSpec(name="web", mode=ServiceMode(replicas=replicas))
    spec = replace(spec, task=replace(spec.task, restart=RestartPolicy(**policy)))
    service_id = cluster.create(spec)
    cluster.run(1)
    assert len(cluster.running(service_id)) == replicas
    return cluster, service_id


def end(cluster: PlannerCluster, service_id: str, state: TaskState = TaskState.FAILED) -> None:
    cluster.report(cluster.live(service_id)[0], state)
    cluster.plan()


@pytest.mark.parametrize(
    ("condition", "state", "follows"),
    [
        (RestartCondition.ANY, TaskState.COMPLETE, True),
        (RestartCondition.ANY, TaskState.FAILED, True),
        (RestartCondition.ON_FAILURE, TaskState.COMPLETE, False),
        (RestartCondition.ON_FAILURE, TaskState.REJECTED, True),
        (RestartCondition.NONE, TaskState.FAILED, False),
    ],
)
def test_the_condition_decides(condition: RestartCondition, state: TaskState, follows: bool) -> None:
    cluster, service_id = started(condition=condition)
    end(cluster, service_id, state)
    assert bool(cluster.live(service_id)) == follows


def test_a_replacement_is_prepared_at_once_and_started_after_the_delay() -> None:
    cluster, service_id = started(delay_ns=5 * SECOND_NS)
    end(cluster, service_id)
    cluster.run(4)
    (task,) = cluster.live(service_id)
    assert (task.desired_state, task.status.state) == (TaskState.READY, TaskState.READY)
    cluster.run(2)
    assert len(cluster.running(service_id)) == 1


def test_attempts_are_counted_on_the_tasks_so_a_new_leader_counts_on() -> None:
    cluster, service_id = started(max_attempts=2, delay_ns=0)
    for _ in range(2):
        end(cluster, service_id)
        cluster.run(1)
        cluster.new_leader()
        cluster.run(6)
    assert len(cluster.running(service_id)) == 1
    end(cluster, service_id)
    cluster.run(10)
    assert cluster.live(service_id) == []
    cluster.new_leader()
    cluster.run(10)
    assert cluster.live(service_id) == []


def test_with_a_window_only_recent_attempts_count() -> None:
    cluster, service_id = started(max_attempts=1, window_ns=30 * SECOND_NS, delay_ns=0)
    end(cluster, service_id)
    cluster.run(31, step_ms=1000)
    end(cluster, service_id)
    cluster.run(1)
    assert len(cluster.running(service_id)) == 1, "the first restart was too long ago to count"
    end(cluster, service_id)
    cluster.run(60, step_ms=1000)
    assert cluster.live(service_id) == []


def test_a_more_generous_policy_revives_a_spent_place_without_an_update() -> None:
    cluster, service_id = started(condition=RestartCondition.NONE)
    end(cluster, service_id)
    assert cluster.live(service_id) == []
    cluster.update(service_id, lambda s: replace(s, task=replace(s.task, restart=RestartPolicy())))
    cluster.run(1)
    assert len(cluster.running(service_id)) == 1
    assert cluster.service(service_id).update_status.message == ""


def test_a_task_on_a_drained_node_is_waited_for_a_minute() -> None:
    cluster, service_id = started(nodes=2)
    home = cluster.running(service_id)[0].node_id
    cluster.silent = {home}
    cluster.set_node(home, availability=Availability.DRAIN, deadline_s=0)
    cluster.run(59, step_ms=1000)
    assert [t.desired_state for t in cluster.live(service_id)] == [TaskState.READY]
    cluster.run(3)
    assert len(cluster.running(service_id)) == 1


def test_a_task_lost_with_its_node_is_not_waited_for() -> None:
    cluster, service_id = started(nodes=2, delay_ns=60 * SECOND_NS)
    home = cluster.running(service_id)[0].node_id
    cluster.set_node(home, NodeState.DOWN)
    before = cluster.commits
    cluster.plan()
    (task,) = cluster.live(service_id)
    assert (task.desired_state, task.status.state) == (TaskState.RUNNING, TaskState.ASSIGNED)
    assert cluster.commits == before + 1
    old = [t for t in cluster.tasks(service_id) if t.node_id == home]
    assert [t.desired_state for t in old] == [TaskState.SHUTDOWN]


def test_tasks_of_a_node_that_stays_down_are_orphaned_after_a_day() -> None:
    cluster, service_id = started(nodes=2)
    home = cluster.running(service_id)[0].node_id
    cluster.set_node(home, NodeState.DOWN)
    cluster.run(1)
    cluster.now_ms += limits.orphan_after_ms - 10_000
    cluster.run(1)
    states = {t.node_id: t.status.state for t in cluster.tasks(service_id)}
    assert states[home] is TaskState.RUNNING
    cluster.run(20, step_ms=1000)
    states = {t.node_id: t.status.state for t in cluster.tasks(service_id)}
    assert states[home] is TaskState.ORPHANED


def test_tasks_of_a_removed_node_are_orphaned_at_once() -> None:
    cluster, service_id = started(nodes=2)
    home = cluster.running(service_id)[0].node_id
    cluster.write(lambda draft: draft.delete(Node, home))
    cluster.plan()
    assert {t.status.state for t in cluster.tasks(service_id) if t.node_id == home} == {TaskState.ORPHANED}


def test_a_removed_service_on_a_dead_node_goes_with_the_node() -> None:
    cluster, service_id = started()
    cluster.set_node("n0", NodeState.DOWN)
    cluster.remove(service_id)
    cluster.run(5)
    assert [t.desired_state for t in cluster.tasks(service_id)] == [TaskState.REMOVE]
    cluster.write(lambda draft: draft.delete(Node, "n0"))
    cluster.run(1)
    assert list(cluster.tables.all(Task)) == []


@pytest.mark.parametrize("history", [0, 1, 3])
def test_a_place_keeps_its_newest_tasks(history: int) -> None:
    cluster = PlannerCluster(spec=ClusterSpec(task_history_per_slot=history))
    cluster.node("n0")
    spec = ServiceSpec(name="web")
    service_id = cluster.create(replace(spec, task=replace(spec.task, restart=RestartPolicy(delay_ns=0))))
    for _ in range(6):
        cluster.run(1)
        end(cluster, service_id, TaskState.COMPLETE)
    cluster.run(1)
    assert len(cluster.tasks(service_id)) == max(history, 1)
    assert len(cluster.running(service_id)) == 1


def test_the_last_word_on_a_spent_place_is_kept_while_an_older_task_still_stops() -> None:
    cluster = PlannerCluster(spec=ClusterSpec(task_history_per_slot=1))
    cluster.node("n0")
    cluster.node("n1")
    spec = ServiceSpec(name="web")
    once = RestartPolicy(condition=RestartCondition.NONE)
    service_id = cluster.create(replace(spec, task=replace(spec.task, restart=once)))
    cluster.run(1)
    home = cluster.running(service_id)[0].node_id
    cluster.silent = {home}
    cluster.set_node(home, availability=Availability.DRAIN)
    cluster.run(70, step_ms=1000)
    end(cluster, service_id)
    cluster.run(5)
    assert cluster.live(service_id) == []
    assert {t.status.state for t in cluster.tasks(service_id)} == {TaskState.RUNNING, TaskState.FAILED}


@pytest.mark.parametrize("history", [1, 5])
def test_attempts_begin_anew_with_a_rollback_whatever_is_kept_of_the_past(history: int) -> None:
    cluster = PlannerCluster(spec=ClusterSpec(task_history_per_slot=history))
    cluster.node("n0")
    policy = RestartPolicy(delay_ns=0, max_attempts=1)
    spec = ServiceSpec(name="web", mode=ServiceMode(replicas=1))
    service_id = cluster.create(replace(spec, task=replace(spec.task, restart=policy)))
    cluster.run(1)
    for _ in range(2):
        cluster.report(cluster.running(service_id)[0], TaskState.FAILED)
        cluster.run(1)
    assert cluster.running(service_id) == [], "spent"
    cluster.update(service_id, lambda before: before, force=True)
    cluster.run(10)
    cluster.roll_back(service_id)
    cluster.run(10)
    cluster.report(cluster.running(service_id)[0], TaskState.FAILED)
    cluster.run(2)
    assert len(cluster.running(service_id)) == 1, "that was the first of two attempts"
    cluster.report(cluster.running(service_id)[0], TaskState.FAILED)
    cluster.run(2)
    assert cluster.running(service_id) == []
