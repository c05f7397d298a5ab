"""Drained nodes: a task leaves once another is ready to take over, or when its node's time is up."""

import pytest
from msgspec.structs import replace

from covey.model.objects import Node, Task
from covey.model.specs import (
    ContainerSpec,
    Placement,
    RestartPolicy,
    ServiceMode,
    ServiceSpec,
    TaskSpec,
    UpdateConfig,
)
from covey.model.states import (
    Availability,
    HealthState,
    NodeState,
    ServiceModeKind,
    TaskState,
    UpdateOrder,
    UpdateState,
)
from tests.support.planner_cluster import PlannerCluster


def started(
    replicas: int = 2, order: UpdateOrder = UpdateOrder.STOP_FIRST, nodes: int = 2
) -> tuple[PlannerCluster, str]:
    """A service of which every task runs on n0; the other nodes come later."""
    cluster = PlannerCluster()
    cluster.node("n0")
    task = TaskSpec(container=ContainerSpec(image="web:1"), restart=RestartPolicy(delay_ns=2_000_000_000))
    spec = ServiceSpec(
        name="web", mode=ServiceMode(replicas=replicas), update=UpdateConfig(order=order), task=task
    )
    service_id = cluster.create(spec)
    cluster.run(1)
    assert len(cluster.running(service_id)) == replicas
    for number in range(1, nodes):
        cluster.node(f"n{number}")
    cluster.run(0.1)
    return cluster, service_id


def drain(cluster: PlannerCluster, node: str = "n0", deadline_s: float | None = None) -> None:
    cluster.set_node(node, availability=Availability.DRAIN, deadline_s=deadline_s)


def on(cluster: PlannerCluster, service_id: str, node: str) -> list[Task]:
    """What may still be running on a node, whatever is wanted of it."""
    return [t for t in cluster.tasks(service_id) if t.node_id == node and not t.status.state.terminal]


def hold(cluster: PlannerCluster, furthest: TaskState) -> None:
    """Have tasks come no further than a state."""
    cluster.holds = lambda task, state: furthest < state < TaskState.COMPLETE


def release(cluster: PlannerCluster) -> None:
    cluster.holds = lambda task, state: False


def test_with_stop_first_the_old_one_runs_until_the_follower_is_prepared() -> None:
    cluster, service_id = started()
    hold(cluster, TaskState.PREPARING)
    drain(cluster)
    cluster.run(30)
    assert len(cluster.running(service_id)) == 2, "the image is still being pulled"
    followers = [t for t in cluster.live(service_id) if t.node_id == "n1"]
    assert [t.desired_state for t in followers] == [TaskState.READY] * 2
    assert followers[0].status.state is TaskState.PREPARING
    release(cluster)
    cluster.run(1)
    assert cluster.spread(service_id) == {"n1": 2}
    assert on(cluster, service_id, "n0") == []
    assert [t.id for t in cluster.running(service_id)] == [t.id for t in followers]


def test_with_start_first_it_runs_until_the_follower_does() -> None:
    cluster, service_id = started(order=UpdateOrder.START_FIRST)
    drain(cluster)
    for _ in range(30):
        cluster.run(0.05, step_ms=50)
        assert len(cluster.running(service_id)) >= 2
    assert cluster.spread(service_id) == {"n1": 2}
    assert on(cluster, service_id, "n0") == []


def test_a_follower_that_is_unhealthy_takes_over_from_nobody() -> None:
    cluster, service_id = started(1, order=UpdateOrder.START_FIRST)
    hold(cluster, TaskState.STARTING)
    drain(cluster)
    cluster.run(1)
    follower = next(t for t in cluster.live(service_id) if t.node_id == "n1")
    status = replace(follower.status, state=TaskState.RUNNING, health=HealthState.UNHEALTHY)
    cluster.write(lambda draft: draft.put(replace(follower, status=status)))
    cluster.run(1)
    assert {t.node_id for t in cluster.live(service_id)} == {"n0", "n1"}
    cluster.report(follower, TaskState.FAILED)
    cluster.run(1)
    assert cluster.spread(service_id) == {"n0": 1}, "the next one comes after the restart delay"
    release(cluster)
    cluster.run(3)
    assert cluster.spread(service_id) == {"n1": 1}


def test_a_follower_without_a_place_keeps_the_old_one_until_the_deadline() -> None:
    cluster, service_id = started(1, nodes=1)
    drain(cluster, deadline_s=20)
    cluster.run(19)
    old, follower = sorted(cluster.live(service_id), key=lambda t: -t.status.state)
    assert (old.status.state, old.node_id) == (TaskState.RUNNING, "n0")
    assert follower.status.state is TaskState.PENDING
    assert "1 drained" in follower.status.err
    cluster.run(2)
    assert on(cluster, service_id, "n0") == []
    cluster.node("n1")
    cluster.run(1)
    assert cluster.running(service_id)[0].id == follower.id


