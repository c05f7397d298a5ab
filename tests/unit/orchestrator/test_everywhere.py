"""Global services follow their nodes: joins, labels, availability, platforms."""

import pytest

from covey.model.objects import Node
from covey.model.specs import Placement, Platform, ServiceMode, ServiceSpec, TaskSpec
from covey.model.states import Availability, NodeState, ServiceModeKind
from tests.support.planner_cluster import PlannerCluster


def begun(**placement: object) -> tuple[PlannerCluster, str]:
    cluster = PlannerCluster()
    for name in ("n0", "n1"):
        cluster.node(name)
    task = TaskSpec(placement=Placement(**placement))
    service_id = cluster.create(
        ServiceSpec(name="agent", mode=ServiceMode(kind=ServiceModeKind.GLOBAL), task=task)
    )
    cluster.run(1)
    return cluster, service_id


def test_a_node_that_joins_gets_one_at_once() -> None:
    cluster, service_id = begun()
    cluster.node("later")
    cluster.plan()
    assert cluster.spread(service_id) == {"later": 1, "n0": 1, "n1": 1}


def test_a_node_that_gets_the_label_gets_one() -> None:
    cluster, service_id = begun(constraints=("node.labels.logs == yes",))
    assert cluster.spread(service_id) == {}
    cluster.set_node("n1", logs="yes")
    cluster.run(1)
    assert cluster.spread(service_id) == {"n1": 1}


def test_a_node_of_another_platform_stays_without() -> None:
    cluster, service_id = begun(platforms=(Platform("linux", "arm64"),))
    assert cluster.spread(service_id) == {}
    cluster.describe("n0", platform=Platform("linux", "aarch64"))
    cluster.run(1)
    assert cluster.spread(service_id) == {"n0": 1}


def test_a_paused_node_keeps_its_task_whatever_it_is_labelled_and_gets_none() -> None:
    cluster, service_id = begun(constraints=("node.labels.off != yes",))
    cluster.set_node("n0", availability=Availability.PAUSE, off="yes")
    cluster.node("later")
    cluster.set_node("later", availability=Availability.PAUSE)
    cluster.run(5)
    assert cluster.spread(service_id) == {"n0": 1, "n1": 1}
    for name in ("n0", "later"):
        cluster.set_node(name, availability=Availability.ACTIVE)
    cluster.run(1)
    assert cluster.spread(service_id) == {"later": 1, "n1": 1}


@pytest.mark.parametrize("how", ["drain", "down", "removed"])
def test_a_node_that_leaves_and_comes_back(how: str) -> None:
    cluster, service_id = begun()
    match how:
        case "drain":
            cluster.set_node("n0", availability=Availability.DRAIN)
        case "down":
            cluster.set_node("n0", NodeState.DOWN)
        case _:
            cluster.write(lambda draft: draft.delete(Node, "n0"))
    cluster.run(1)
    assert cluster.spread(service_id) == {"n1": 1}, "nowhere else, for each node has its own"
    if how == "removed":
        cluster.node("n0")
    cluster.set_node("n0", NodeState.READY, Availability.ACTIVE)
    cluster.run(1)
    assert cluster.spread(service_id) == {"n0": 1, "n1": 1}
    assert len(cluster.running(service_id)) == 2


def test_a_node_of_which_nothing_is_known_for_the_moment_keeps_its_task() -> None:
    cluster, _ = begun()
    commits = cluster.commits
    cluster.set_node("n0", NodeState.UNKNOWN)
    cluster.run(5)
    assert cluster.commits == commits
