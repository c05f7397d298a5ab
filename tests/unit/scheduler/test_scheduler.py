"""Placing and waiting, seen through the leader."""

from msgspec.structs import replace

from covey.model.specs import Placement, Resources, ServiceMode, ServiceSpec
from covey.model.states import Availability, NodeState, ServiceModeKind, TaskState
from tests.support.planner_cluster import PlannerCluster


def spec(name: str = "web", replicas: int = 1, cpus: float = 0, **placement: object) -> ServiceSpec:
    made = ServiceSpec(name=name, mode=ServiceMode(replicas=replicas))
    resources = replace(made.task.resources, reservations=Resources(nano_cpus=int(cpus * 1e9)))
    return replace(made, task=replace(made.task, placement=Placement(**placement), resources=resources))


def cluster_of(count: int, cpus: float = 4) -> PlannerCluster:
    cluster = PlannerCluster()
    for n in range(count):
        cluster.node(f"n{n}", cpus=cpus)
    return cluster


def test_a_service_is_spread_then_the_cluster_is() -> None:
    cluster = cluster_of(3)
    first = cluster.create(spec("a", replicas=4))
    cluster.plan()
    assert cluster.spread(first) == {"n0": 2, "n1": 1, "n2": 1}
    second = cluster.create(spec("b", replicas=2))
    cluster.plan()
    assert cluster.spread(second) == {"n1": 1, "n2": 1}


def test_nobody_goes_to_a_node_that_is_closed() -> None:
    cluster = cluster_of(3)
    cluster.set_node("n0", NodeState.DISCONNECTED)
    cluster.set_node("n1", availability=Availability.PAUSE)
    service_id = cluster.create(spec(replicas=3))
    cluster.plan()
    assert cluster.spread(service_id) == {"n2": 3}


def test_as_many_as_fit_are_placed_and_the_rest_says_why() -> None:
    cluster = cluster_of(2)
    service_id = cluster.create(spec(replicas=5, cpus=2))
    cluster.plan()
    waiting = [task for task in cluster.live(service_id) if not task.node_id]
    assert [task.slot for task in waiting] == [5]
    assert waiting[0].status.state is TaskState.PENDING
    assert waiting[0].status.err.startswith("no suitable node of 2: resources 2 nodes: needs 2.0 cpus")


def test_what_ends_makes_room() -> None:
    cluster = cluster_of(1)
    big = cluster.create(spec("big", cpus=4))
    cluster.run(1)
    late = cluster.create(spec("late", cpus=1))
    cluster.run(1)
    assert cluster.running(late) == []
    cluster.remove(big)
    cluster.run(1)
    assert len(cluster.running(late)) == 1


def test_a_waiting_task_costs_nothing_while_nothing_changes() -> None:
    cluster = cluster_of(1)
    cluster.create(spec(cpus=9))
    cluster.run(1)
    before = cluster.commits
    cluster.run(60, step_ms=1000)
    assert cluster.commits == before


def test_an_explanation_is_not_rewritten_at_every_turn_but_comes_up_to_date() -> None:
    cluster = cluster_of(1)
    waiting = cluster.create(spec("waiting", cpus=9))
    cluster.plan()
    text = cluster.tasks(waiting)[0].status.err
    cluster.create(spec("other", cpus=1))
    cluster.plan()
    cluster.node("n1", cpus=2)
    cluster.plan()
    assert cluster.tasks(waiting)[0].status.err == text
    cluster.run(3)
    assert "no suitable node of 2" in cluster.tasks(waiting)[0].status.err


def test_a_global_task_stays_with_its_node_and_waits_for_room_there() -> None:
    cluster = cluster_of(2)
    other = cluster.create(spec("other", cpus=3, constraints=("node.id==n0",)))
    cluster.run(1)
    everywhere = replace(spec("agent", cpus=2), mode=ServiceMode(kind=ServiceModeKind.GLOBAL))
    agent = cluster.create(everywhere)
    cluster.run(1)
    assert [task.node_id for task in cluster.running(agent)] == ["n1"]
    (waiting,) = [task for task in cluster.live(agent) if task.node_id == "n0"]
    assert waiting.status.err == (
        "node n0 has no room: resources: needs 2.0 cpus, best free is 1.0 on n0; "
        "would help: free 1.0 cpus on n0"
    )
    cluster.remove(other)
    cluster.run(1)
    assert [task.node_id for task in cluster.running(agent)] == ["n0", "n1"]


def test_a_rollout_leaves_the_spread_as_it_was() -> None:
    cluster = cluster_of(3)
    service_id = cluster.create(spec(replicas=6))
    cluster.run(1)
    cluster.update(service_id, lambda s: s, force=True)
    cluster.run(30)
    assert cluster.spread(service_id) == {"n0": 2, "n1": 2, "n2": 2}
