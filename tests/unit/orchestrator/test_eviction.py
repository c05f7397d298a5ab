"""Eviction: what no longer fits its node stops, says why, and is placed anew."""

import pytest
from msgspec.structs import replace

from covey.model.objects import NodeNetworking, Task
from covey.model.specs import (
    GenericResource,
    NetworkAttachmentSpec,
    Placement,
    Platform,
    ResourceRequirements,
    Resources,
    ServiceMode,
    ServiceSpec,
    TaskSpec,
)
from covey.model.states import Availability, ServiceModeKind, TaskState
from tests.support.planner_cluster import PlannerCluster

CPU = 1_000_000_000
KINDS = list(ServiceModeKind)


def web(
    kind: ServiceModeKind = ServiceModeKind.REPLICATED, replicas: int = 2, name: str = "web", **task: object
) -> ServiceSpec:
    mode = ServiceMode(kind=kind, replicas=replicas, total_completions=replicas if kind.job else 0)
    return ServiceSpec(name=name, mode=mode, task=TaskSpec(**task))


def reserving(**amounts: object) -> ResourceRequirements:
    return ResourceRequirements(reservations=Resources(**amounts))


def two_nodes(*specs: ServiceSpec) -> PlannerCluster:
    cluster = PlannerCluster()
    cluster.finishes = lambda task: False
    for name in ("w1", "w2"):
        cluster.node(name, cpus=4, memory=8 << 30, disk="ssd")
    for spec in specs:
        cluster.create(spec)
        cluster.run(1)
    return cluster


def stopped(cluster: PlannerCluster, node_id: str) -> list[Task]:
    return [t for t in cluster.tables.all(Task) if t.node_id == node_id and not t.desired_state.wants_up]


@pytest.mark.parametrize("kind", KINDS)
def test_a_label_taken_away(kind: ServiceModeKind) -> None:
    cluster = two_nodes(web(kind, placement=Placement(constraints=("node.labels.disk == ssd",))))
    assert cluster.spread("svc-web") == {"w1": 1, "w2": 1}
    cluster.set_node("w1", disk="hdd")
    cluster.run(1)
    (task,) = stopped(cluster, "w1")
    assert task.status.state is TaskState.SHUTDOWN
    assert task.status.err == "stopped: node w1 no longer satisfies node.labels.disk == ssd"
    assert cluster.spread("svc-web") == ({"w2": 1} if kind.everywhere else {"w2": 2})
    cluster.set_node("w1", disk="ssd")
    cluster.run(1)
    if kind.everywhere:
        assert len(cluster.running("svc-web")) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_another_processor(kind: ServiceModeKind) -> None:
    cluster = two_nodes(web(kind, placement=Placement(platforms=(Platform("linux", "amd64"),))))
    cluster.describe("w1", platform=Platform("linux", "arm64"))
    cluster.run(1)
    (task,) = stopped(cluster, "w1")
    assert task.status.err == "stopped: its image is not made for node w1, which is linux/arm64"
    assert len(cluster.running("svc-web")) == (1 if kind.everywhere else 2)


@pytest.mark.parametrize("kind", KINDS)
def test_less_memory(kind: ServiceModeKind) -> None:
    cluster = two_nodes(web(kind, resources=reserving(memory_bytes=2 << 30)))
    cluster.describe("w1", memory_bytes=1 << 30)
    cluster.run(1)
    (task,) = [t for t in stopped(cluster, "w1") if t.status.state is TaskState.SHUTDOWN]
    assert task.status.err == (
        "stopped: node w1 has no more than 1024 MiB of memory, and its tasks reserve 2048 MiB of memory"
    )
    assert {t.node_id for t in cluster.running("svc-web")} == {"w2"}
    waiting = [t for t in cluster.live("svc-web") if t.status.state is TaskState.PENDING]
    assert len(waiting) == (1 if kind.everywhere else 0), "the node is its place, and it waits for room there"


def test_the_newest_go_until_the_rest_fits() -> None:
    specs = [web(name=name, replicas=2, resources=reserving(nano_cpus=CPU)) for name in "abc"]
    cluster = two_nodes(*specs, web(name="free"))
    assert len([t for t in cluster.tables.all(Task) if t.node_id == "w1"]) == 4
    cluster.describe("w1", nano_cpus=2 * CPU)
    cluster.run(1)
    assert [t.service_id for t in stopped(cluster, "w1")] == ["svc-c"], (
        "neither the others nor one that is free"
    )
    assert all(len(cluster.running(f"svc-{name}")) == 2 for name in "abc")


def test_a_node_with_room_enough_keeps_everything() -> None:
    cluster = two_nodes(web(resources=reserving(nano_cpus=CPU)))
    commits = cluster.commits
    cluster.describe("w1", nano_cpus=CPU)
    cluster.run(5)
    assert cluster.commits == commits


def test_a_node_that_says_nothing_of_itself_keeps_everything() -> None:
    cluster = two_nodes(web(resources=reserving(nano_cpus=CPU)))
    cluster.describe("w1", nano_cpus=0, memory_bytes=0)
    cluster.run(5)
    assert stopped(cluster, "w1") == []


