"""Tasks that must move: what counts as lost, also when it happens while a plan is on its way."""

import pytest
from msgspec.structs import replace

from covey import limits
from covey.model.objects import Node
from covey.model.specs import Placement, ServiceMode, ServiceSpec, TaskSpec
from covey.model.states import Availability, NodeState, TaskState
from manager.store.transaction import Commit, Transaction
from tests.support.planner_cluster import PlannerCluster


def web(replicas: int = 2, *constraints: str) -> ServiceSpec:
    task = TaskSpec(placement=Placement(constraints=constraints))
    return ServiceSpec(name="web", mode=ServiceMode(replicas=replicas), task=task)


def lose(cluster: PlannerCluster, how: str) -> None:
    match how:
        case "down":
            cluster.set_node("n0", NodeState.DOWN)
        case "drained":
            cluster.set_node("n0", availability=Availability.DRAIN)
        case "removed":
            cluster.write(lambda draft: draft.delete(Node, "n0"))


@pytest.mark.parametrize("how", ["down", "drained", "removed"])
def test_a_node_lost_while_its_tasks_are_on_their_way_to_it(how: str) -> None:
    cluster = PlannerCluster()
    cluster.node("n0")
    cluster.node("n1")
    cluster.plan()
    service_id = cluster.create(web(4))

    def once() -> None:
        cluster.interfere = None
        lose(cluster, how)
        cluster.tell()  # and the leader hears of it before its own plan is committed

    cluster.interfere = once
    cluster.run(2)
    assert cluster.spread(service_id) == {"n1": 4}
    assert len(cluster.running(service_id)) == 4


def test_a_label_taken_off_a_node_takes_the_tasks_along() -> None:
    cluster = PlannerCluster()
    for name in ("n0", "n1"):
        cluster.node(name, disk="ssd")
    service_id = cluster.create(web(2, "node.labels.disk == ssd"))
    cluster.run(1)
    assert cluster.spread(service_id) == {"n0": 1, "n1": 1}
    cluster.set_node("n1", disk="hdd")
    cluster.run(1)
    assert cluster.spread(service_id) == {"n0": 2}
    assert len(cluster.running(service_id)) == 2


def test_a_paused_node_keeps_what_no_longer_fits() -> None:
    cluster = PlannerCluster()
    for name in ("n0", "n1"):
        cluster.node(name, disk="ssd")
    service_id = cluster.create(web(2, "node.labels.disk == ssd"))
    cluster.run(1)
    cluster.set_node("n1", availability=Availability.PAUSE, disk="hdd")
    cluster.run(1)
    assert cluster.spread(service_id) == {"n0": 1, "n1": 1}


def test_a_task_that_fits_nowhere_any_more_waits_and_says_why() -> None:
    cluster = PlannerCluster()
    cluster.node("n0", disk="ssd")
    service_id = cluster.create(web(1, "node.labels.disk == ssd"))
    cluster.run(1)
    cluster.set_node("n0", disk="hdd")
    cluster.run(1)
    (task,) = cluster.live(service_id)
    assert task.status.state is TaskState.PENDING
    assert "constraint 1 node: node.labels.disk == ssd" in task.status.err
    before = cluster.commits
    cluster.run(30, step_ms=1000)
    assert cluster.commits == before, "there is nothing more to do"
    cluster.set_node("n0", disk="ssd")
    cluster.run(1)
    assert len(cluster.running(service_id)) == 1


def test_a_node_lost_with_very_many_tasks_is_dealt_with_in_bounded_passes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "planner_pass_objects_max", 60)
    cluster = PlannerCluster()
    cluster.node("n0")
    service_id = cluster.create(web(200))
    cluster.run(1)
    assert len(cluster.running(service_id)) == 200
    cluster.node("n1")
    cluster.plan()
    sizes: list[int] = []
    commit = cluster.tables.commit

    def counted(transaction: Transaction, at_ns: int = 0) -> Commit:
        sizes.append(len(transaction.put))
        return commit(transaction, at_ns)

    cluster.set_node("n0", NodeState.DOWN)
    monkeypatch.setattr(cluster.tables, "commit", counted)
    cluster.plan()
    assert max(sizes) <= 2 * limits.planner_pass_objects_max
    cluster.run(2)
    assert cluster.spread(service_id) == {"n1": 200}


def test_a_lost_task_that_ended_by_itself_before_it_had_a_follower() -> None:
    cluster = PlannerCluster()
    cluster.node("n0")
    service_id = cluster.create(web(1))
    cluster.run(1)
    (task,) = cluster.running(service_id)
    # What a pass that ran out of room leaves: told to stop, and nothing put after it.
    cluster.write(lambda draft: draft.put(replace(task, desired_state=TaskState.SHUTDOWN)))
    cluster.report(task, TaskState.FAILED)
    cluster.run(1)
    assert len(cluster.running(service_id)) == 1
