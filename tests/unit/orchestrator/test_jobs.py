"""Jobs: every place once, so many at a time, and again with every revision."""

import pytest
from msgspec.structs import replace

from covey import limits
from covey.model.objects import Node, Service, Task
from covey.model.specs import ClusterSpec, RestartPolicy, ServiceMode, ServiceSpec
from covey.model.states import (
    Availability,
    NodeState,
    RestartCondition,
    ServiceModeKind,
    TaskState,
    UpdateState,
)
from tests.support.planner_cluster import PlannerCluster

SECOND_NS = 1_000_000_000


def job(total: int = 0, at_once: int = 0, *, everywhere: bool = False, **policy: object) -> ServiceSpec:
    kind = ServiceModeKind.GLOBAL_JOB if everywhere else ServiceModeKind.REPLICATED_JOB
    mode = ServiceMode(kind=kind, max_concurrent=at_once, total_completions=total)
    spec = ServiceSpec(name="job", mode=mode)
    return replace(spec, task=replace(spec.task, restart=RestartPolicy(**policy)))


def begun(spec: ServiceSpec, nodes: int = 3) -> tuple[PlannerCluster, str]:
    cluster = PlannerCluster()
    for n in range(nodes):
        cluster.node(f"n{n}")
    return cluster, cluster.create(spec)


def completed(cluster: PlannerCluster, service_id: str) -> list[int]:
    generation = cluster.revision(service_id).restart_generation
    return sorted(
        task.slot
        for task in cluster.tasks(service_id)
        if task.status.state is TaskState.COMPLETE and cluster.generation(task) == generation
    )


def test_every_slot_completes_once_and_never_more_run_than_may() -> None:
    cluster, service_id = begun(job(total=7, at_once=3))
    most = 0

    def count(_: Task) -> bool:
        nonlocal most
        most = max(most, len(cluster.live(service_id)))
        return True

    cluster.finishes = count
    cluster.run(10)
    assert completed(cluster, service_id) == [0, 1, 2, 3, 4, 5, 6]
    assert most == 3
    assert len(cluster.tasks(service_id)) == 7
    commits = cluster.commits
    cluster.run(60, step_ms=1000)
    assert cluster.commits == commits, "what is done is left alone"


def test_an_update_runs_it_anew_once_the_old_tasks_have_ended() -> None:
    cluster, service_id = begun(job(total=4, at_once=2))
    cluster.finishes = lambda task: False
    cluster.run(2)
    old = {task.id for task in cluster.running(service_id)}
    assert len(old) == 2
    cluster.update(service_id, lambda spec: spec)
    cluster.plan()
    assert cluster.live(service_id) == [], "the old ones still stop"
    cluster.finishes = lambda task: True
    cluster.run(10)
    assert completed(cluster, service_id) == [0, 1, 2, 3]
    assert cluster.service(service_id).update_status.state is UpdateState.NONE


def test_a_global_job_runs_once_on_every_node_also_on_those_that_come_later() -> None:
    cluster, service_id = begun(job(everywhere=True), nodes=2)
    cluster.run(3)
    cluster.node("later")
    cluster.run(3)
    assert sorted(task.node_id for task in cluster.tasks(service_id)) == ["later", "n0", "n1"]
    assert {task.status.state for task in cluster.tasks(service_id)} == {TaskState.COMPLETE}
    cluster.update(service_id, lambda spec: spec)
    cluster.run(3)
    assert len(cluster.tasks(service_id)) == 6


def end(cluster: PlannerCluster, service_id: str, slot: int, state: TaskState = TaskState.FAILED) -> None:
    cluster.report(next(t for t in cluster.live(service_id) if t.slot == slot), state)
    cluster.plan()


