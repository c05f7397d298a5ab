"""The machine that plans: one transaction at a time, in bounded pieces, and never confused by a refusal."""

from msgspec.structs import replace

from covey import errors, limits
from covey.machine import Tick
from covey.model.objects import Endpoint, Network, Task
from covey.model.specs import (
    EndpointSpec,
    NetworkAttachmentSpec,
    PortConfig,
    ServiceMode,
    ServiceSpec,
    TaskSpec,
)
from covey.model.states import EndpointState, TaskState
from manager.leader.machine import Changed, Committed, Leader, Refused, Took
from manager.store.transaction import Key
from tests.support.planner_cluster import PlannerCluster


def spec(replicas: int = 3, name: str = "web") -> ServiceSpec:
    return ServiceSpec(
        name=name,
        mode=ServiceMode(replicas=replicas),
        task=TaskSpec(networks=(NetworkAttachmentSpec("net-a"),)),
        endpoint=EndpointSpec(ports=(PortConfig(target_port=80),)),
    )


def cluster_of(count: int, in_turns: bool = False) -> PlannerCluster:
    cluster = PlannerCluster(ingress=True, in_turns=in_turns)
    cluster.network("a", "10.3.0.0/16")
    for n in range(count):
        cluster.node(f"n{n}")
    cluster.plan()
    return cluster


def test_a_new_service_is_placed_in_one_commit() -> None:
    cluster = cluster_of(3)
    before = cluster.commits
    service_id = cluster.create(spec(100))
    cluster.plan()
    assert cluster.commits == before + 1
    assert {task.status.state for task in cluster.tasks(service_id)} == {TaskState.ASSIGNED}
    assert len(cluster.service(service_id).virtual_ips) == 1


def test_a_large_service_comes_in_pieces_that_are_each_whole() -> None:
    cluster = cluster_of(3)
    cluster.checked = False
    before = cluster.commits
    service_id = cluster.create(spec(limits.planner_pass_objects_max))
    cluster.plan()
    assert len(cluster.live(service_id)) == limits.planner_pass_objects_max
    assert 1 < cluster.commits - before < 10
    assert all(task.node_id for task in cluster.tasks(service_id))
    cluster.scale(service_id, 0)
    cluster.run(1, step_ms=500)
    assert cluster.tasks(service_id) == []
    assert not [e for e in cluster.tables.all(Endpoint) if e.task_id]


def test_changes_that_come_together_are_planned_together() -> None:
    cluster = cluster_of(1)
    cluster.create(spec(name="a"))
    cluster.create(replace(spec(name="b"), endpoint=EndpointSpec()))
    before = cluster.commits
    cluster.plan()
    assert cluster.commits == before + 1


def test_nothing_is_planned_while_a_transaction_is_in_flight() -> None:
    cluster = cluster_of(1)
    leader = cluster.leader
    cluster.create(spec())
    cluster.tell()
    (effect,) = leader.step(Tick(cluster.now_ms + 10))
    cluster.create(replace(spec(name="other"), endpoint=EndpointSpec()))
    cluster.tell()
    assert leader.wake_at_ms is None
    assert leader.step(Tick(cluster.now_ms + 1000)) == ()
    cluster.news.append(cluster.tables.commit(effect.transaction))
    leader.step(Committed())
    cluster.now_ms += 1000
    cluster.plan()
    assert len(cluster.live("svc-web")) == len(cluster.live("svc-other")) == 3


def test_after_a_refusal_the_plan_is_made_anew_and_nothing_leaks() -> None:
    cluster = cluster_of(2)
    leader = cluster.leader
    cluster.create(spec(4))
    for _ in range(5):
        cluster.tell()
        cluster.now_ms += 200
        assert leader.step(Tick(cluster.now_ms))
        leader.step(Refused(errors.Conflict("somebody was quicker")))
    cluster.run(1)
    assert len(cluster.running("svc-web")) == 4
    held = sorted(e.addresses[0] for e in cluster.tables.all(Endpoint) if e.network_id == "net-a")
    assert len(held) == 4
    fresh = Leader(cluster.tables, cluster.dice, cluster.now_ms, cluster.now_ns)
    for address in range(256):
        number = (10 << 24) + (3 << 16) + address
        mine = leader._allocator._addresses.holds("net-a", number)
        assert mine == fresh._allocator._addresses.holds("net-a", number)


def test_what_somebody_else_deleted_first_is_no_trouble() -> None:
    cluster = cluster_of(1)
    cluster.network("b", "10.4.0.0/16")
    cluster.plan()
    doomed = cluster.tables.get(Network, "net-b")
    assert doomed is not None
    cluster.write(lambda draft: draft.put(replace(doomed, pending_delete=True)))
    cluster.tell()
    cluster.now_ms += 200
    (effect,) = cluster.leader.step(Tick(cluster.now_ms))
    assert Key(Network, "net-b") in effect.transaction.delete
    cluster.tables.commit(effect.transaction, 0)  # whoever asked for the removal did the same in that moment
    cluster.leader.step(Refused(errors.Conflict("somebody was quicker")))
    cluster.create(spec(2))
    cluster.run(1)
    assert len(cluster.running("svc-web")) == 2


