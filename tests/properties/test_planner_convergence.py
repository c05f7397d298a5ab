"""Whatever happens to a cluster, no invariant breaks on the way, and once it is left alone it comes right."""

from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from covey.model.objects import Endpoint, Node, Revision, Service, Task
from covey.model.specs import (
    ContainerSpec,
    EndpointSpec,
    NetworkAttachmentSpec,
    Placement,
    PortConfig,
    ResourceRequirements,
    Resources,
    RestartPolicy,
    ServiceMode,
    ServiceSpec,
    TaskSpec,
    UpdateConfig,
)
from covey.model.states import (
    Availability,
    EndpointState,
    FailureAction,
    NodeState,
    PublishMode,
    ServiceModeKind,
    TaskState,
    UpdateOrder,
    UpdateState,
)
from manager.orchestrator.eviction import judged
from manager.store.view import BY_TASK
from tests.support.planner_cluster import PlannerCluster

SECOND_NS = 1_000_000_000
NODES = ("n0", "n1", "n2", "n3")
STATES = (NodeState.DOWN, NodeState.READY, NodeState.UNKNOWN)
ENDS = (TaskState.FAILED, TaskState.COMPLETE, TaskState.REJECTED)


@st.composite
def service_specs(draw: st.DrawFn) -> ServiceSpec:
    everywhere = draw(st.booleans())
    ports = draw(st.sampled_from([(), (PortConfig(target_port=80),), "host"]))
    if ports == "host":
        ports = (PortConfig(target_port=80, published_port=8080, publish_mode=PublishMode.HOST),)
    update = UpdateConfig(
        parallelism=draw(st.integers(0, 3)),
        delay_ns=draw(st.sampled_from([0, SECOND_NS])),
        order=draw(st.sampled_from(UpdateOrder)),
        failure_action=draw(st.sampled_from(FailureAction)),
        max_failure_ratio=draw(st.sampled_from([0.0, 0.5])),
    )
    return ServiceSpec(
        name=draw(st.sampled_from(["api", "db", "web"])),
        task=TaskSpec(
            container=ContainerSpec(image="web:1"),
            networks=tuple(
                NetworkAttachmentSpec(n) for n in draw(st.sampled_from([(), ("net-a",), ("net-a", "net-b")]))
            ),
            restart=RestartPolicy(delay_ns=draw(st.sampled_from([0, 5 * SECOND_NS]))),
            resources=ResourceRequirements(
                reservations=Resources(nano_cpus=draw(st.sampled_from([0, SECOND_NS])))
            ),
            placement=Placement(max_replicas_per_node=draw(st.sampled_from([0, 0, 2]))),
        ),
        mode=ServiceMode(
            kind=ServiceModeKind.GLOBAL if everywhere else ServiceModeKind.REPLICATED,
            replicas=draw(st.integers(0, 6)),
        ),
        endpoint=EndpointSpec(ports=ports),
        update=update,
    )


ACTIONS = st.one_of(
    st.tuples(st.just("create"), service_specs()),
    st.tuples(st.just("scale"), st.sampled_from(["api", "db", "web"]), st.integers(0, 8)),
    st.tuples(
        st.just("image"), st.sampled_from(["api", "db", "web"]), st.sampled_from(["web:1", "web:2", "web:3"])
    ),
    st.tuples(st.just("force"), st.sampled_from(["api", "db", "web"])),
    st.tuples(st.just("constrain"), st.sampled_from(["api", "db", "web"]), st.sampled_from(["n0", "n1"])),
    st.tuples(st.just("remove"), st.sampled_from(["api", "db", "web"])),
    st.tuples(
        st.just("state"),
        st.sampled_from(NODES),
        st.sampled_from([NodeState.DOWN, NodeState.READY, NodeState.UNKNOWN]),
    ),
    st.tuples(st.just("availability"), st.sampled_from(NODES), st.sampled_from(Availability)),
    st.tuples(st.just("delete node"), st.sampled_from(NODES)),
    st.tuples(st.just("cpus"), st.sampled_from(NODES), st.integers(1, 4)),
    st.tuples(st.just("stop"), st.sampled_from(["api", "db", "web"]), st.booleans()),
    st.tuples(st.just("fail"), st.integers(0, 20), st.sampled_from(ENDS)),
    st.tuples(st.just("agents")),
    st.tuples(st.just("run"), st.sampled_from([0.1, 1.0, 7.0])),
    st.tuples(st.just("new leader")),
    st.tuples(st.just("interfere"), st.booleans()),
)


def join(cluster: PlannerCluster, name: str) -> None:
    cluster.node(name, cpus=4, zone=name[-1])


def act(cluster: PlannerCluster, action: tuple[object, ...]) -> None:
    match action:
        case ("create", ServiceSpec() as spec):
            if cluster.tables.get(Service, f"svc-{spec.name}") is None:
                cluster.create(spec)
        case ("scale" | "image" | "force" | "constrain" | "remove" | "stop", name, *rest):
            service = cluster.tables.get(Service, f"svc-{name}")
            if service is not None and not service.pending_delete:
                act_on_service(cluster, action[0], service.id, *rest)
        case ("state", name, state):
            if cluster.tables.get(Node, name) is not None:
                cluster.set_node(name, state)
        case ("availability", name, availability):
            if cluster.tables.get(Node, name) is not None:
                cluster.set_node(name, availability=availability)
        case ("cpus", name, cpus):
            if cluster.tables.get(Node, name) is not None:
                cluster.describe(name, nano_cpus=cpus * SECOND_NS)
        case ("delete node", name):
            if cluster.tables.get(Node, name) is not None:
                cluster.write(lambda draft: draft.delete(Node, name))
        case ("fail", number, state):
            tasks = [
                t
                for t in cluster.tables.all(Task)
                if t.node_id and TaskState.ASSIGNED <= t.status.state < state
            ]
            if tasks:
                cluster.report(tasks[number % len(tasks)], state)
        case ("agents",):
            cluster.agents()
        case ("run", seconds):
            cluster.run(seconds, step_ms=500)
        case ("new leader",):
            cluster.new_leader()
        case ("interfere", on):
            cluster.interfere = (
                (lambda: cluster.agents() if cluster.dice.random() < 0.5 else None) if on else None
            )


