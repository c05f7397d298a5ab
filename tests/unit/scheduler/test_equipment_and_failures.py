"""Generic resources, and nodes on which a service keeps failing."""

from collections import Counter

from msgspec.structs import replace

from covey.model.objects import Task
from covey.model.specs import (
    ContainerSpec,
    GenericResource,
    ResourceRequirements,
    Resources,
    RestartPolicy,
    ServiceMode,
    ServiceSpec,
    TaskSpec,
)
from covey.model.states import ServiceModeKind, TaskState
from tests.support.planner_cluster import PlannerCluster

SSD = GenericResource(kind="ssd", count=3)
GPUS = tuple(GenericResource(kind="gpu", value=name, count=1) for name in ("GPU-b", "GPU-a"))


def wanting(kind: str, count: int, replicas: int = 1, name: str = "ml") -> ServiceSpec:
    reserved = Resources(generic=(GenericResource(kind=kind, count=count),))
    task = TaskSpec(
        container=ContainerSpec(image="ml:1"), resources=ResourceRequirements(reservations=reserved)
    )
    return ServiceSpec(name=name, task=task, mode=ServiceMode(replicas=replicas))


def equipped(**nodes: tuple[GenericResource, ...]) -> PlannerCluster:
    cluster = PlannerCluster()
    for name, resources in nodes.items():
        cluster.node(name, cpus=4)
        cluster.describe(name, generic=resources)
    return cluster


def given(cluster: PlannerCluster, service_id: str) -> list[str]:
    return sorted(each.value for task in cluster.running(service_id) for each in task.generic)


def test_named_ones_are_handed_out_once_each_and_come_back() -> None:
    cluster = equipped(a=GPUS, b=(SSD,))
    ml = cluster.create(wanting("gpu", 1, replicas=3))
    cluster.run(1)
    assert given(cluster, ml) == ["GPU-a", "GPU-b"]
    (waiting,) = [task for task in cluster.live(ml) if task.status.state is TaskState.PENDING]
    assert waiting.status.err == (
        "no suitable node of 2: generic resources 2 nodes: needs 1 gpu, best free is 0 on a; "
        "would help: free 1 gpu on a"
    )
    cluster.scale(ml, 1)
    cluster.run(1)
    cluster.scale(ml, 2)
    cluster.run(1)
    assert given(cluster, ml) == ["GPU-a", "GPU-b"]


def test_counted_ones_are_counted() -> None:
    cluster = equipped(a=(SSD,), b=(SSD,))
    disks = cluster.create(wanting("ssd", 2, replicas=3))
    cluster.run(1)
    assert Counter(task.node_id for task in cluster.running(disks)) == {"a": 1, "b": 1}
    assert [task.generic for task in cluster.running(disks)] == [(GenericResource(kind="ssd", count=2),)] * 2


def test_what_was_given_by_number_is_not_given_again_by_name() -> None:
    """A host that names what it had counted has no more of it, and nobody is placed there to be evicted at once."""
    cluster = equipped(a=(GenericResource(kind="gpu", count=2),))
    first = cluster.create(wanting("gpu", 1, replicas=1))
    cluster.run()
    cluster.describe("a", generic=GPUS)
    second = cluster.create(wanting("gpu", 1, replicas=2, name="late"))
    cluster.run(5)
    assert given(cluster, first) == [""]
    assert given(cluster, second) == ["GPU-a"]
    assert len(cluster.tasks(second)) == 2, (
        "the one without room waits, and is not placed and stopped in turn"
    )


def test_a_new_leader_knows_what_was_given() -> None:
    cluster = equipped(a=GPUS)
    first = cluster.create(wanting("gpu", 1))
    cluster.run(1)
    cluster.new_leader()
    second = cluster.create(wanting("gpu", 1, name="other"))
    cluster.run(1)
    assert given(cluster, first) + given(cluster, second) == ["GPU-a", "GPU-b"]


def test_what_nobody_has_is_said() -> None:
    cluster = equipped(a=(SSD,))
    ml = cluster.create(wanting("gpu", 1))
    cluster.run(1)
    assert (
        "needs 1 gpu, which none of them has; would help: add a node with gpu"
        in cluster.tasks(ml)[0].status.err
    )


def test_a_task_keeps_what_it_was_given_until_it_has_ended() -> None:
    cluster = equipped(a=GPUS[:1])
    ml = cluster.create(wanting("gpu", 1))
    cluster.run(1)
    cluster.silent.add("a")
    cluster.update(ml, lambda spec: spec, force=True)
    cluster.run(5)
    assert [task.status.state for task in cluster.live(ml)] == [TaskState.PENDING]
    cluster.silent.clear()
    cluster.run(5)
    assert given(cluster, ml) == ["GPU-b"]


def test_a_node_where_it_keeps_failing_is_asked_last() -> None:
    cluster = PlannerCluster()
    for name in "abc":
        cluster.node(name)
    cluster.fails = lambda task: (
        TaskState.FAILED if task.node_id == "a" and task.status.state is TaskState.RUNNING else None
    )
    restart = RestartPolicy(delay_ns=0)
    web = cluster.create(
        ServiceSpec(
            name="web",
            task=TaskSpec(container=ContainerSpec(image="web:1"), restart=restart),
            mode=ServiceMode(replicas=3),
        )
    )
    cluster.run(60)
    assert len(cluster.running(web)) == 3
    assert {task.node_id for task in cluster.running(web)} == {"b", "c"}
    failed = [task for task in cluster.tasks(web) if task.status.state is TaskState.FAILED]
    assert {task.node_id for task in failed} == {"a"}


def test_a_failing_node_is_taken_where_there_is_no_other_and_others_services_do_not_care() -> None:
    cluster = PlannerCluster()
    cluster.node("a")
    ends = iter(range(6))

    def failing(task: Task) -> TaskState | None:
        if task.service_id != "svc-web" or task.status.state is not TaskState.RUNNING:
            return None
        return TaskState.FAILED if next(ends, None) is not None else None

    cluster.fails = failing
    spec = ServiceSpec(name="web", task=TaskSpec(container=ContainerSpec(image="web:1")))
    spec = replace(spec, task=replace(spec.task, restart=RestartPolicy(delay_ns=0)))
    web = cluster.create(spec)
    cluster.run(120, step_ms=500)
    assert [task.node_id for task in cluster.running(web)] == ["a"]
    cluster.node("b")
    everywhere = cluster.create(replace(spec, name="all", mode=ServiceMode(kind=ServiceModeKind.GLOBAL)))
    cluster.run(2)
    assert sorted(task.node_id for task in cluster.running(everywhere)) == ["a", "b"]