def given(cluster: PlannerCluster, task: Task, *resources: GenericResource) -> None:
    cluster.write(lambda draft: draft.put(replace(task, generic=resources)))


def test_a_generic_resource_that_has_gone() -> None:
    cluster = two_nodes(web(replicas=4))
    one, two = GenericResource("gpu", "one", 1), GenericResource("gpu", "two", 1)
    first, second = [t for t in cluster.running("svc-web") if t.node_id == "w1"]
    cluster.describe("w1", generic=(one, two))
    given(cluster, first, one)
    given(cluster, second, two)
    cluster.run(1)
    assert stopped(cluster, "w1") == []
    cluster.describe("w1", generic=(two,))
    cluster.run(1)
    (task,) = stopped(cluster, "w1")
    assert task.id == first.id
    assert task.status.err == "stopped: node w1 has no gpu one any more"


def test_fewer_of_a_kind() -> None:
    cluster = two_nodes(web(replicas=4))
    cluster.describe("w1", generic=(GenericResource("ssd", "", 4),))
    for task in cluster.running("svc-web"):
        if task.node_id == "w1":
            given(cluster, task, GenericResource("ssd", "", 2))
    cluster.describe("w1", generic=(GenericResource("ssd", "", 3),))
    cluster.run(1)
    (task,) = stopped(cluster, "w1")
    assert task.status.err == "stopped: node w1 has no more than 3 ssd, and its tasks reserve 4 ssd"


@pytest.mark.parametrize("availability", [Availability.PAUSE])
def test_a_paused_node_keeps_what_it_has_until_it_is_active_again(availability: Availability) -> None:
    constraints = Placement(constraints=("node.labels.disk == ssd",))
    cluster = two_nodes(web(resources=reserving(nano_cpus=CPU)), web(name="fast", placement=constraints))
    cluster.set_node("w1", availability=availability, disk="hdd")
    cluster.describe("w1", nano_cpus=CPU // 2)
    cluster.run(2)
    assert stopped(cluster, "w1") == []
    cluster.set_node("w1", availability=Availability.ACTIVE)
    cluster.run(2)
    assert len(stopped(cluster, "w1")) == 2


def test_a_node_that_changes_while_a_plan_puts_tasks_there() -> None:
    cluster = PlannerCluster()
    cluster.node("w1", cpus=4, memory=8 << 30, disk="ssd")
    cluster.node("w2", cpus=4, memory=8 << 30, disk="ssd")
    cluster.plan()

    def once() -> None:
        cluster.interfere = None
        cluster.set_node("w1", disk="hdd")
        cluster.describe("w1", nano_cpus=CPU)
        cluster.tell()

    cluster.interfere = once
    cluster.create(web(placement=Placement(constraints=("node.labels.disk == ssd",))))
    cluster.run(1)
    assert cluster.spread("svc-web") == {"w2": 2}
    cluster.set_node("w1", disk="ssd")
    cluster.interfere = once
    cluster.create(web(name="big", resources=reserving(nano_cpus=2 * CPU)))
    cluster.run(1)
    assert cluster.spread("svc-big") == {"w2": 2}


def test_a_new_leader_finds_what_changed_before_it_led() -> None:
    cluster = two_nodes(web(resources=reserving(nano_cpus=CPU)))
    cluster.describe("w1", nano_cpus=CPU // 2)
    cluster.new_leader()
    cluster.run(1)
    assert cluster.spread("svc-web") == {"w2": 2}


def test_a_refused_plan_forgets_nobody_who_has_to_leave() -> None:
    cluster = PlannerCluster()
    cluster.node("w1", cpus=4)
    service_id = cluster.create(web(replicas=4, resources=reserving(nano_cpus=CPU)))
    cluster.run(1)
    assert len(cluster.running(service_id)) == 4

    def meanwhile() -> None:
        cluster.interfere = None
        for task in cluster.running(service_id):  # its agent has something to say
            status = replace(task.status, message="well")
            cluster.write(lambda draft, task=task, status=status: draft.put(replace(task, status=status)))

    cluster.interfere = meanwhile
    cluster.describe("w1", nano_cpus=2 * CPU)
    cluster.run(1)
    assert cluster.refusals == 1
    assert len(cluster.running(service_id)) == 2


def test_tasks_on_encrypted_networks_leave_a_node_that_can_encrypt_no_more() -> None:
    cluster = two_nodes()
    for name in ("w1", "w2"):
        cluster.describe(name, networking=NodeNetworking(encryption="wireguard-go"))
    vault = cluster.network("vault", options={"encrypted": ""})
    hall = cluster.network("hall")
    cluster.create(web(networks=(NetworkAttachmentSpec(target=vault),)))
    cluster.create(web(name="open", networks=(NetworkAttachmentSpec(target=hall),)))
    cluster.run(1)
    assert cluster.spread("svc-web") == cluster.spread("svc-open") == {"w1": 1, "w2": 1}
    cluster.describe("w1", networking=NodeNetworking())
    cluster.run(1)
    (task,) = stopped(cluster, "w1")
    assert task.status.err == "stopped: node w1 can no longer encrypt, as network vault is"
    assert cluster.spread("svc-web") == {"w2": 2}
    assert cluster.spread("svc-open") == {"w1": 1, "w2": 1}