def test_a_refusal_for_another_reason_is_not_repeated_at_once() -> None:
    cluster = cluster_of(1)
    cluster.create(spec())
    cluster.tell()
    cluster.now_ms += 10
    assert cluster.leader.step(Tick(cluster.now_ms))
    cluster.leader.step(Refused(errors.ResourceExhausted("the disk is full")))
    pauses = []
    for _ in range(8):
        wake_at_ms = cluster.leader.wake_at_ms
        assert wake_at_ms is not None
        pauses.append(wake_at_ms - cluster.now_ms)
        cluster.now_ms = wake_at_ms
        assert cluster.leader.step(Tick(cluster.now_ms))
        cluster.leader.step(Refused(errors.ResourceExhausted("the disk is full")))
    assert pauses == [100, 200, 400, 800, 1600, 3200, 5000, 5000]


def test_a_plan_survives_agents_that_report_all_the_time() -> None:
    cluster = cluster_of(3)
    service_id = cluster.create(spec(30))
    cluster.run(0.1)
    cluster.interfere = cluster.agents
    cluster.scale(service_id, 5)
    cluster.run(3)
    cluster.scale(service_id, 40)
    cluster.run(3)
    assert cluster.refusals
    assert len(cluster.running(service_id)) == 40


def test_planners_take_turns_and_what_happens_in_between_confuses_none() -> None:
    cluster = cluster_of(3, in_turns=True)
    service_id = cluster.create(spec(30))
    cluster.run(0.1)
    cluster.between = cluster.agents
    for replicas in (5, 40, 12, 60):
        cluster.scale(service_id, replicas)
        cluster.run(2)
        assert len(cluster.running(service_id)) == replicas
    cluster.between = None
    cluster.remove(service_id)
    cluster.run(3)
    assert cluster.tasks(service_id) == []
    assert not [e for e in cluster.tables.all(Endpoint) if e.task_id]


def test_one_turn_is_one_planners() -> None:
    cluster = cluster_of(1, in_turns=True)
    leader = cluster.leader
    cluster.create(spec())
    cluster.tell()
    now_ms = cluster.now_ms + 10
    assert [len(leader.step(Tick(now_ms))) for _ in range(4)] == [0, 0, 1, 0]


def test_a_pass_that_takes_long_writes_less_the_next_time() -> None:
    cluster = cluster_of(1)
    leader = cluster.leader
    most = leader._objects_max
    for _ in range(20):
        leader.step(Took(limits.planner_turn_ms * 2))
    assert leader._objects_max == limits.planner_pass_objects_min
    for _ in range(20):
        leader.step(Took(limits.planner_turn_ms / 2))
    assert leader._objects_max == most
    leader.step(Took(0.1))
    assert leader._objects_max == most


def test_a_new_leader_with_nothing_to_do_does_nothing() -> None:
    cluster = cluster_of(3)
    cluster.create(spec())
    cluster.run(1)
    before = cluster.commits
    cluster.new_leader()
    cluster.run(10)
    assert cluster.commits == before


def test_a_report_that_changes_nothing_for_planners_costs_no_commit() -> None:
    cluster = cluster_of(1)
    service_id = cluster.create(spec(1))
    cluster.plan()
    before = cluster.commits
    for state in (TaskState.ACCEPTED, TaskState.PREPARING, TaskState.READY, TaskState.STARTING):
        cluster.report(cluster.tasks(service_id)[0], state)
        cluster.plan()
    assert cluster.commits == before
    assert cluster.tables.all(Task)


def test_changes_heard_twice_are_heard_once() -> None:
    cluster = cluster_of(2)
    cluster.create(spec())
    cluster.run(1)
    task = cluster.tasks("svc-web")[0]
    cluster.report(task, TaskState.FAILED)
    (commit,) = cluster.news
    cluster.leader.step(Changed(commit))
    cluster.run(10)
    assert len(cluster.running("svc-web")) == 3


def test_an_endpoint_that_could_not_be_made_active_is_made_so_next_time() -> None:
    cluster = cluster_of(1)
    service_id = cluster.create(spec(1))
    cluster.plan()
    cluster.report(cluster.tasks(service_id)[0], TaskState.RUNNING)
    cluster.tell()
    cluster.now_ms += 10
    (effect,) = cluster.leader.step(Tick(cluster.now_ms))
    assert {type(obj) for obj in effect.transaction.put} == {Endpoint}
    cluster.leader.step(Refused(errors.Conflict("somebody was quicker")))
    cluster.plan()
    states = {e.state for e in cluster.tables.all(Endpoint) if e.task_id}
    assert states == {EndpointState.ACTIVE}
