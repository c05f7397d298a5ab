"""Back-off: what keeps failing is started later and later, says so, and is forgiven once it runs."""

import pytest
from msgspec.structs import replace

from covey import limits
from covey.model.objects import Task
from covey.model.specs import RestartPolicy, ServiceSpec
from covey.model.states import NodeState, TaskState
from tests.support.planner_cluster import PlannerCluster

SECOND_NS = 1_000_000_000


def started(nodes: int = 1, **policy: object) -> tuple[PlannerCluster, str]:
    cluster = PlannerCluster()
    for n in range(nodes):
        cluster.node(f"n{n}")
    spec = ServiceSpec(name="web")
    service_id = cluster.create(replace(spec, task=replace(spec.task, restart=RestartPolicy(**policy))))
    cluster.run(1)
    return cluster, service_id


def only(cluster: PlannerCluster, service_id: str) -> Task:
    (task,) = cluster.live(service_id)
    return task


def fail(cluster: PlannerCluster, service_id: str, state: TaskState = TaskState.FAILED) -> Task:
    """Have the task end, and give the one that follows."""
    cluster.report(only(cluster, service_id), state, "exit code 1")
    cluster.run(0.5)
    return only(cluster, service_id)


def seconds_until_running(cluster: PlannerCluster, service_id: str) -> float:
    since_ms = cluster.now_ms
    while only(cluster, service_id).desired_state < TaskState.RUNNING:
        cluster.run(1, step_ms=1000)
    waited_ms = cluster.now_ms - since_ms
    cluster.run(0.3)
    return waited_ms / 1000


def about(*seconds: float) -> object:
    return pytest.approx(list(seconds), abs=1)


def test_after_some_quick_failures_the_delay_doubles_up_to_a_bound() -> None:
    cluster, service_id = started(delay_ns=5 * SECOND_NS)
    waited = []
    for _ in range(12):
        fail(cluster, service_id)
        waited.append(seconds_until_running(cluster, service_id))
    assert waited == about(5, 5, 5, 10, 20, 40, 80, 160, 300, 300, 300, 300)


def test_the_waiting_task_says_so_until_it_starts() -> None:
    cluster, service_id = started(delay_ns=5 * SECOND_NS)
    for _ in range(5):
        fail(cluster, service_id)
        seconds_until_running(cluster, service_id)
    task = fail(cluster, service_id)
    assert task.status.state is TaskState.READY
    assert task.status.message == "restarting 40 s after it ended, 6 times in a row: exit code 1"
    cluster.run(45)
    assert only(cluster, service_id).status.message == "running"


def test_without_a_delay_it_backs_off_all_the_same() -> None:
    cluster, service_id = started(delay_ns=0)
    waited = []
    for _ in range(6):
        fail(cluster, service_id)
        waited.append(seconds_until_running(cluster, service_id))
    assert waited == about(0, 0, 0, 2, 4, 8)


def test_a_new_leader_goes_on_counting() -> None:
    cluster, service_id = started(delay_ns=5 * SECOND_NS)
    for _ in range(4):
        fail(cluster, service_id)
        seconds_until_running(cluster, service_id)
    task = fail(cluster, service_id)
    assert task.quick_ends == 5
    cluster.new_leader()
    assert 15 <= seconds_until_running(cluster, service_id) <= 21, "it waits the delay anew, all of it"
    assert fail(cluster, service_id).quick_ends == 6


def test_one_that_ran_for_a_while_is_forgiven() -> None:
    cluster, service_id = started(delay_ns=SECOND_NS)
    for _ in range(5):
        fail(cluster, service_id)
        seconds_until_running(cluster, service_id)
    cluster.run(limits.restart_stable_ms / 1000 + 1)
    assert fail(cluster, service_id).quick_ends == 0
    assert seconds_until_running(cluster, service_id) < 2


def test_one_that_completes_is_no_crash_loop() -> None:
    cluster, service_id = started(delay_ns=SECOND_NS)
    for _ in range(6):
        assert fail(cluster, service_id, TaskState.COMPLETE).quick_ends == 0
        seconds_until_running(cluster, service_id)


def test_an_update_begins_anew() -> None:
    cluster, service_id = started(delay_ns=SECOND_NS)
    for _ in range(6):
        fail(cluster, service_id)
        seconds_until_running(cluster, service_id)
    cluster.update(service_id, lambda spec: spec, force=True)
    cluster.run(20)
    assert only(cluster, service_id).quick_ends == 0


def test_a_longer_delay_than_the_bound_is_left_as_it_is() -> None:
    cluster, service_id = started(delay_ns=600 * SECOND_NS)
    fail(cluster, service_id)
    for _ in range(5):
        assert seconds_until_running(cluster, service_id) >= 599
        fail(cluster, service_id)


@pytest.mark.parametrize("state", [NodeState.DOWN, None])
def test_what_loses_its_node_while_it_waits_starts_elsewhere_at_once(state: NodeState | None) -> None:
    cluster, service_id = started(nodes=2, delay_ns=5 * SECOND_NS)
    for _ in range(5):
        fail(cluster, service_id)
        seconds_until_running(cluster, service_id)
    task = fail(cluster, service_id)
    cluster.set_node(task.node_id, NodeState.DOWN)
    cluster.run(2)
    (moved,) = cluster.running(service_id)
    assert moved.quick_ends == task.quick_ends, "that says nothing about whether it works"