@pytest.mark.parametrize("condition", [RestartCondition.ANY, RestartCondition.ON_FAILURE])
def test_what_failed_is_tried_again_and_what_completed_is_not(condition: RestartCondition) -> None:
    cluster, service_id = begun(job(total=2, condition=condition, delay_ns=SECOND_NS))
    cluster.fails = lambda task: TaskState.FAILED if task.slot == 1 and task.quick_ends < 2 else None
    cluster.run(30)
    assert completed(cluster, service_id) == [0, 1]
    assert sorted(t.slot for t in cluster.tasks(service_id)) == [0, 1, 1, 1]


def test_a_spent_slot_leaves_the_job_unfinished_and_in_sight() -> None:
    cluster, service_id = begun(job(total=3, at_once=1, max_attempts=2, delay_ns=0))
    cluster.fails = lambda task: TaskState.FAILED if task.slot == 0 else None
    cluster.run(60, step_ms=500)
    assert completed(cluster, service_id) == [1, 2], "the others are worked on all the same"
    assert cluster.live(service_id) == []
    spent = [t for t in cluster.tasks(service_id) if t.slot == 0]
    assert [t.status.state for t in spent] == [TaskState.FAILED] * 3
    commits = cluster.commits
    cluster.new_leader()
    cluster.run(600, step_ms=5000)
    assert cluster.commits == commits
    cluster.fails = lambda task: None
    cluster.update(service_id, lambda spec: spec)
    cluster.run(10)
    assert completed(cluster, service_id) == [0, 1, 2], "an update begins anew"


def test_attempts_within_a_window() -> None:
    policy = {"max_attempts": 1, "window_ns": 30 * SECOND_NS, "delay_ns": 0}
    cluster, service_id = begun(job(total=1, **policy))
    cluster.finishes = lambda task: False
    cluster.run(1)
    end(cluster, service_id, 0)
    cluster.run(40, step_ms=1000)
    end(cluster, service_id, 0)
    cluster.run(2)
    assert len(cluster.running(service_id)) == 1, "the first restart was too long ago to count"
    end(cluster, service_id, 0)
    cluster.run(60, step_ms=1000)
    assert cluster.live(service_id) == []
    cluster.update(service_id, lambda spec: spec)
    cluster.run(2)
    assert len(cluster.running(service_id)) == 1
    end(cluster, service_id, 0)
    cluster.run(2)
    assert len(cluster.running(service_id)) == 1, "another iteration, another count"


def test_no_restarts_at_all() -> None:
    cluster, service_id = begun(job(total=2, condition=RestartCondition.NONE))
    cluster.fails = lambda task: TaskState.FAILED if task.slot == 0 else None
    cluster.run(20)
    assert completed(cluster, service_id) == [1]
    assert len(cluster.tasks(service_id)) == 2


@pytest.mark.parametrize("lost", ["down", "removed"])
def test_what_is_lost_is_run_elsewhere(lost: str) -> None:
    cluster, service_id = begun(job(total=3))
    cluster.finishes = lambda task: False
    cluster.run(1)
    assert cluster.spread(service_id) == {"n0": 1, "n1": 1, "n2": 1}
    if lost == "down":
        cluster.set_node("n1", NodeState.DOWN)
    else:
        cluster.write(lambda draft: draft.delete(Node, "n1"))
    cluster.run(1)
    assert len(cluster.running(service_id)) == 3
    cluster.finishes = lambda task: True
    cluster.run(3)
    assert completed(cluster, service_id) == [0, 1, 2]


def test_what_was_lost_and_completed_all_the_same_counts_and_ends_the_other() -> None:
    cluster, service_id = begun(job(total=3))
    cluster.finishes = lambda task: False
    cluster.run(1)
    (lost,) = [t for t in cluster.running(service_id) if t.node_id == "n1"]
    cluster.set_node("n1", NodeState.DOWN)
    cluster.run(1)
    cluster.set_node("n1", NodeState.READY)
    cluster.report(lost, TaskState.COMPLETE)
    cluster.run(1)
    assert completed(cluster, service_id) == [lost.slot]
    assert len(cluster.running(service_id)) == 2
    others = [t for t in cluster.tasks(service_id) if t.slot == lost.slot and t.id != lost.id]
    assert [t.status.state for t in others] == [TaskState.SHUTDOWN]


