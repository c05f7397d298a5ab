"""Jobs: every place once, so many at a time, and again with every revision."""

from msgspec.structs import replace

from covey.model.objects import Task
from covey.model.specs import RestartPolicy, ServiceMode, ServiceSpec
from covey.model.states import ServiceModeKind, TaskState, UpdateState
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
