"""What a rollout takes for a failure, what it does then, and what it says."""

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from covey import limits
from covey.errors import Conflict
from covey.model.objects import Revision, Service, Task
from covey.model.specs import (
    ContainerSpec,
    EndpointSpec,
    Placement,
    ResourceRequirements,
    Resources,
    ServiceMode,
    ServiceSpec,
    TaskSpec,
    UpdateConfig,
)
from covey.model.states import Availability, FailureAction, HealthState, TaskState, UpdateOrder, UpdateState
from manager.store.transaction import Commit, Transaction
from tests.support.planner_cluster import PlannerCluster

SECOND_NS = 1_000_000_000
RESTART_S = limits.restart_delay_ns // SECOND_NS


def started(replicas: int = 3, nodes: int = 2, **update: Any) -> tuple[PlannerCluster, str]:
    cluster = PlannerCluster()
    for n in range(nodes):
        cluster.node(f"n{n}", cpus=4)
    config = UpdateConfig(**update)
    spec = ServiceSpec(
        name="web",
        mode=ServiceMode(replicas=replicas),
        task=TaskSpec(container=ContainerSpec(image="web:1")),
        update=config,
        rollback=replace(config, failure_action=FailureAction.PAUSE),
    )
    service_id = cluster.create(spec)
    cluster.run(1)
    return cluster, service_id


def new_task(cluster: PlannerCluster, service_id: str, **changes: object) -> None:
    cluster.update(service_id, lambda spec: replace(spec, task=replace(spec.task, **changes)))


def new_image(cluster: PlannerCluster, service_id: str, image: str = "web:2") -> None:
    new_task(cluster, service_id, container=ContainerSpec(image=image))


def image_of(cluster: PlannerCluster, task: Task) -> str:
    revision = cluster.tables.get(Revision, task.revision_id)
    assert revision is not None
    return revision.spec.task.container.image


def images(cluster: PlannerCluster, service_id: str) -> list[str]:
    return [image_of(cluster, task) for task in cluster.running(service_id)]


def state_of(cluster: PlannerCluster, service_id: str) -> UpdateState:
    return cluster.service(service_id).update_status.state


def message_of(cluster: PlannerCluster, service_id: str) -> str:
    return cluster.service(service_id).update_status.message


def hold(cluster: PlannerCluster, image: str, until: TaskState, slots: Callable[[int], bool]) -> None:
    """Have the tasks of an image come no further than a state, in some slots."""
    others = cluster.holds
    cluster.holds = lambda task, state: (
        others(task, state)
        or (image_of(cluster, task) == image and slots(task.slot) and until < state < TaskState.COMPLETE)
    )


def release(cluster: PlannerCluster) -> None:
    cluster.holds = lambda task, state: False


@pytest.mark.parametrize(
    ("until", "why"),
    [
        (TaskState.PREPARING, "its image and networks are not there yet"),
        (TaskState.READY, "it is READY"),
        (TaskState.STARTING, "it is STARTING"),
    ],
)
def test_a_task_that_does_not_come_up_in_time_has_failed(until: TaskState, why: str) -> None:
    cluster, service_id = started(start_deadline_ns=20 * SECOND_NS)
    hold(cluster, "web:2", until, lambda slot: True)
    new_image(cluster, service_id)
    cluster.run(19)
    assert state_of(cluster, service_id) is UpdateState.UPDATING
    cluster.run(2)
    assert state_of(cluster, service_id) is UpdateState.PAUSED
    message = message_of(cluster, service_id)
    assert message.startswith("update paused due to failure or early termination of task ")
    assert f"(not running within 20 s: {why})" in message
    assert message.endswith(
        "`covey service update web` lets it go on, `covey service rollback web` goes back"
    )


def test_a_task_that_finds_no_node_has_failed_and_says_what_it_waited_for() -> None:
    cluster, service_id = started(start_deadline_ns=20 * SECOND_NS)
    new_task(
        cluster,
        service_id,
        container=ContainerSpec(image="web:2"),
        placement=Placement(constraints=("node.labels.gpu == yes",)),
    )
    cluster.run(19)
    assert images(cluster, service_id) == ["web:1"] * 3, "there is no room behind any of them"
    cluster.run(2)
    assert state_of(cluster, service_id) is UpdateState.PAUSED
    assert "constraint 2 nodes: node.labels.gpu == yes" in message_of(cluster, service_id)
    assert images(cluster, service_id) == ["web:1"] * 3


