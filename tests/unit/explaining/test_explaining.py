"""What `covey service why` says."""

from functools import partial

import pytest
from msgspec.structs import replace

from covey.errors import InvalidArgument, NotFound
from covey.model.objects import Task
from covey.model.specs import (
    ContainerSpec,
    Placement,
    ResourceRequirements,
    Resources,
    RestartPolicy,
    ServiceMode,
    ServiceSpec,
    TaskSpec,
)
from covey.model.states import (
    Availability,
    HealthState,
    NodeState,
    RestartCondition,
    ServiceModeKind,
    TaskState,
)
from covey.v1.control_pb2 import ExplainServiceResponse
from manager.explaining.driver import explain
from manager.store.draft import Draft
from tests.support.planner_cluster import PlannerCluster

S, H = TaskState, HealthState


def town(nodes: str = "abc") -> PlannerCluster:
    cluster = PlannerCluster()
    for name in nodes:
        cluster.node(name, cpus=2, memory=1 << 30)
    return cluster


def web(replicas: int = 2, cpus: float = 0, constraints: tuple[str, ...] = (), **task: object) -> ServiceSpec:
    resources = ResourceRequirements(reservations=Resources(nano_cpus=int(cpus * 1e9)))
    placement = Placement(constraints=constraints)
    spec = TaskSpec(container=ContainerSpec(image="web:1"), resources=resources, placement=placement)
    return ServiceSpec(
        name="web", task=replace(spec, **task) if task else spec, mode=ServiceMode(replicas=replicas)
    )


def texts(told: ExplainServiceResponse) -> dict[str, str]:
    return {task.name: task.text for task in told.tasks}


def test_all_is_well() -> None:
    cluster = town()
    cluster.create(web(2))
    cluster.run(1)
    told = explain(cluster.tables, "web")
    assert told.summary == "2 of 2 tasks of web run"
    assert (list(told.advice), list(told.ruled_out), list(told.open), told.nodes) == (
        [],
        [],
        ["a", "b", "c"],
        3,
    )
    assert texts(told) == {"web.1": "runs on a", "web.2": "runs on b"}


def test_what_finds_no_node_names_every_filter_and_what_would_help() -> None:
    cluster = town()
    cluster.set_node("a", availability=Availability.DRAIN)
    cluster.set_node("b", disk="ssd")
    cluster.create(web(2, cpus=1.5, constraints=("node.labels.disk==ssd",)))
    cluster.run(1)
    told = explain(cluster.tables, "web")
    assert told.summary.startswith("1 of 2 tasks of web run; 1 waits: no suitable node of 3")
    assert [(each.filter, list(each.nodes)) for each in told.ruled_out] == [
        ("constraint", ["a", "c"]),
        ("resources", ["b"]),
    ]
    assert list(told.advice) == [
        "constraint: label a node disk=ssd",
        "resources: free 1.0 cpus on b",
    ]
    assert told.tasks[0].text.startswith("no suitable node of 3")  # what is in trouble comes first
    assert list(told.open) == []


def test_all_that_wait_are_counted_whatever_each_waits_for() -> None:
    cluster = town()
    cluster.node("d", cpus=8, memory=1 << 30)
    each = ServiceMode(kind=ServiceModeKind.GLOBAL)
    cluster.create(replace(web(cpus=3), mode=each))
    cluster.run(1)
    told = explain(cluster.tables, "web")
    assert told.summary.startswith(
        "1 of 4 tasks of web run, one for each node that can have one; 3 wait, 1 of them: "
    )


def test_what_fails_says_how_and_that_it_is_held_back() -> None:
    cluster = town("a")
    cluster.create(web(1))
    cluster.fails = lambda task: TaskState.FAILED if task.status.state is TaskState.RUNNING else None
    cluster.run(60)
    told = explain(cluster.tables, "web")
    (task,) = told.tasks
    assert "before it" in task.text
    assert "failed, last on a: failed" in task.text
    assert "restarting 40 s after it ended" in task.text
    assert "times in a row" in task.text
    assert "`covey service logs web` shows what its containers said" in told.advice


def test_a_spent_place_says_that_nothing_follows() -> None:
    cluster = town("a")
    cluster.create(web(1, restart=RestartPolicy(condition=RestartCondition.NONE)))
    cluster.run(1)
    (task,) = cluster.running("svc-web")
    cluster.report(task, TaskState.FAILED, "exit code 3")
    cluster.run(1)
    assert texts(explain(cluster.tables, "web")) == {
        "web.1": "failed: exit code 3; its restart condition is none, so no other follows"
    }


def test_a_stopped_service_and_a_paused_update() -> None:
    cluster = town()
    cluster.create(web(2))
    cluster.run(1)
    cluster.stop("svc-web")
    cluster.run(1)
    told = explain(cluster.tables, "web")
    assert told.summary == "web is stopped: it keeps its definition and has no tasks"
    assert list(told.advice) == ["`covey service start web` gives it its tasks again"]
    cluster.stop("svc-web", stopped=False)
    cluster.run(1)
    cluster.fails = lambda task: TaskState.REJECTED if cluster.generation(task) == 2 else None
    cluster.update("svc-web", lambda spec: spec, force=True)
    cluster.run(3)
    told = explain(cluster.tables, "web")
    assert "update paused" in told.summary
    assert any(line.startswith("`covey service update web` lets the rollout go on") for line in told.advice)


