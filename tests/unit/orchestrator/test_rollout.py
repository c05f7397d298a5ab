"""Rollouts: how many at once, in which order, what counts as failure, and who may interrupt."""

import pytest
from msgspec.structs import replace

from covey import limits
from covey.errors import Conflict
from covey.model.objects import Revision, Task
from covey.model.specs import ContainerSpec, RestartPolicy, ServiceMode, ServiceSpec, UpdateConfig
from covey.model.states import FailureAction, NodeState, TaskState, UpdateOrder, UpdateState
from manager.store.transaction import Commit, Transaction
from manager.store.view import BY_SERVICE
from tests.support.planner_cluster import PlannerCluster

SECOND_NS = 1_000_000_000


def started(replicas: int = 4, nodes: int = 2, **update: object) -> tuple[PlannerCluster, str]:
    cluster = PlannerCluster()
    for n in range(nodes):
        cluster.node(f"n{n}")
    spec = ServiceSpec(name="web", mode=ServiceMode(replicas=replicas), update=UpdateConfig(**update))
    service_id = cluster.create(with_image(spec, "web:1"))
    cluster.run(1)
    return cluster, service_id


def with_image(spec: ServiceSpec, image: str) -> ServiceSpec:
    return replace(spec, task=replace(spec.task, container=ContainerSpec(image=image)))


def update(cluster: PlannerCluster, service_id: str, image: str) -> None:
    cluster.update(service_id, lambda spec: with_image(spec, image))


def image_of(cluster: PlannerCluster, task: Task) -> str:
    revision = cluster.tables.get(Revision, task.revision_id)
    assert revision is not None
    return revision.spec.task.container.image


def images(cluster: PlannerCluster, service_id: str) -> list[str]:
    return [image_of(cluster, task) for task in cluster.running(service_id)]


def break_image(cluster: PlannerCluster, image: str, *, state: TaskState = TaskState.FAILED) -> None:
    def ends(task: Task) -> TaskState | None:
        about_to = task.status.state >= TaskState.READY and task.desired_state is TaskState.RUNNING
        return state if about_to and image_of(cluster, task) == image else None

    cluster.fails = ends


@pytest.mark.parametrize("parallelism", [1, 2, 3])
def test_never_more_than_the_parallelism_are_missing(parallelism: int) -> None:
    cluster, service_id = started(6, parallelism=parallelism)
    update(cluster, service_id, "web:2")
    fewest = 6
    while cluster.service(service_id).update_status.state is not UpdateState.COMPLETED:
        cluster.run(0.1)
        fewest = min(fewest, len(cluster.running(service_id)))
    assert fewest == 6 - parallelism
    assert images(cluster, service_id) == ["web:2"] * 6


def test_parallelism_zero_is_all_at_once() -> None:
    cluster, service_id = started(5, parallelism=0)
    update(cluster, service_id, "web:2")
    cluster.run(1)
    assert images(cluster, service_id) == ["web:2"] * 5


def test_start_first_never_has_fewer_running_than_asked() -> None:
    cluster, service_id = started(4, order=UpdateOrder.START_FIRST, parallelism=2)
    update(cluster, service_id, "web:2")
    while cluster.service(service_id).update_status.state is not UpdateState.COMPLETED:
        cluster.run(0.1)
        assert len(cluster.running(service_id)) >= 4
    assert images(cluster, service_id) == ["web:2"] * 4


def test_between_two_places_the_delay_passes() -> None:
    cluster, service_id = started(2, delay_ns=10 * SECOND_NS)
    update(cluster, service_id, "web:2")
    cluster.run(9)
    assert sorted(images(cluster, service_id)) == ["web:1", "web:2"]
    cluster.run(4)
    assert images(cluster, service_id) == ["web:2"] * 2


def test_an_image_that_cannot_be_had_stops_nothing_that_runs() -> None:
    cluster, service_id = started(3)

    def rejects(task: Task) -> TaskState | None:
        pulling = task.status.state is TaskState.PREPARING
        return TaskState.REJECTED if pulling and image_of(cluster, task) == "none:1" else None

    cluster.fails = rejects
    update(cluster, service_id, "none:1")
    cluster.run(30)
    assert images(cluster, service_id) == ["web:1"] * 3
    status = cluster.service(service_id).update_status
    assert status.state is UpdateState.PAUSED
    assert status.message.startswith("update paused due to failure or early termination of task ")
    assert len(cluster.live(service_id)) == 3