def test_a_follower_that_fails_is_tried_again_after_a_while_and_nothing_stops() -> None:
    cluster, service_id = started(1)
    cluster.fails = lambda t: (
        TaskState.REJECTED if t.node_id == "n1" and t.status.state is TaskState.PREPARING else None
    )
    drain(cluster, deadline_s=100)
    cluster.run(9)
    assert len(cluster.running(service_id)) == 1
    tried = [t for t in cluster.tasks(service_id) if t.node_id == "n1"]
    assert 3 <= len(tried) <= 5, "one for each restart delay"
    cluster.fails = lambda t: None
    cluster.run(4)
    assert cluster.spread(service_id) == {"n1": 1}


@pytest.mark.parametrize("how", ["no deadline", "down", "removed"])
def test_what_waits_for_nothing(how: str) -> None:
    cluster, service_id = started()
    hold(cluster, TaskState.PREPARING)
    drain(cluster, deadline_s=0 if how == "no deadline" else None)
    if how == "down":
        cluster.set_node("n0", NodeState.DOWN)
    elif how == "removed":
        cluster.write(lambda draft: draft.delete(Node, "n0"))
    cluster.run(0.5)
    assert all(t.desired_state >= TaskState.SHUTDOWN for t in on(cluster, service_id, "n0"))
    assert cluster.spread(service_id) == {"n1": 2}


def test_a_node_that_goes_down_while_it_is_drained_is_left_at_once() -> None:
    cluster, service_id = started()
    hold(cluster, TaskState.PREPARING)
    drain(cluster)
    cluster.run(2)
    cluster.set_node("n0", NodeState.DOWN)
    release(cluster)
    cluster.run(1)
    assert len(cluster.running(service_id)) == 2
    assert cluster.spread(service_id) == {"n1": 2}


@pytest.mark.parametrize("order", list(UpdateOrder))
def test_a_node_used_again_keeps_what_still_runs_there(order: UpdateOrder) -> None:
    cluster, service_id = started(order=order)
    before = {t.id for t in cluster.running(service_id)}
    hold(cluster, TaskState.PREPARING)
    drain(cluster)
    cluster.run(2)
    cluster.set_node("n0", availability=Availability.ACTIVE)
    release(cluster)
    cluster.run(2)
    assert {t.id for t in cluster.running(service_id)} == before
    assert on(cluster, service_id, "n1") == []


def test_the_deadline_is_counted_anew_by_a_new_leader() -> None:
    cluster, service_id = started(1, nodes=1)
    drain(cluster, deadline_s=10)
    cluster.run(8)
    cluster.new_leader()
    cluster.run(8)
    assert len(on(cluster, service_id, "n0")) == 1
    cluster.run(3)
    assert on(cluster, service_id, "n0") == []
    assert len(cluster.live(service_id)) == 1, "the follower of the first leader is that of the second"


def test_a_deadline_that_is_changed_holds_from_when_the_drain_began() -> None:
    cluster, service_id = started(1, nodes=1)
    drain(cluster, deadline_s=100)
    cluster.run(8)
    cluster.set_node("n0", deadline_s=10)
    cluster.run(1)
    assert len(on(cluster, service_id, "n0")) == 1
    cluster.run(2)
    assert on(cluster, service_id, "n0") == []


def test_a_task_that_does_not_run_yet_goes_elsewhere_at_once() -> None:
    cluster, service_id = started(1)
    cluster.scale(service_id, 3)
    cluster.run(0.1)
    assert all(t.status.state < TaskState.RUNNING for t in on(cluster, service_id, "n1"))
    drain(cluster, "n1")
    cluster.run(0.1)
    assert on(cluster, service_id, "n1") == []
    cluster.run(1)
    assert cluster.spread(service_id) == {"n0": 3}


def test_a_global_service_leaves_at_once() -> None:
    cluster = PlannerCluster()
    for name in ("n0", "n1"):
        cluster.node(name)
    service_id = cluster.create(ServiceSpec(name="web", mode=ServiceMode(kind=ServiceModeKind.GLOBAL)))
    cluster.run(1)
    drain(cluster)
    cluster.run(0.3)
    assert cluster.spread(service_id) == {"n1": 1}
    cluster.set_node("n0", availability=Availability.ACTIVE)
    cluster.run(1)
    assert cluster.spread(service_id) == {"n0": 1, "n1": 1}


@pytest.mark.parametrize("kind", [ServiceModeKind.REPLICATED_JOB, ServiceModeKind.GLOBAL_JOB])
def test_tasks_of_jobs_go_on_until_the_deadline(kind: ServiceModeKind) -> None:
    cluster = PlannerCluster()
    cluster.node("n0")
    service_id = cluster.create(ServiceSpec(name="web", mode=ServiceMode(kind=kind)))
    cluster.finishes = lambda task: False
    cluster.run(1)
    cluster.node("n1")
    drain(cluster, deadline_s=10)
    cluster.run(9)
    (task,) = on(cluster, service_id, "n0")
    assert task.desired_state is TaskState.COMPLETE
    cluster.run(2)
    assert on(cluster, service_id, "n0") == []
    cluster.finishes = lambda task: True
    cluster.run(2)
    done = [t for t in cluster.tasks(service_id) if t.status.state is TaskState.COMPLETE]
    assert [t.node_id for t in done] == ["n1"]