@pytest.mark.parametrize("asked", [Resources(nano_cpus=99 * SECOND_NS), Resources(memory_bytes=1 << 50)])
def test_what_no_node_has_stops_nothing(asked: Resources) -> None:
    cluster, service_id = started(start_deadline_ns=5 * SECOND_NS)
    new_task(cluster, service_id, resources=ResourceRequirements(reservations=asked))
    cluster.run(10)
    assert state_of(cluster, service_id) is UpdateState.PAUSED
    assert images(cluster, service_id) == ["web:1"] * 3


def test_nodes_that_may_not_be_used_leave_no_room_either() -> None:
    cluster, service_id = started(start_deadline_ns=5 * SECOND_NS)
    for node in ("n0", "n1"):
        cluster.set_node(node, availability=Availability.PAUSE)
    new_image(cluster, service_id)
    cluster.run(3)
    assert images(cluster, service_id) == ["web:1"] * 3
    cluster.run(5)
    assert "2 paused" in message_of(cluster, service_id)


def test_without_a_deadline_it_is_waited_for() -> None:
    cluster, service_id = started(start_deadline_ns=0)
    hold(cluster, "web:2", TaskState.PREPARING, lambda slot: True)
    new_image(cluster, service_id)
    cluster.run(1000, step_ms=10_000)
    assert state_of(cluster, service_id) is UpdateState.UPDATING
    release(cluster)
    cluster.run(20)
    assert state_of(cluster, service_id) is UpdateState.COMPLETED


def test_with_continue_the_others_have_their_turn_and_the_late_one_takes_over_when_it_can() -> None:
    cluster, service_id = started(
        start_deadline_ns=10 * SECOND_NS, failure_action=FailureAction.CONTINUE, monitor_ns=SECOND_NS
    )
    hold(cluster, "web:2", TaskState.PREPARING, lambda slot: slot == 1)
    new_image(cluster, service_id)
    cluster.run(20)
    assert images(cluster, service_id) == ["web:1", "web:2", "web:2"]
    assert state_of(cluster, service_id) is UpdateState.UPDATING, "a place is half done"
    assert "1 failure so far, last task" in message_of(cluster, service_id)
    assert "(not running within 10 s: its image and networks are not there yet)" in message_of(
        cluster, service_id
    )
    pulling = [t.id for t in cluster.live(service_id) if t.status.state is TaskState.PREPARING]
    release(cluster)
    cluster.run(5)
    assert images(cluster, service_id) == ["web:2"] * 3
    assert cluster.running(service_id)[0].id == pulling[0], "its pull was not for nothing"
    assert state_of(cluster, service_id) is UpdateState.COMPLETED


def test_late_ones_that_come_up_together_go_on_a_few_at_a_time() -> None:
    cluster, service_id = started(
        6, start_deadline_ns=2 * SECOND_NS, failure_action=FailureAction.CONTINUE, parallelism=2
    )
    hold(cluster, "web:2", TaskState.PREPARING, lambda slot: True)
    new_image(cluster, service_id)
    cluster.run(10)
    assert len(cluster.live(service_id)) == 12
    release(cluster)
    fewest = 6
    for _ in range(200):
        cluster.run(0.1)
        fewest = min(fewest, len(cluster.running(service_id)))
    assert fewest == 4
    assert state_of(cluster, service_id) is UpdateState.COMPLETED


def test_with_continue_a_place_that_fails_is_tried_again_after_the_others() -> None:
    cluster, service_id = started(failure_action=FailureAction.CONTINUE, monitor_ns=SECOND_NS)
    cluster.fails = lambda task: (
        TaskState.REJECTED
        if image_of(cluster, task) == "web:2" and task.slot == 1 and task.status.state is TaskState.PREPARING
        else None
    )
    new_image(cluster, service_id)
    cluster.run(RESTART_S - 1)
    assert images(cluster, service_id) == ["web:1", "web:2", "web:2"]
    tried = [t for t in cluster.tasks(service_id) if t.slot == 1 and image_of(cluster, t) == "web:2"]
    assert len(tried) == 1
    cluster.run(RESTART_S)
    tried = [t for t in cluster.tasks(service_id) if t.slot == 1 and image_of(cluster, t) == "web:2"]
    assert len(tried) == 2, "again, once a restart's delay is over"
    cluster.fails = lambda task: None
    cluster.run(RESTART_S * 2)
    assert images(cluster, service_id) == ["web:2"] * 3
    assert state_of(cluster, service_id) is UpdateState.COMPLETED