def test_on_a_drained_node_a_job_runs_on_to_its_end() -> None:
    cluster, service_id = begun(job(total=3))
    cluster.finishes = lambda task: False
    cluster.run(1)
    cluster.set_node("n1", availability=Availability.DRAIN)
    cluster.run(10)
    assert len(cluster.running(service_id)) == 3
    cluster.finishes = lambda task: True
    cluster.run(2)
    assert completed(cluster, service_id) == [0, 1, 2]
    assert len(cluster.tasks(service_id)) == 3


def test_a_node_that_is_drained_for_too_long_is_left() -> None:
    cluster, service_id = begun(job(total=3))
    cluster.finishes = lambda task: False
    cluster.run(1)
    cluster.set_node("n1", availability=Availability.DRAIN)
    cluster.run(70, step_ms=500)
    assert len(cluster.running(service_id)) == 3
    assert "n1" not in cluster.spread(service_id)


def test_another_total_is_another_iteration() -> None:
    cluster, service_id = begun(job(total=5))
    cluster.run(3)
    for total in (2, 6):
        mode = ServiceMode(kind=ServiceModeKind.REPLICATED_JOB, total_completions=total)
        cluster.update(service_id, lambda spec, mode=mode: replace(spec, mode=mode))
        cluster.run(3)
        assert completed(cluster, service_id) == list(range(total))
        assert max(t.slot for t in cluster.tasks(service_id)) == total - 1, (
            "what has no slot any more is forgotten"
        )


def test_a_silent_task_holds_up_the_next_iteration_for_a_while_only() -> None:
    cluster, service_id = begun(job(total=2, at_once=1), nodes=2)
    cluster.finishes = lambda task: False
    cluster.run(1)
    cluster.silent = {cluster.running(service_id)[0].node_id}
    cluster.update(service_id, lambda spec: spec)
    cluster.run(50, step_ms=1000)
    assert cluster.live(service_id) == []
    cluster.run(60, step_ms=1000)
    assert len(cluster.live(service_id)) == 1


def test_done_tasks_are_never_forgotten_and_failed_ones_are_thinned() -> None:
    cluster = PlannerCluster(spec=ClusterSpec(task_history_per_slot=2))
    cluster.node("n0")
    cluster.fails = lambda task: TaskState.FAILED if task.quick_ends < 5 else None
    service_id = cluster.create(job(total=3, delay_ns=0))
    cluster.run(200, step_ms=1000)
    assert completed(cluster, service_id) == [0, 1, 2]
    assert [t.slot for t in sorted(cluster.tasks(service_id), key=lambda t: t.slot)] == [0, 0, 1, 1, 2, 2]
    cluster.update(service_id, lambda spec: spec)
    cluster.run(200, step_ms=1000)
    assert completed(cluster, service_id) == [0, 1, 2]
    assert len(cluster.tasks(service_id)) == 6


def test_a_large_job_keeps_one_task_of_each_place_that_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "job_history_places_max", 10)
    cluster, service_id = begun(job(total=20))
    for _ in range(3):
        cluster.run(3)
        assert completed(cluster, service_id) == list(range(20))
        assert len(cluster.tasks(service_id)) == 20
        cluster.update(service_id, lambda spec: spec)


def test_a_job_with_very_many_slots_is_begun_in_bounded_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "planner_pass_objects_max", 60)
    cluster, service_id = begun(job(total=200))
    cluster.run(5)
    assert completed(cluster, service_id) == list(range(200))


def test_a_job_goes_when_it_is_removed() -> None:
    cluster, service_id = begun(job(total=5, at_once=2))
    cluster.run(1)
    cluster.remove(service_id)
    cluster.run(2)
    assert cluster.tables.get(Service, service_id) is None
    assert list(cluster.tables.all(Task)) == []
