"""One replicated service through updates, rollbacks and drains: what runs in a place, and how it ends."""

import contextlib
from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from covey.errors import Refused
from covey.model.objects import Revision, Task
from covey.model.specs import ContainerSpec, RestartPolicy, ServiceMode, ServiceSpec, TaskSpec, UpdateConfig
from covey.model.states import Availability, FailureAction, NodeState, TaskState, UpdateOrder, UpdateState
from tests.support.planner_cluster import PlannerCluster

SECOND_NS = 1_000_000_000
NODES = ("n0", "n1", "n2")
IMAGES = ("web:1", "web:2", "web:3")
ID = "svc-web"


@st.composite
def configs(draw: st.DrawFn) -> UpdateConfig:
    return UpdateConfig(
        parallelism=draw(st.integers(0, 3)),
        delay_ns=draw(st.sampled_from([0, SECOND_NS])),
        failure_action=draw(st.sampled_from(FailureAction)),
        monitor_ns=SECOND_NS,
        max_failure_ratio=draw(st.sampled_from([0.0, 0.5])),
        start_deadline_ns=draw(st.sampled_from([0, 10 * SECOND_NS])),  # to start takes 4 s here
    )


ACTIONS = st.one_of(
    st.tuples(st.just("image"), st.sampled_from(IMAGES)),
    st.tuples(st.just("avoid"), st.sampled_from(NODES)),
    st.tuples(st.just("bound"), st.sampled_from([0, 2, 3])),
    st.tuples(st.just("scale"), st.integers(1, 6)),
    st.tuples(st.just("force")),
    st.tuples(st.just("stop"), st.booleans()),
    st.tuples(st.just("rollback")),
    st.tuples(st.just("resume")),
    st.tuples(st.just("drain"), st.sampled_from(NODES), st.sampled_from([0, 2, 60])),
    st.tuples(st.just("activate"), st.sampled_from(NODES)),
    st.tuples(st.just("down"), st.sampled_from(NODES)),
    st.tuples(st.just("up"), st.sampled_from(NODES)),
    st.tuples(
        st.just("hold"), st.sampled_from(IMAGES), st.sampled_from([TaskState.PREPARING, TaskState.STARTING])
    ),
    st.tuples(st.just("reject"), st.sampled_from(IMAGES)),
    st.tuples(st.just("release")),
    st.tuples(st.just("fail"), st.integers(0, 5)),
    st.tuples(st.just("leader")),
    st.tuples(st.just("run"), st.sampled_from([0.1, 0.4, 1.0, 5.0])),
)


class Cluster(PlannerCluster):
    """Counts what runs in each place after each step of the agents."""

    def __init__(self, seed: int, order: UpdateOrder, config: UpdateConfig, replicas: int) -> None:
        super().__init__(seed)
        self.order = order
        self.cut_off: set[str] = set()  # tasks whose node was down: it hears later that they are to stop
        self.held: dict[str, TaskState] = {}
        self.rejected: set[str] = set()
        self.fails = self._rejects
        self.holds = self._held
        for name in NODES:
            self.node(name)
        self.create(
            ServiceSpec(
                name="web",
                task=TaskSpec(
                    container=ContainerSpec(image="web:1"), restart=RestartPolicy(delay_ns=SECOND_NS)
                ),
                mode=ServiceMode(replicas=replicas),
                update=replace(config, order=order),
                rollback=replace(config, order=order, failure_action=FailureAction.PAUSE),
            )
        )
        self.run(1)

    def image(self, task: Task) -> str:
        revision = self.tables.get(Revision, task.revision_id)
        assert revision is not None
        return revision.spec.task.container.image

    def _rejects(self, task: Task) -> TaskState | None:
        pulling = task.status.state is TaskState.PREPARING
        return TaskState.REJECTED if pulling and self.image(task) in self.rejected else None

    def _held(self, task: Task, state: TaskState) -> bool:
        return self.held.get(self.image(task), TaskState.RUNNING) < state < TaskState.COMPLETE

    def check(self, *, at_rest: bool) -> None:
        super().check(at_rest=at_rest)
        runs: Counter[int] = Counter()
        live: Counter[int] = Counter()
        for task in self.tasks(ID):
            if task.id not in self.cut_off and TaskState.STARTING <= task.status.state <= TaskState.RUNNING:
                runs[task.slot] += 1
            if task.desired_state.wants_up and not task.status.state.terminal:
                live[task.slot] += 1
        most = 1 if self.order is UpdateOrder.STOP_FIRST else 3  # the third is one that stops
        assert max(runs.values(), default=0) <= most, "no task runs twice in a slot"
        assert max(live.values(), default=0) <= 3