def test_a_task_that_ends_within_the_monitor_period_is_a_failure() -> None:
    cluster, service_id = started(3, monitor_ns=5 * SECOND_NS)
    update(cluster, service_id, "web:2")
    cluster.run(1)
    new = next(t for t in cluster.running(service_id) if image_of(cluster, t) == "web:2")
    cluster.report(new, TaskState.FAILED)
    cluster.run(1)
    assert cluster.service(service_id).update_status.state is UpdateState.PAUSED


def test_a_task_that_ends_later_is_none() -> None:
    cluster, service_id = started(2, monitor_ns=2 * SECOND_NS, delay_ns=SECOND_NS)
    update(cluster, service_id, "web:2")
    cluster.run(3)
    new = next(t for t in cluster.running(service_id) if image_of(cluster, t) == "web:2" and t.slot == 1)
    cluster.run(0.5)
    cluster.report(new, TaskState.FAILED)
    cluster.run(20)
    assert cluster.service(service_id).update_status.state is UpdateState.COMPLETED


def test_failures_up_to_the_ratio_are_borne() -> None:
    cluster, service_id = started(4, max_failure_ratio=0.25, parallelism=4)
    update(cluster, service_id, "web:2")
    cluster.run(1)
    cluster.report(cluster.running(service_id)[0], TaskState.FAILED)
    cluster.run(20)
    assert cluster.service(service_id).update_status.state is UpdateState.COMPLETED
    assert images(cluster, service_id) == ["web:2"] * 4


def test_continue_goes_through_with_it() -> None:
    cluster, service_id = started(3, failure_action=FailureAction.CONTINUE)
    break_image(cluster, "web:2")
    update(cluster, service_id, "web:2")
    cluster.run(60)
    assert images(cluster, service_id) == []
    assert cluster.service(service_id).update_status.state is not UpdateState.PAUSED


def test_rollback_brings_the_old_tasks_back_and_rolls_back_no_further() -> None:
    cluster, service_id = started(3, failure_action=FailureAction.ROLLBACK)
    break_image(cluster, "web:2")
    update(cluster, service_id, "web:2")
    cluster.run(20)
    assert cluster.service(service_id).update_status.state is UpdateState.ROLLBACK_COMPLETED
    assert images(cluster, service_id) == ["web:1"] * 3
    assert cluster.revision(service_id).number == 3


def test_a_rollback_that_fails_too_pauses() -> None:
    cluster, service_id = started(2, failure_action=FailureAction.ROLLBACK)
    cluster.fails = lambda task: (
        TaskState.FAILED
        if task.desired_state is TaskState.RUNNING and task.status.state is TaskState.READY
        else None
    )
    update(cluster, service_id, "web:2")
    cluster.run(20)
    status = cluster.service(service_id).update_status
    assert status.state is UpdateState.ROLLBACK_PAUSED
    assert status.message.startswith("rollback paused")


def test_a_newer_update_takes_over() -> None:
    cluster, service_id = started(4, delay_ns=SECOND_NS)
    update(cluster, service_id, "web:2")
    cluster.run(2)
    update(cluster, service_id, "web:3")
    cluster.run(0.2)
    status = cluster.service(service_id).update_status
    assert status.state is UpdateState.UPDATING
    cluster.run(30)
    assert images(cluster, service_id) == ["web:3"] * 4
    assert cluster.service(service_id).update_status.state is UpdateState.COMPLETED


def test_an_update_of_a_paused_one_lets_it_go_on() -> None:
    cluster, service_id = started(2)
    break_image(cluster, "web:2")
    update(cluster, service_id, "web:2")
    cluster.run(10)
    assert cluster.service(service_id).update_status.state is UpdateState.PAUSED
    cluster.fails = lambda task: None
    cluster.update(service_id, lambda spec: replace(spec, labels={"again": "yes"}))
    cluster.run(20)
    assert images(cluster, service_id) == ["web:2"] * 2