def test_a_job_that_ends_in_time_is_done() -> None:
    cluster = PlannerCluster()
    cluster.node("n0")
    mode = ServiceMode(kind=ServiceModeKind.REPLICATED_JOB)
    service_id = cluster.create(ServiceSpec(name="web", mode=mode))
    cluster.finishes = lambda task: False
    cluster.run(1)
    cluster.node("n1")
    drain(cluster, deadline_s=10)
    cluster.run(5)
    cluster.finishes = lambda task: True
    cluster.run(10)
    assert [t.status.state for t in cluster.tasks(service_id)] == [TaskState.COMPLETE]


@pytest.mark.parametrize("order", list(UpdateOrder))
@pytest.mark.parametrize("tenths", range(0, 14, 2))
def test_a_drain_in_the_middle_of_a_rollout(order: UpdateOrder, tenths: int) -> None:
    cluster = PlannerCluster()
    for number in range(3):
        cluster.node(f"n{number}")
    update = UpdateConfig(order=order, parallelism=2)
    task = TaskSpec(container=ContainerSpec(image="web:1"))
    service_id = cluster.create(
        ServiceSpec(name="web", mode=ServiceMode(replicas=6), update=update, task=task)
    )
    cluster.run(1)
    cluster.update(
        service_id, lambda s: replace(s, task=replace(s.task, container=ContainerSpec(image="web:2")))
    )
    cluster.run(tenths / 10)
    drain(cluster)
    made = 0
    for _ in range(300):
        cluster.run(0.1)
        made = max(made, len(cluster.live(service_id)))
    assert cluster.service(service_id).update_status.state is UpdateState.COMPLETED
    generation = cluster.revision(service_id).restart_generation
    assert [cluster.generation(t) for t in cluster.running(service_id)] == [generation] * 6
    assert set(cluster.spread(service_id)) == {"n1", "n2"}
    assert made <= 12, "a place has at most a follower beside what runs"


def test_scaling_down_while_a_node_is_drained() -> None:
    cluster, service_id = started(4)
    hold(cluster, TaskState.PREPARING)
    drain(cluster)
    cluster.run(1)
    cluster.scale(service_id, 2)
    release(cluster)
    cluster.run(2)
    assert cluster.spread(service_id) == {"n1": 2}


def test_a_task_that_ends_while_its_follower_is_prepared() -> None:
    cluster, service_id = started(1)
    hold(cluster, TaskState.PREPARING)
    drain(cluster)
    cluster.run(1)
    cluster.report(on(cluster, service_id, "n0")[0], TaskState.FAILED)
    release(cluster)
    cluster.run(1)
    assert cluster.spread(service_id) == {"n1": 1}
    assert len(cluster.running(service_id)) == 1, "without the delay of restarts"


def test_the_node_of_a_follower_is_drained_too() -> None:
    cluster, service_id = started(2, nodes=3)
    hold(cluster, TaskState.PREPARING)
    drain(cluster)
    cluster.run(1)
    drain(cluster, "n1")
    release(cluster)
    cluster.run(2)
    assert cluster.spread(service_id) == {"n2": 2}
    assert len(cluster.running(service_id)) == 2


def test_scaling_down_takes_first_what_has_to_leave_anyway() -> None:
    cluster, service_id = started(2)
    cluster.scale(service_id, 4)
    cluster.run(1)
    assert cluster.spread(service_id) == {"n0": 2, "n1": 2}
    hold(cluster, TaskState.PREPARING)
    drain(cluster)
    cluster.scale(service_id, 2)
    cluster.run(1)
    assert cluster.spread(service_id) == {"n1": 2}
    assert len(cluster.running(service_id)) == 2


def test_constraints_that_exclude_a_drained_node_bring_the_same_follower() -> None:
    cluster, service_id = started(2)
    hold(cluster, TaskState.PREPARING)
    drain(cluster)
    cluster.run(1)
    before = {t.id for t in cluster.live(service_id)}
    placement = Placement(constraints=("node.hostname != n0",))
    cluster.update(service_id, lambda s: replace(s, task=replace(s.task, placement=placement)))
    cluster.run(1)
    assert {t.id for t in cluster.live(service_id)} == before
    release(cluster)
    cluster.run(1)
    assert cluster.spread(service_id) == {"n1": 2}
    assert {t.id for t in cluster.running(service_id)} < before


@pytest.mark.parametrize("others", [0, 1])
def test_the_last_that_serves_waits_for_a_follower_that_does(others: int) -> None:
    cluster = PlannerCluster()
    cluster.node("n0")
    service_id = cluster.create(ServiceSpec(name="web", mode=ServiceMode(replicas=3)))
    cluster.run(1)
    cluster.node("n1")
    if others:
        cluster.scale(service_id, 4)
        cluster.run(1)
    cluster.set_node("n0", availability=Availability.DRAIN)
    fewest = 3
    for _ in range(40):
        cluster.run(0.1)
        fewest = min(fewest, len(cluster.running(service_id)))
    assert fewest >= 1
    assert set(cluster.spread(service_id)) == {"n1"}
    assert len(cluster.running(service_id)) == 3 + others