def test_half_done_places_of_a_pause_are_put_in_order() -> None:
    cluster, service_id = started(4, parallelism=2, start_deadline_ns=5 * SECOND_NS)
    hold(cluster, "web:2", TaskState.PREPARING, lambda slot: slot == 1)
    hold(cluster, "web:2", TaskState.STARTING, lambda slot: slot == 2)
    new_image(cluster, service_id)
    cluster.run(10)
    assert state_of(cluster, service_id) is UpdateState.PAUSED
    assert [image_of(cluster, t) for t in cluster.live(service_id)] == ["web:1", "web:2", "web:1", "web:1"]
    release(cluster)
    cluster.run(10)
    assert images(cluster, service_id) == ["web:1", "web:2", "web:1", "web:1"], "what runs stays"


def test_a_paused_one_is_let_go_on() -> None:
    cluster, service_id = started(start_deadline_ns=5 * SECOND_NS)
    hold(cluster, "web:2", TaskState.PREPARING, lambda slot: True)
    new_image(cluster, service_id)
    cluster.run(10)
    assert state_of(cluster, service_id) is UpdateState.PAUSED
    release(cluster)
    cluster.resume(service_id)
    cluster.run(0.5)
    assert state_of(cluster, service_id) is UpdateState.UPDATING
    assert message_of(cluster, service_id) == "update in progress"
    cluster.run(20)
    assert images(cluster, service_id) == ["web:2"] * 3
    assert message_of(cluster, service_id) == "update completed"


def test_a_rollback_that_people_ask_for_goes_by_its_own_rules() -> None:
    cluster, service_id = started(4)
    cluster.update(service_id, lambda s: replace(s, rollback=UpdateConfig(parallelism=0)))
    new_image(cluster, service_id)
    cluster.run(10)
    cluster.roll_back(service_id)
    cluster.run(0.1)
    assert state_of(cluster, service_id) is UpdateState.ROLLBACK_STARTED
    assert message_of(cluster, service_id) == "manually requested rollback"
    cluster.run(1.5)
    assert images(cluster, service_id) == ["web:1"] * 4, "all at once"
    cluster.run(10)
    assert state_of(cluster, service_id) is UpdateState.ROLLBACK_COMPLETED
    assert cluster.revision(service_id).restores == 2


def test_a_rollback_by_number_past_several_updates() -> None:
    cluster, service_id = started(2)
    for number in range(2, 5):
        new_image(cluster, service_id, f"web:{number}")
        cluster.run(15)
    cluster.roll_back(service_id, 2)
    cluster.run(15)
    assert images(cluster, service_id) == ["web:2"] * 2
    cluster.roll_back(service_id)
    cluster.run(15)
    assert images(cluster, service_id) == ["web:4"] * 2, "the one before"


def test_a_rollback_takes_over_a_running_update_and_leaves_alone_what_is_right() -> None:
    cluster, service_id = started(4, delay_ns=SECOND_NS)
    untouched = cluster.live(service_id)[3].id
    new_image(cluster, service_id)
    cluster.run(2)
    assert "web:2" in images(cluster, service_id)
    cluster.roll_back(service_id)
    cluster.run(20)
    assert images(cluster, service_id) == ["web:1"] * 4
    assert cluster.live(service_id)[3].id == untouched
    assert state_of(cluster, service_id) is UpdateState.ROLLBACK_COMPLETED


def test_a_rollback_that_fails_pauses_and_is_let_go_on_as_a_rollback() -> None:
    cluster, service_id = started(2, start_deadline_ns=5 * SECOND_NS)
    new_image(cluster, service_id)
    cluster.run(15)
    hold(cluster, "web:1", TaskState.STARTING, lambda slot: True)
    cluster.roll_back(service_id)
    cluster.run(10)
    assert state_of(cluster, service_id) is UpdateState.ROLLBACK_PAUSED
    message = message_of(cluster, service_id)
    assert message.startswith("rollback paused due to failure or early termination of task ")
    assert message.endswith("; `covey service update web` lets it go on")
    release(cluster)
    cluster.resume(service_id)
    cluster.run(0.2)
    assert message_of(cluster, service_id) == "rollback in progress"
    cluster.run(20)
    assert images(cluster, service_id) == ["web:1"] * 2
    assert state_of(cluster, service_id) is UpdateState.ROLLBACK_COMPLETED