def act_on_service(cluster: PlannerCluster, what: object, id: str, *rest: object) -> None:
    match what, rest:
        case "scale", (replicas,):
            if cluster.revision(id).spec.mode.kind is ServiceModeKind.REPLICATED:
                cluster.scale(id, replicas)
        case "image", (image,):
            cluster.update(
                id,
                lambda s: replace(s, task=replace(s.task, container=replace(s.task.container, image=image))),
            )
        case "force", ():
            cluster.update(id, lambda spec: spec, force=True)
        case "constrain", (name,):
            cluster.update(
                id,
                lambda s: replace(
                    s,
                    task=replace(
                        s.task, placement=replace(s.task.placement, constraints=(f"node.hostname!={name}",))
                    ),
                ),
            )
        case "remove", ():
            cluster.remove(id)
        case "stop", (stopped,):
            cluster.stop(id, stopped)


def heal(cluster: PlannerCluster) -> None:
    cluster.interfere = None
    for name in NODES:
        if cluster.tables.get(Node, name) is None:
            join(cluster, name)
        cluster.set_node(name, NodeState.READY, Availability.ACTIVE)
        cluster.describe(name, nano_cpus=4 * SECOND_NS)
    for service in list(cluster.tables.all(Service)):
        if service.stopped and not service.pending_delete:
            cluster.stop(service.id, False)
    cluster.run(200, step_ms=1000)


def assert_settled(cluster: PlannerCluster) -> None:
    for service in cluster.tables.all(Service):
        assert not service.pending_delete, "a removed service goes away"
        assert not service.allocation_error
        revision, live = cluster.revision(service.id), cluster.live(service.id)
        state = service.update_status.state
        stand_still = state in (UpdateState.PAUSED, UpdateState.ROLLBACK_PAUSED)
        # Starting first beside tasks that hold all the host ports there are never ends; it says why.
        stuck = any(task.status.err for task in live)
        if not stuck:
            assert state not in (UpdateState.UPDATING, UpdateState.ROLLBACK_STARTED), service.update_status
            places = [(task.slot, task.node_id if not task.slot else "") for task in live]
            assert len(set(places)) == len(places), "one task in each place"
            if revision.spec.mode.kind is ServiceModeKind.REPLICATED:
                assert len(live) == revision.spec.mode.replicas
        for task in live:
            if task.status.state is not TaskState.RUNNING:
                assert task.status.state is TaskState.PENDING, task
                assert task.status.err, "a pending task says why"
            elif not stand_still and not stuck:
                mine = cluster.tables.get(Revision, task.revision_id)
                assert mine is not None
                assert mine.restart_generation == revision.restart_generation
    for task in cluster.tables.all(Task):
        assert task.desired_state < TaskState.SHUTDOWN or task.status.state.terminal, (
            "what is to stop has stopped"
        )
        for endpoint in cluster.tables.find(Endpoint, BY_TASK, task.id):
            running = task.status.state is TaskState.RUNNING
            assert (endpoint.state is EndpointState.ACTIVE) == running


def assert_fits(cluster: PlannerCluster) -> None:
    """No active node has more to run than it has room for, nor more tasks of a service than allowed."""
    reserved: Counter[str] = Counter()
    copies: Counter[tuple[str, str]] = Counter()
    for task in cluster.tables.all(Task):
        if not task.node_id or not TaskState.ASSIGNED <= task.status.state < TaskState.COMPLETE:
            continue
        revision = cluster.tables.get(Revision, task.revision_id)
        assert revision is not None
        if task.desired_state.wants_up:
            reserved[task.node_id] += revision.spec.task.resources.reservations.nano_cpus
        most = revision.spec.task.placement.max_replicas_per_node
        if most and task.desired_state <= TaskState.RUNNING:
            copies[task.service_id, task.node_id] += 1
            assert copies[task.service_id, task.node_id] <= most
    for name, nano_cpus in reserved.items():
        node = cluster.tables.get(Node, name)
        if node is not None and judged(node):
            assert nano_cpus <= node.description.resources.nano_cpus


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(ACTIONS, max_size=25), st.integers(0, 3))
def test_a_cluster_left_alone_comes_right(actions: list[tuple[object, ...]], seed: int) -> None:
    cluster = PlannerCluster(seed, ingress=True)
    cluster.network("a")
    cluster.network("b")
    for name in NODES[:3]:
        join(cluster, name)
    for action in actions:
        act(cluster, action)
        cluster.plan()
        assert_fits(cluster)
    heal(cluster)
    assert_settled(cluster)
    commits = cluster.commits
    cluster.run(30, step_ms=1000)
    assert cluster.commits == commits, "what is settled is left alone"