def test_a_scale_during_a_rollout_disturbs_nothing() -> None:
    cluster, service_id = started(4, delay_ns=SECOND_NS)
    update(cluster, service_id, "web:2")
    cluster.run(2)
    cluster.scale(service_id, 6)
    cluster.run(1)
    assert len(cluster.live(service_id)) >= 6
    cluster.scale(service_id, 3)
    cluster.run(20)
    assert images(cluster, service_id) == ["web:2"] * 3
    assert cluster.service(service_id).update_status.state is UpdateState.COMPLETED


def test_a_new_leader_carries_on_at_every_moment() -> None:
    for tenths in range(1, 16):
        cluster, service_id = started(3)
        update(cluster, service_id, "web:2")
        cluster.run(tenths / 10)
        cluster.new_leader()
        cluster.run(25)
        assert images(cluster, service_id) == ["web:2"] * 3
        assert cluster.service(service_id).update_status.state is UpdateState.COMPLETED


def test_a_node_lost_during_a_rollout_is_no_failure() -> None:
    cluster, service_id = started(4, nodes=3, parallelism=2)
    update(cluster, service_id, "web:2")
    cluster.run(0.3)
    cluster.set_node("n0", NodeState.DOWN)
    cluster.run(30)
    assert images(cluster, service_id) == ["web:2"] * 4
    assert cluster.service(service_id).update_status.state is UpdateState.COMPLETED


def test_there_may_be_room_only_once_the_old_task_is_gone() -> None:
    cluster = PlannerCluster()
    cluster.node("n0", cpus=1)
    spec = ServiceSpec(name="web")
    resources = replace(
        spec.task.resources, reservations=replace(spec.task.resources.limits, nano_cpus=SECOND_NS)
    )
    service_id = cluster.create(
        with_image(replace(spec, task=replace(spec.task, resources=resources)), "web:1")
    )
    cluster.run(1)
    cluster.update(
        service_id, lambda s: replace(s, task=replace(s.task, container=ContainerSpec(image="web:2")))
    )
    cluster.run(10)
    assert images(cluster, service_id) == ["web:2"]


def test_a_restart_of_an_old_task_while_paused_stays_old() -> None:
    cluster, service_id = started(3)
    cluster.update(service_id, lambda s: replace(s, task=replace(s.task, restart=RestartPolicy(delay_ns=0))))
    break_image(cluster, "web:2", state=TaskState.FAILED)
    update(cluster, service_id, "web:2")
    cluster.run(5)
    old = cluster.running(service_id)
    assert len(old) == 2
    cluster.report(old[0], TaskState.FAILED)
    cluster.run(2)
    assert images(cluster, service_id) == ["web:1"] * 2


def test_old_revisions_go_but_not_those_that_tasks_still_have() -> None:
    cluster, service_id = started(1)
    for n in range(2, 20):
        cluster.scale(service_id, n % 3 + 1)
        cluster.run(0.1)
    numbers = [r.number for r in cluster.tables.find(Revision, BY_SERVICE, service_id)]
    assert 1 in numbers, "the first task still refers to it"
    assert len(numbers) <= 12


def test_a_refused_plan_holds_up_no_rollout(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster, service_id = started(4)
    update(cluster, service_id, "web:2")
    began_ms, commit = cluster.now_ms, cluster.tables.commit

    def refusing(transaction: Transaction, at_ns: int = 0) -> Commit:
        under_way = cluster.service(service_id).update_status.state is UpdateState.UPDATING
        begins = any(isinstance(item, Task) and not item.meta.version for item in transaction.put)
        if under_way and begins and cluster.refusals < 3:
            raise Conflict("something else in it has changed")
        return commit(transaction, at_ns)

    monkeypatch.setattr(cluster.tables, "commit", refusing)
    while images(cluster, service_id) != ["web:2"] * 4:
        cluster.run(0.1)
        assert cluster.now_ms - began_ms < limits.restart_delay_ns // 1_000_000, "it waits as after a failure"
    assert cluster.refusals == 3