def test_a_failed_update_rolls_back_and_says_why() -> None:
    cluster, service_id = started(2, start_deadline_ns=5 * SECOND_NS, failure_action=FailureAction.ROLLBACK)
    hold(cluster, "web:2", TaskState.STARTING, lambda slot: True)
    new_image(cluster, service_id)
    cluster.run(6)
    assert state_of(cluster, service_id) is UpdateState.ROLLBACK_STARTED
    message = message_of(cluster, service_id)
    assert message.startswith("rolling back update due to failure or early termination of task ")
    assert message.endswith("(not running within 5 s: it is STARTING)")
    back = cluster.revision(service_id)
    assert (back.restores, back.author) == (1, "covey")
    cluster.run(15)
    assert message_of(cluster, service_id) == "rollback completed"
    assert images(cluster, service_id) == ["web:1"] * 2


def test_a_task_found_unhealthy_soon_is_a_failure_before_it_has_ended() -> None:
    cluster, service_id = started(3, order=UpdateOrder.START_FIRST)
    new_image(cluster, service_id)
    hold(cluster, "web:2", TaskState.STARTING, lambda slot: True)
    cluster.run(2)
    new = next(t for t in cluster.live(service_id) if image_of(cluster, t) == "web:2")
    status = replace(
        new.status, state=TaskState.RUNNING, health=HealthState.UNHEALTHY, err="unhealthy: no answer"
    )
    cluster.write(lambda draft: draft.put(replace(new, status=status)))
    cluster.run(0.2)
    assert state_of(cluster, service_id) is UpdateState.PAUSED
    assert "(unhealthy: no answer)" in message_of(cluster, service_id)
    assert [image_of(cluster, t) for t in cluster.live(service_id)] == ["web:1"] * 3


def test_only_tasks_of_the_rollout_can_fail_it() -> None:
    cluster, service_id = started(4, delay_ns=2 * SECOND_NS)
    new_image(cluster, service_id)
    cluster.run(5)
    cluster.roll_back(service_id)
    cluster.run(0.3)
    bystander = cluster.running(service_id)[-1]
    assert image_of(cluster, bystander) == "web:1"
    cluster.report(bystander, TaskState.FAILED)
    cluster.run(40)
    assert state_of(cluster, service_id) is UpdateState.ROLLBACK_COMPLETED


def test_restarts_of_one_that_failed_count_no_more() -> None:
    cluster, service_id = started(4, max_failure_ratio=0.25, parallelism=4)
    cluster.fails = lambda task: (
        TaskState.FAILED
        if image_of(cluster, task) == "web:2" and task.slot == 1 and task.status.state is TaskState.RUNNING
        else None
    )
    new_image(cluster, service_id)
    cluster.run(30)
    assert state_of(cluster, service_id) is UpdateState.COMPLETED


@pytest.mark.parametrize(
    "change",
    [
        lambda s: replace(s, update=UpdateConfig(parallelism=3, start_deadline_ns=1)),
        lambda s: replace(s, rollback=UpdateConfig(order=UpdateOrder.START_FIRST)),
        lambda s: replace(s, endpoint=EndpointSpec(drain_ns=1)),
        lambda s: replace(s, labels={"a": "b"}),
        lambda s: replace(s, mode=ServiceMode(replicas=4)),
    ],
)
def test_nothing_restarts_for_what_only_managers_act_on(change: Callable[[ServiceSpec], ServiceSpec]) -> None:
    cluster, service_id = started(3)
    before = {t.id for t in cluster.running(service_id)}
    cluster.update(service_id, change)
    cluster.run(20)
    assert before <= {t.id for t in cluster.running(service_id)}
    assert state_of(cluster, service_id) is UpdateState.NONE