def act(cluster: Cluster, action: tuple[object, ...]) -> None:
    match action:
        case "image", str(image):
            container = ContainerSpec(image=image)
            cluster.update(ID, lambda s: replace(s, task=replace(s.task, container=container)))
        case "avoid", str(name):
            constraints = (f"node.hostname!={name}",)
            cluster.update(
                ID,
                lambda s: replace(
                    s, task=replace(s.task, placement=replace(s.task.placement, constraints=constraints))
                ),
            )
        case "bound", int(most):
            cluster.update(
                ID,
                lambda s: replace(
                    s,
                    task=replace(s.task, placement=replace(s.task.placement, max_replicas_per_node=most)),
                ),
            )
        case "scale", int(replicas):
            cluster.scale(ID, replicas)
        case ("force",):
            cluster.update(ID, lambda spec: spec, force=True)
        case "stop", bool(stopped):
            cluster.stop(ID, stopped)
        case ("rollback",):
            with contextlib.suppress(Refused):  # there is none before
                cluster.roll_back(ID)
        case ("resume",):
            cluster.resume(ID)
        case "drain", str(name), int(seconds):
            cluster.set_node(name, None, Availability.DRAIN, seconds)
        case "activate", str(name):
            cluster.set_node(name, availability=Availability.ACTIVE)
        case "down", str(name):
            cluster.cut_off.update(task.id for task in cluster.tasks(ID) if task.node_id == name)
            cluster.set_node(name, NodeState.DOWN)
        case "up", str(name):
            cluster.set_node(name, NodeState.READY)
        case "hold", str(image), TaskState() as state:
            cluster.held[image] = state
        case "reject", str(image):
            cluster.rejected.add(image)
        case ("release",):
            cluster.held.clear()
            cluster.rejected.clear()
        case "fail", int(number):
            running = cluster.running(ID)
            if running:
                cluster.report(running[number % len(running)], TaskState.FAILED)
        case ("leader",):
            cluster.new_leader()
        case "run", float(seconds):
            cluster.run(seconds)


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.integers(0, 3),
    st.sampled_from(UpdateOrder),
    configs(),
    st.integers(1, 5),
    st.lists(ACTIONS, max_size=20),
)
def test_a_place_has_one_task_and_all_comes_right(
    seed: int, order: UpdateOrder, config: UpdateConfig, replicas: int, actions: list[tuple[object, ...]]
) -> None:
    cluster = Cluster(seed, order, config, replicas)
    for action in actions:
        act(cluster, action)
        cluster.plan()
    act(cluster, ("release",))
    act(cluster, ("stop", False))
    for name in NODES:
        cluster.set_node(name, NodeState.READY, Availability.ACTIVE)
    cluster.run(120, step_ms=500)
    cluster.resume(ID)
    cluster.run(60, step_ms=500)
    running, placement = cluster.running(ID), cluster.revision(ID).spec.task.placement
    if most := placement.max_replicas_per_node:
        roomy = [n for n in NODES if not any(n in constraint for constraint in placement.constraints)]
        both = int(order is UpdateOrder.START_FIRST)  # the new one stands beside the old one
        if most * len(roomy) < cluster.revision(ID).spec.mode.replicas + both:
            return  # nobody could be satisfied
        assert max(cluster.spread(ID).values(), default=0) <= most
    assert len(cluster.live(ID)) == len(running) == cluster.revision(ID).spec.mode.replicas
    assert len({task.slot for task in running}) == len(running)
    status = cluster.service(ID).update_status
    assert status.state in (UpdateState.NONE, UpdateState.COMPLETED, UpdateState.ROLLBACK_COMPLETED), status
    assert {cluster.generation(task) for task in running} <= {cluster.revision(ID).restart_generation}
    assert cluster.refusals == 0