def test_nodes_that_are_drained_or_down_are_named() -> None:
    cluster = town()
    cluster.create(web(3))
    cluster.run(1)
    cluster.silent.add("a")
    cluster.set_node("a", state=NodeState.DOWN)
    cluster.run(1)
    (gone,) = [task for task in cluster.tasks("svc-web") if task.node_id == "a"]
    told = explain(cluster.tables, gone.id)
    assert told.summary.startswith("web.1 was given up with its node a, which is down")
    assert [task.name for task in told.tasks] == ["web.1", "web.1"]


def test_jobs_and_global_services() -> None:
    cluster = town()
    cluster.finishes = lambda task: task.slot < 2
    job = ServiceMode(kind=ServiceModeKind.REPLICATED_JOB, total_completions=4, max_concurrent=4)
    cluster.create(replace(web(), mode=job))
    cluster.run(2)
    told = explain(cluster.tables, "web")
    assert told.summary == "2 of 4 tasks of job web have completed, 2 run"
    assert texts(told)["web.0"] == "completed"
    unsaid = ServiceMode(kind=ServiceModeKind.REPLICATED_JOB, max_concurrent=3)  # as many as run at once
    cluster.create(replace(web(), name="some", mode=unsaid))
    cluster.run(1)
    assert explain(cluster.tables, "some").summary.startswith("2 of 3 tasks of job some have completed")
    cluster.create(replace(web(), name="all", mode=ServiceMode(kind=ServiceModeKind.GLOBAL)))
    cluster.run(1)
    told = explain(cluster.tables, "all")
    assert told.summary == "3 of 3 tasks of all run, one for each node that can have one"
    assert sorted(texts(told)) == ["all.a", "all.b", "all.c"]


def test_a_place_of_a_job_that_completed_twice_is_done_once() -> None:
    cluster = town()
    cluster.finishes = lambda _: False
    cluster.create(replace(web(), mode=ServiceMode(kind=ServiceModeKind.REPLICATED_JOB, total_completions=3)))
    cluster.run(1)
    (lost,) = (task for task in cluster.running("svc-web") if task.node_id == "a")
    cluster.set_node("a", NodeState.DOWN)
    cluster.run(1)
    (other,) = (task for task in cluster.running("svc-web") if task.slot == lost.slot and task.id != lost.id)
    cluster.set_node("a", NodeState.READY)
    cluster.report(lost, TaskState.COMPLETE)
    cluster.report(other, TaskState.COMPLETE)
    cluster.run(1)
    assert explain(cluster.tables, "web").summary == "1 of 3 tasks of job web have completed, 2 run"


def test_a_task_is_found_by_its_id_the_beginning_of_it_and_its_place() -> None:
    cluster = town()
    cluster.create(web(2))
    cluster.run(1)
    task = cluster.running("svc-web")[1]
    for text in (task.id, task.id[:14], "web.2"):
        told = explain(cluster.tables, text)
        assert told.tasks[0].task.id == task.id
        assert told.summary == "web.2 runs on b"


def test_what_is_not_there_and_what_may_be_several_is_refused() -> None:
    cluster = town()
    cluster.create(web(1))
    cluster.create(replace(web(1), name="web2"))
    with pytest.raises(NotFound, match=r"there is no service and no task 'nothing'"):
        explain(cluster.tables, "nothing")
    with pytest.raises(InvalidArgument, match="beginning of several ids"):
        explain(cluster.tables, "svc-")


def test_every_state_of_a_task_has_words() -> None:
    cluster = town("a")
    cluster.create(web(1))
    cluster.run(1)
    (task,) = cluster.running("svc-web")
    for desired in (TaskState.READY, TaskState.RUNNING, TaskState.SHUTDOWN, TaskState.REMOVE):
        for state in TaskState:
            if state is TaskState.REMOVE:
                continue

            present = cluster.tables.get(Task, task.id)
            assert present is not None
            written = replace(present, desired_state=desired, status=replace(present.status, state=state))
            cluster.write(partial(_put, written))
            assert explain(cluster.tables, task.id).tasks[0].text


def test_unhealthy_ones_are_told_with_what_their_check_said() -> None:
    cluster = town("a")
    cluster.create(web(1))
    cluster.run(1)
    (task,) = cluster.running("svc-web")
    why, untried = "unhealthy: exit code 3: not well", "its health check cannot be run: disk full"
    for state, health, err, text in (
        (S.RUNNING, H.UNHEALTHY, why, f"runs on a, {why}; it gets no traffic, and is being stopped"),
        (S.STARTING, H.UNHEALTHY, why, f"had started on a, and is being stopped: {why}"),
        (S.RUNNING, H.HEALTHY, untried, f"runs on a, healthy when last asked: {untried}"),
        (S.RUNNING, H.HEALTHY, "", "runs on a, healthy"),
    ):
        present = cluster.tables.get(Task, task.id)
        assert present is not None
        status = replace(present.status, state=state, health=health, err=err)
        cluster.write(partial(_put, replace(present, status=status)))
        told = explain(cluster.tables, "web")
        assert told.tasks[0].text == text
        advice = "its health check fails: `covey service inspect web` shows which it is"
        assert (advice in told.advice) is (health is H.UNHEALTHY)


def _put(task: Task, draft: Draft) -> None:
    draft.put(task)
