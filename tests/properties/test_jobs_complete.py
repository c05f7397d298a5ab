"""Whatever is lost or fails, a job completes what was asked of it, once in each place, and no more at a time."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from covey.model.jobs import extent
from covey.model.objects import Node, Task
from covey.model.specs import RestartPolicy, ServiceMode, ServiceSpec, UpdateConfig
from covey.model.states import (
    Availability,
    NodeState,
    RestartCondition,
    ServiceModeKind,
    TaskState,
    UpdateState,
)
from tests.support.planner_cluster import PlannerCluster

NODES = ("n0", "n1", "n2")
ID = "svc-job"
ENDS = (TaskState.FAILED, TaskState.REJECTED, TaskState.COMPLETE)

ACTIONS = st.one_of(
    st.tuples(st.just("run"), st.sampled_from([0.2, 1.0, 4.0])),
    st.tuples(st.just("agents")),
    st.tuples(st.just("end"), st.integers(0, 30), st.sampled_from(ENDS)),
    st.tuples(st.just("state"), st.sampled_from(NODES), st.sampled_from(NodeState)),
    st.tuples(st.just("availability"), st.sampled_from(NODES), st.sampled_from(Availability)),
    st.tuples(st.just("silent"), st.sampled_from(NODES)),
    st.tuples(st.just("delete node"), st.sampled_from(NODES)),
    st.tuples(st.just("stop"), st.booleans()),
    st.tuples(st.just("leader")),
    st.tuples(st.just("update"), st.integers(0, 6), st.integers(0, 3)),
    st.tuples(st.just("interfere"), st.booleans()),
)


def exists(cluster: PlannerCluster, name: object) -> bool:
    return cluster.tables.get(Node, str(name)) is not None


def act(cluster: PlannerCluster, action: tuple[object, ...]) -> None:
    match action:
        case ("run", seconds):
            cluster.run(seconds, step_ms=200)
        case ("agents",):
            cluster.agents()
        case ("end", number, state):
            tasks = [
                t
                for t in cluster.tables.all(Task)
                if TaskState.ASSIGNED <= t.status.state < TaskState.COMPLETE
            ]
            if tasks:
                cluster.report(tasks[number % len(tasks)], state)
        case ("state", name, state) if exists(cluster, name):
            cluster.set_node(name, state)
        case ("availability", name, availability) if exists(cluster, name):
            cluster.set_node(name, availability=availability)
        case ("silent", name):
            cluster.silent ^= {name}
        case ("delete node", name) if exists(cluster, name):
            cluster.write(lambda draft: draft.delete(Node, name))
        case ("stop", stopped):
            cluster.stop(ID, stopped)
        case ("leader",):
            cluster.new_leader()
        case ("update", total, at_once):
            mode = cluster.revision(ID).spec.mode
            if mode.kind is ServiceModeKind.REPLICATED_JOB:
                mode = replace(mode, total_completions=total, max_concurrent=at_once)
            cluster.update(ID, lambda spec: replace(spec, mode=mode))
        case ("interfere", on):
            cluster.interfere = (
                (lambda: cluster.agents() if cluster.dice.random() < 0.5 else None) if on else None
            )


def heal(cluster: PlannerCluster) -> None:
    cluster.interfere = None
    cluster.silent.clear()
    for name in NODES:
        if not exists(cluster, name):
            cluster.node(name, cpus=4)
        cluster.set_node(name, NodeState.READY, Availability.ACTIVE)
    cluster.stop(ID, False)
    cluster.run(800, step_ms=2000)


def done(cluster: PlannerCluster) -> list[int | str]:
    """The places in which a task of this iteration completed."""
    generation = cluster.revision(ID).restart_generation
    completed = [t for t in cluster.tasks(ID) if t.status.state is TaskState.COMPLETE]
    everywhere = cluster.revision(ID).spec.mode.kind.everywhere
    return sorted(
        {t.node_id if everywhere else t.slot for t in completed if cluster.generation(t) == generation}
    )


@st.composite
def jobs(draw: st.DrawFn) -> ServiceSpec:
    kind = draw(st.sampled_from([ServiceModeKind.REPLICATED_JOB, ServiceModeKind.GLOBAL_JOB]))
    mode = ServiceMode(kind=kind)
    if kind is ServiceModeKind.REPLICATED_JOB:
        mode = replace(
            mode, total_completions=draw(st.integers(0, 6)), max_concurrent=draw(st.integers(0, 3))
        )
    restart = RestartPolicy(
        condition=draw(st.sampled_from([RestartCondition.ANY, RestartCondition.ON_FAILURE])),
        delay_ns=draw(st.sampled_from([0, 1_000_000_000])),
    )
    spec = ServiceSpec(name="job", mode=mode, update=UpdateConfig())
    return replace(spec, task=replace(spec.task, restart=restart))


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(jobs(), st.lists(ACTIONS, max_size=25), st.integers(0, 3))
def test_a_job_left_alone_completes_what_was_asked(
    spec: ServiceSpec, actions: list[tuple[object, ...]], seed: int
) -> None:
    cluster = PlannerCluster(seed)
    for name in NODES:
        cluster.node(name, cpus=4)
    cluster.create(spec)
    for action in actions:
        act(cluster, action)
        cluster.plan()
    heal(cluster)
    mode = cluster.revision(ID).spec.mode
    wanted = sorted(NODES) if mode.kind.everywhere else list(range(extent(mode)[0]))
    present = [place for place in done(cluster) if mode.kind.job and (place in wanted)]
    assert present == wanted
    assert cluster.live(ID) == []
    assert all(task.status.state.terminal for task in cluster.tasks(ID))
    assert cluster.service(ID).update_status.state is UpdateState.NONE
    commits = cluster.commits
    cluster.run(30, step_ms=1000)
    assert cluster.commits == commits, "what is done is left alone"


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 8), st.integers(0, 4), st.lists(st.integers(0, 7), max_size=10))
def test_without_losses_no_more_is_started_than_completes_or_fails(
    total: int, at_once: int, failures: list[int]
) -> None:
    cluster = PlannerCluster()
    for name in NODES:
        cluster.node(name)
    mode = ServiceMode(kind=ServiceModeKind.REPLICATED_JOB, total_completions=total, max_concurrent=at_once)
    spec = ServiceSpec(name="job", mode=mode)
    cluster.create(replace(spec, task=replace(spec.task, restart=RestartPolicy(delay_ns=0))))
    left, failed = list(failures), 0
    started: set[str] = set()

    def fails(task: Task) -> TaskState | None:
        nonlocal failed
        started.add(task.id)
        if task.status.state is TaskState.RUNNING and task.slot in left:
            left.remove(task.slot)
            failed += 1
            return TaskState.FAILED
        return None

    cluster.fails = fails
    cluster.run(400, step_ms=500)
    assert done(cluster) == list(range(total))
    assert len(started) == total + failed
