"""Stopped services: no tasks, but all that they are; started again they are filled at once."""

import pytest
from msgspec.structs import replace

from covey.errors import Conflict
from covey.model.objects import Service, Task
from covey.model.specs import RestartPolicy, ServiceMode, ServiceSpec, UpdateConfig
from covey.model.states import NodeState, RestartCondition, ServiceModeKind, TaskState, UpdateState
from manager.store.transaction import Commit, Transaction
from tests.support.planner_cluster import PlannerCluster

SECOND_NS = 1_000_000_000
KINDS = [ServiceModeKind.REPLICATED, ServiceModeKind.GLOBAL, ServiceModeKind.REPLICATED_JOB]


def web(kind: ServiceModeKind = ServiceModeKind.REPLICATED, **policy: object) -> ServiceSpec:
    mode = ServiceMode(kind=kind, replicas=3, total_completions=3 if kind.job else 0)
    spec = ServiceSpec(name="web", mode=mode)
    return replace(spec, task=replace(spec.task, restart=RestartPolicy(**policy)))


def begun(spec: ServiceSpec) -> tuple[PlannerCluster, str]:
    cluster = PlannerCluster()
    cluster.finishes = lambda task: False
    for n in range(3):
        cluster.node(f"n{n}")
    service_id = cluster.create(spec)
    cluster.run(1)
    assert len(cluster.running(service_id)) == 3
    return cluster, service_id


@pytest.mark.parametrize("kind", KINDS)
def test_stopped_and_started(kind: ServiceModeKind) -> None:
    cluster, service_id = begun(web(kind))
    cluster.stop(service_id)
    cluster.run(2)
    assert [t.status.state for t in cluster.tasks(service_id)] == [TaskState.SHUTDOWN] * 3
    cluster.node("later")
    commits = cluster.commits
    cluster.new_leader()
    cluster.run(30, step_ms=1000)
    assert cluster.commits <= commits + 1, "but for what a new node is given"
    cluster.stop(service_id, False)
    cluster.run(1)
    assert len(cluster.running(service_id)) == (4 if kind is ServiceModeKind.GLOBAL else 3)


def test_what_ended_meanwhile_is_filled_again_too() -> None:
    policy = {"max_attempts": 2, "condition": RestartCondition.ON_FAILURE}
    cluster, service_id = begun(web(**policy))
    first = cluster.running(service_id)[0]
    cluster.stop(service_id)
    cluster.report(first, TaskState.FAILED)  # before its agent heard of it
    cluster.run(2)
    cluster.stop(service_id, False)
    cluster.run(1)
    assert len(cluster.running(service_id)) == 3


def test_a_waiting_restart_is_given_up_and_not_waited_for_afterwards() -> None:
    cluster, service_id = begun(web(delay_ns=60 * SECOND_NS))
    cluster.report(cluster.running(service_id)[0], TaskState.FAILED)
    cluster.run(1)
    cluster.stop(service_id)
    cluster.run(1)
    assert cluster.live(service_id) == []
    cluster.stop(service_id, False)
    cluster.run(1)
    assert len(cluster.running(service_id)) == 3


def test_a_node_lost_meanwhile_does_not_matter() -> None:
    cluster, service_id = begun(web())
    cluster.stop(service_id)
    cluster.run(1)
    cluster.set_node("n0", NodeState.DOWN)
    cluster.run(1)
    assert cluster.live(service_id) == []
    cluster.stop(service_id, False)
    cluster.run(1)
    assert len(cluster.running(service_id)) == 3


def test_a_rollout_stands_still_and_goes_on() -> None:
    cluster, service_id = begun(web())
    cluster.update(service_id, lambda s: replace(s, update=UpdateConfig(monitor_ns=SECOND_NS)), force=True)
    cluster.run(1)
    cluster.stop(service_id)
    cluster.run(30, step_ms=1000)
    assert cluster.live(service_id) == []
    assert cluster.service(service_id).update_status.state is UpdateState.UPDATING
    cluster.stop(service_id, False)
    cluster.run(0.5)
    assert len(cluster.live(service_id)) >= 3, "filled at once"
    cluster.run(60, step_ms=1000)
    assert cluster.service(service_id).update_status.state is UpdateState.COMPLETED
    assert {t.revision_id for t in cluster.running(service_id)} == {cluster.service(service_id).revision_id}


def test_an_update_while_it_stands_still() -> None:
    cluster, service_id = begun(web())
    cluster.stop(service_id)
    cluster.run(1)
    cluster.update(service_id, lambda s: replace(s, mode=ServiceMode(replicas=5)), force=True)
    cluster.run(5)
    assert cluster.live(service_id) == []
    cluster.stop(service_id, False)
    cluster.run(1)
    assert len(cluster.running(service_id)) == 5
    assert cluster.service(service_id).update_status.state is UpdateState.NONE
    assert {t.revision_id for t in cluster.running(service_id)} == {cluster.service(service_id).revision_id}


def test_it_can_be_removed() -> None:
    cluster, service_id = begun(web())
    cluster.stop(service_id)
    cluster.run(1)
    cluster.remove(service_id)
    cluster.run(1)
    assert cluster.tables.get(Service, service_id) is None
    assert list(cluster.tables.all(Task)) == []


def test_a_job_goes_on_with_what_was_not_done() -> None:
    cluster, service_id = begun(web(ServiceModeKind.REPLICATED_JOB))
    done = cluster.running(service_id)[0]
    cluster.finishes = lambda task: task.id == done.id
    cluster.run(1)
    cluster.stop(service_id)
    cluster.run(2)
    cluster.finishes = lambda task: True
    cluster.stop(service_id, False)
    cluster.run(3)
    tasks = cluster.tasks(service_id)
    assert len(tasks) == 5, "one done, two stopped, two run anew"
    completed = sorted(t.slot for t in tasks if t.status.state is TaskState.COMPLETE)
    assert completed == [0, 1, 2]


def test_a_refused_start_starts_the_same_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster, service_id = begun(web(condition=RestartCondition.NONE))
    cluster.report(cluster.running(service_id)[0], TaskState.COMPLETE)
    cluster.run(1)
    cluster.stop(service_id)
    cluster.run(1)
    cluster.update(service_id, lambda spec: spec, force=True)
    cluster.run(1)
    commit = cluster.tables.commit

    def refusing(transaction: Transaction, at_ns: int = 0) -> Commit:
        if any(isinstance(item, Task) for item in transaction.put) and cluster.refusals < 2:
            raise Conflict("something else in it has changed")
        return commit(transaction, at_ns)

    monkeypatch.setattr(cluster.tables, "commit", refusing)
    cluster.stop(service_id, False)
    cluster.run(1)
    assert cluster.refusals == 2
    running = cluster.running(service_id)
    assert [t.revision_id for t in running] == [cluster.service(service_id).revision_id] * 3
    assert len(cluster.tasks(service_id)) == 6, "nothing was started twice"
    cluster.report(running[0], TaskState.FAILED)
    cluster.run(5)
    assert len(cluster.running(service_id)) == 2, "from then on the policy decides"
