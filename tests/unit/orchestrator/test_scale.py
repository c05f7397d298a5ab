"""Scaling: which slots open, and which end."""

from covey.model.objects import Task
from covey.model.specs import ServiceMode, ServiceSpec
from covey.model.states import TaskState
from tests.support.planner_cluster import PlannerCluster


def started(replicas: int, nodes: int) -> tuple[PlannerCluster, str]:
    cluster = PlannerCluster()
    for n in range(nodes):
        cluster.node(f"n{n}")
    service_id = cluster.create(ServiceSpec(name="web", mode=ServiceMode(replicas=replicas)))
    cluster.run(1)
    return cluster, service_id


def slots(tasks: list[Task]) -> list[int]:
    return [task.slot for task in tasks]


def test_a_slot_is_not_used_again_before_its_last_task_has_ended() -> None:
    cluster, service_id = started(3, nodes=1)
    cluster.silent = {"n0"}
    cluster.scale(service_id, 1)
    cluster.plan()
    cluster.scale(service_id, 3)
    cluster.plan()
    assert slots(cluster.live(service_id)) == [1, 4, 5]
    cluster.silent = set()
    cluster.run(1)
    cluster.scale(service_id, 4)
    cluster.plan()
    assert slots(cluster.live(service_id)) == [1, 2, 4, 5]


def test_the_fullest_nodes_give_first_and_the_highest_slots() -> None:
    cluster, service_id = started(5, nodes=2)
    assert cluster.spread(service_id) == {"n0": 3, "n1": 2}
    cluster.scale(service_id, 4)
    cluster.plan()
    assert slots(cluster.live(service_id)) == [1, 2, 3, 4]
    assert cluster.spread(service_id) == {"n0": 2, "n1": 2}
    cluster.scale(service_id, 2)
    cluster.plan()
    assert cluster.spread(service_id) == {"n0": 1, "n1": 1}


def test_what_does_not_run_goes_first() -> None:
    cluster, service_id = started(3, nodes=3)
    first = cluster.live(service_id)[0]
    cluster.report(first, TaskState.FAILED)
    cluster.plan()
    cluster.scale(service_id, 2)
    cluster.plan()
    assert slots(cluster.live(service_id)) == [2, 3]


def test_a_task_that_no_agent_ever_saw_is_forgotten_at_once() -> None:
    cluster = PlannerCluster()
    service_id = cluster.create(ServiceSpec(name="web", mode=ServiceMode(replicas=2)))
    cluster.plan()
    cluster.scale(service_id, 0)
    cluster.plan()
    assert cluster.tasks(service_id) == []


def test_scaled_away_tasks_are_forgotten_when_they_have_ended() -> None:
    cluster, service_id = started(2, nodes=1)
    cluster.scale(service_id, 1)
    cluster.plan()
    assert sorted(t.desired_state for t in cluster.tasks(service_id)) == [TaskState.RUNNING, TaskState.REMOVE]
    cluster.run(1)
    assert len(cluster.tasks(service_id)) == 1