def test_the_old_one_is_waited_for_as_long_as_it_may_take_to_stop() -> None:
    cluster, service_id = started(1, nodes=1, start_deadline_ns=30 * SECOND_NS)
    slow = ContainerSpec(image="web:1", stop_grace_ns=200 * SECOND_NS)
    new_task(cluster, service_id, container=slow)
    cluster.run(10)
    cluster.update(service_id, lambda s: replace(s, endpoint=EndpointSpec(drain_ns=100 * SECOND_NS)))
    cluster.holds = lambda task, state: image_of(cluster, task) == "web:1"
    new_image(cluster, service_id)
    cluster.run(300, step_ms=1000)
    assert images(cluster, service_id) == []
    assert [t.desired_state for t in cluster.live(service_id)] == [TaskState.READY]
    cluster.run(20)
    assert images(cluster, service_id) == ["web:2"], "a place is not left empty for ever"
    cluster.run(10)
    assert state_of(cluster, service_id) is UpdateState.COMPLETED, "a long grace is no failure"


def test_a_scale_down_takes_no_place_that_is_half_done_for_a_failure() -> None:
    cluster, service_id = started(4, parallelism=2)
    hold(cluster, "web:2", TaskState.PREPARING, lambda slot: slot in (3, 4))
    new_image(cluster, service_id)
    cluster.run(3)
    cluster.scale(service_id, 2)
    cluster.run(10)
    assert images(cluster, service_id) == ["web:2"] * 2
    assert state_of(cluster, service_id) is UpdateState.COMPLETED


@pytest.mark.parametrize("action", [FailureAction.PAUSE, FailureAction.ROLLBACK])
def test_a_verdict_that_is_refused_is_given_again(
    monkeypatch: pytest.MonkeyPatch, action: FailureAction
) -> None:
    cluster, service_id = started(3, failure_action=action)
    cluster.fails = lambda task: (
        TaskState.FAILED
        if image_of(cluster, task) == "web:2" and task.status.state is TaskState.STARTING
        else None
    )
    new_image(cluster, service_id)
    commit = cluster.tables.commit

    def refusing(transaction: Transaction, at_ns: int = 0) -> Commit:
        states = [s.update_status.state for s in transaction.put if isinstance(s, Service)]
        verdicts = (UpdateState.PAUSED, UpdateState.ROLLBACK_STARTED)
        if any(state in verdicts for state in states) and cluster.refusals < 3:
            raise Conflict("something else in it has changed")
        return commit(transaction, at_ns)

    monkeypatch.setattr(cluster.tables, "commit", refusing)
    cluster.run(2)
    assert cluster.refusals == 3
    assert state_of(cluster, service_id) in (UpdateState.PAUSED, UpdateState.ROLLBACK_STARTED)


def test_constraints_that_change_in_the_middle_of_a_rollout() -> None:
    cluster, service_id = started(1)
    new_image(cluster, service_id)
    cluster.run(0.1)
    (new,) = [t for t in cluster.live(service_id) if image_of(cluster, t) == "web:2"]
    new_task(
        cluster,
        service_id,
        container=ContainerSpec(image="web:2"),
        placement=Placement(constraints=(f"node.hostname != {new.node_id}",)),
    )
    cluster.run(20)
    assert images(cluster, service_id) == ["web:2"]
    assert state_of(cluster, service_id) is UpdateState.COMPLETED
    assert cluster.running(service_id)[0].node_id != new.node_id


def test_a_health_check_that_does_not_pass_in_time() -> None:
    cluster, service_id = started(1, start_deadline_ns=5 * SECOND_NS)
    hold(cluster, "web:2", TaskState.STARTING, lambda slot: True)
    new_image(cluster, service_id)
    cluster.run(1)
    (new,) = [t for t in cluster.live(service_id) if image_of(cluster, t) == "web:2"]
    status = replace(new.status, health=HealthState.STARTING)
    cluster.write(lambda draft: draft.put(replace(new, status=status)))
    cluster.run(5)
    assert "(not running within 5 s: its health check has not passed)" in message_of(cluster, service_id)


def test_one_before_it_that_does_not_stop_in_time() -> None:
    cluster, service_id = started(1, start_deadline_ns=5 * SECOND_NS)
    (old,) = cluster.running(service_id)
    cluster.holds = lambda task, state: image_of(cluster, task) == "web:1"
    new_image(cluster, service_id)
    cluster.run(6)
    wanted = f"(not running within 5 s: task {old.id} before it has not stopped)"
    assert wanted in message_of(cluster, service_id)
