"""A new leader knows the store and nothing else: no task is started twice or ended because of it."""

import pytest
from msgspec.structs import replace

from covey import limits
from covey.machine import Tick
from covey.model.objects import ClusterVersion, Node, NodeDescription, NodeStatus
from covey.model.specs import RestartPolicy, ServiceMode, ServiceSpec, TaskSpec, UpdateConfig
from covey.model.states import NodeState, TaskState
from manager.dispatcher.events import EndSession, Registered, StartSession, WriteNode
from manager.dispatcher.sessions import Sessions
from tests.support.cluster_objects import change, two_nodes_one_service
from tests.support.planner_cluster import PlannerCluster

DELAY_NS = 3_000_000_000


def spec(replicas: int, **more: object) -> ServiceSpec:
    plain = ServiceSpec(
        name="web",
        mode=ServiceMode(replicas=replicas),
        task=TaskSpec(restart=RestartPolicy(delay_ns=DELAY_NS)),
    )
    return replace(plain, **more)


def cluster_of(count: int, in_turns: bool) -> PlannerCluster:
    cluster = PlannerCluster(in_turns=in_turns)
    for n in range(count):
        cluster.node(f"n{n}")
    cluster.plan()
    return cluster


turns = pytest.mark.parametrize("in_turns", [False, True])


@turns
def test_a_service_that_starts_under_many_leaders_starts_once(in_turns: bool) -> None:
    cluster = cluster_of(3, in_turns)
    service_id = cluster.create(spec(12))
    for _ in range(20):
        cluster.run(0.1)
        cluster.new_leader()
    cluster.run(5)
    assert len(cluster.tasks(service_id)) == len(cluster.running(service_id)) == 12


@turns
def test_running_tasks_are_left_alone(in_turns: bool) -> None:
    cluster = cluster_of(3, in_turns)
    service_id = cluster.create(spec(6))
    cluster.run(3)
    before = {task.id: task for task in cluster.tasks(service_id)}
    for _ in range(10):
        cluster.new_leader()
        cluster.run(1)
    assert {task.id: task for task in cluster.tasks(service_id)} == before


@turns
def test_a_rollout_goes_on_and_replaces_each_task_once(in_turns: bool) -> None:
    cluster = cluster_of(3, in_turns)
    service_id = cluster.create(spec(6, update=UpdateConfig(parallelism=1, monitor_ns=100_000_000)))
    cluster.run(3)
    old = {task.id for task in cluster.tasks(service_id)}
    cluster.update(
        service_id,
        lambda spec: replace(
            spec, task=replace(spec.task, container=replace(spec.task.container, env=("A=1",)))
        ),
    )
    for _ in range(60):
        cluster.run(0.5)
        cluster.new_leader()
    cluster.run(30)
    running = cluster.running(service_id)
    assert len(running) == 6
    assert not old & {task.id for task in running}
    assert len(cluster.tasks(service_id)) == 12  # the old ones, and as many new ones


@turns
def test_a_task_that_waits_to_be_restarted_is_restarted_once(in_turns: bool) -> None:
    cluster = cluster_of(2, in_turns)
    service_id = cluster.create(spec(2))
    cluster.run(3)
    cluster.report(cluster.running(service_id)[0], TaskState.FAILED, "exit 1")
    for _ in range(8):
        cluster.run(0.5)
        cluster.new_leader()
    cluster.run(DELAY_NS / 1e9 + limits.restart_old_task_wait_ms / 1000 + 1)
    assert len(cluster.running(service_id)) == 2
    assert len(cluster.tasks(service_id)) == 3


@turns
def test_a_lost_nodes_tasks_are_replaced_once(in_turns: bool) -> None:
    cluster = cluster_of(3, in_turns)
    service_id = cluster.create(spec(6))
    cluster.run(3)
    cluster.silent.add("n0")
    cluster.set_node("n0", NodeState.DOWN)
    for _ in range(10):
        cluster.run(0.3)
        cluster.new_leader()
    cluster.run(5)
    assert len(cluster.running(service_id)) == 6
    assert len(cluster.tasks(service_id)) == 8
    assert all(task.node_id != "n0" for task in cluster.running(service_id))


def test_nodes_have_time_to_find_their_new_leader() -> None:
    tables = two_nodes_one_service()
    for id in ("n1", "n2"):
        node = tables.get(Node, id)
        assert node is not None
        change(tables, replace(node, status=NodeStatus(state=NodeState.READY)))
    machine = Sessions(tables)
    described = NodeDescription(hostname="h", data_address="192.0.2.1")
    machine.step(Tick(0))
    machine.step(Registered("s", "n1", "192.0.2.9", described, ClusterVersion()))
    downs = []
    grace_ms = limits.heartbeat_period_ms * limits.heartbeat_grace_periods
    for now_ms in range(0, 60_000, 500):
        effects = machine.step(Tick(now_ms))
        downs += [
            (now_ms, e.node_id) for e in effects if isinstance(e, WriteNode) and e.state is NodeState.DOWN
        ]
    assert [id for _, id in downs] == ["n1", "n2"]  # the one that came and fell silent; then the other
    assert downs[0][0] == grace_ms
    assert downs[1][0] >= grace_ms + 2 * limits.manager_answer_ms


def test_an_agent_that_saw_more_in_an_older_epoch_is_served_at_once() -> None:
    tables = two_nodes_one_service()
    machine = Sessions(tables)
    described = NodeDescription(hostname="h", data_address="192.0.2.1")
    epoch = machine._version().epoch
    ahead = ClusterVersion(epoch - 1, 10**9)
    effects = machine.step(Registered("s", "n1", "192.0.2.9", described, ahead))
    assert any(isinstance(effect, StartSession) for effect in effects)
    waits = machine.step(Registered("t", "n2", "192.0.2.9", described, ClusterVersion(epoch, 10**9)))
    assert not any(isinstance(effect, StartSession) for effect in waits)
    newer = machine.step(Registered("u", "n2", "192.0.2.9", described, ClusterVersion(epoch + 1, 1)))
    assert any(isinstance(e, EndSession) and "has seen epoch" in e.reason for e in newer)
