"""Withdrawn is said only when it is true, and always once it is: against a slow and simple judge."""

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from covey.machine import Tick
from covey.model.objects import (
    Cluster,
    ClusterVersion,
    Endpoint,
    Network,
    Node,
    NodeDescription,
    NodeStatus,
    Object,
    Revision,
    Service,
    Task,
    TaskStatus,
)
from covey.model.specs import NetworkSpec
from covey.model.states import EndpointState, NodeState, TaskState
from covey.model.tables import NetworkTable, NetworkTableDelta
from manager.dispatcher.events import (
    Committed,
    Disconnected,
    Effect,
    EndSession,
    Event,
    Registered,
    Send,
    TablesInForce,
    TellWithdrawn,
)
from manager.dispatcher.sessions import Sessions
from manager.store.draft import Draft
from manager.store.tables import Tables
from manager.store.transaction import Commit

NODES, NETWORKS = ("n0", "n1", "n2"), ("a", "b")

Step = tuple[str, int, int]
steps = st.lists(
    st.tuples(
        st.sampled_from(
            ["run", "run", "stop", "stop", "end", "join", "apply", "apply", "leave", "down", "lead"]
        ),
        st.integers(0, 2),
        st.integers(0, 3),
    ),
    min_size=20,
    max_size=60,
)


def described(node: int) -> NodeDescription:
    return NodeDescription(data_address=f"192.0.2.{node}")


class World:
    """A few nodes whose agents apply tables when it pleases them, one leader, and the truth."""

    def __init__(self) -> None:
        self.tables = Tables()
        self.put(
            Cluster(id="c"),
            *[
                Network(id=id, spec=NetworkSpec(name=id), vni=4096 + number)
                for number, id in enumerate(NETWORKS)
            ],
            *[
                Node(id=id, description=described(number), status=NodeStatus(NodeState.READY))
                for number, id in enumerate(NODES)
            ],
            Service(id="web", name="web", revision_id="r"),
            Revision(id="r", service_id="web", number=1),
        )
        self.now_ms = 0
        self.count = 0
        self.sessions: dict[str, str] = {}
        self.sent: dict[str, dict[str, ClusterVersion]] = {id: {} for id in NODES}  # to the agent
        self.follows: dict[str, dict[str, int]] = {id: {} for id in NODES}  # its kernel, by index
        self.told: set[tuple[str, str]] = set()
        self.machine = Sessions(self.tables)

    def put(self, *objects: Object) -> Commit:
        draft = Draft(self.tables)
        for each in objects:
            before = self.tables.get(type(each), each.id)
            draft.put(each if before is None else replace(each, meta=before.meta))
        return self.tables.commit(draft.transaction(), 0)

    def feed(self, *events: Event) -> None:
        self.now_ms += 50
        for event in (*events, Tick(self.now_ms)):
            for effect in self.machine.step(event):
                self.hear(effect)

    def hear(self, effect: Effect) -> None:
        if isinstance(effect, Send) and isinstance(effect.message, NetworkTable | NetworkTableDelta):
            node_id = next(id for id, session in self.sessions.items() if session == effect.session_id)
            self.sent[node_id][effect.message.network_id] = effect.message.version
        if isinstance(effect, EndSession):
            self.sessions = {
                id: session for id, session in self.sessions.items() if session != effect.session_id
            }
        if isinstance(effect, TellWithdrawn):
            for task_id in effect.task_ids:
                self.told.add((effect.session_id, task_id))
                assert not self.holding(task_id), f"{self.holding(task_id)} may still send to {task_id}"

    def holding(self, task_id: str) -> list[str]:
        """Who of the nodes with a session, or thought alive, may still send to a task, and where."""
        found = []
        for endpoint in self.tables.all(Endpoint):
            if endpoint.task_id != task_id:
                continue
            for node in self.tables.all(Node):
                on = any(
                    e.node_id == node.id and e.network_id == endpoint.network_id
                    for e in self.tables.all(Endpoint)
                )
                alive = node.status.state is NodeState.READY or node.id in self.sessions
                follows = self.follows[node.id].get(endpoint.network_id)
                behind = (
                    follows is not None and follows < endpoint.meta.version
                )  # with no table it sends nothing
                if on and alive and behind:
                    found.append(f"{node.id} on {endpoint.network_id}")
        return found

    # --- what happens ---

    def run(self, node: int, where: int) -> None:
        """A task begins on a node, on one network, on both, or on none."""
        self.count += 1
        status = TaskStatus(TaskState.RUNNING)
        task = Task(f"t{self.count}", service_id="web", revision_id="r", node_id=NODES[node], status=status)
        ends = [
            Endpoint(
                f"e{self.count}{id}",
                network_id=id,
                node_id=NODES[node],
                task_id=task.id,
                service_id="web",
                addresses=(f"10.0.0.{self.count}",),
                state=EndpointState.ACTIVE,
            )
            for bit, id in enumerate(NETWORKS)
            if where >> bit & 1
        ]
        self.feed(Committed(self.put(task, *ends)))

    def stop(self, node: int, which: int) -> None:
        tasks = [t for t in self.tables.all(Task) if t.desired_state.wants_up and t.node_id == NODES[node]]
        if tasks:
            task = tasks[which % len(tasks)]
            ends = [
                replace(e, state=EndpointState.DRAINING)
                for e in self.tables.all(Endpoint)
                if e.task_id == task.id
            ]
            self.feed(Committed(self.put(replace(task, desired_state=TaskState.SHUTDOWN), *ends)))

    def end(self, node: int, which: int) -> None:
        tasks = [t for t in self.tables.all(Task) if t.node_id == NODES[node] and not t.status.state.terminal]
        if tasks:
            task = tasks[which % len(tasks)]
            draft = Draft(self.tables)
            draft.put(replace(task, status=TaskStatus(TaskState.SHUTDOWN)))
            for endpoint in [e for e in self.tables.all(Endpoint) if e.task_id == task.id]:
                draft.delete(Endpoint, endpoint.id)
            self.feed(Committed(self.tables.commit(draft.transaction(), 0)))
            on = {e.network_id for e in self.tables.all(Endpoint) if e.node_id == NODES[node]}
            for known in (self.follows[NODES[node]], self.sent[NODES[node]]):
                for network_id in known.keys() - on:
                    del known[network_id]

    def join(self, node: int, _: int) -> None:
        """An agent opens a session, and says what its host follows."""
        id = NODES[node]
        self.count += 1
        self.sessions[id] = f"s{self.count}"
        self.sent[id] = {}
        self.machine.step(Tick(self.now_ms))
        ready = replace(self.tables.get(Node, id) or Node(id), status=NodeStatus(NodeState.READY))
        self.feed(
            Registered(self.sessions[id], id, "", described(node), ClusterVersion()),
            Committed(self.put(ready)),
        )
        self.say(id)

    def apply(self, node: int, _: int) -> None:
        id = NODES[node]
        if id in self.sessions:
            for network_id, version in self.sent[id].items():
                self.follows[id][network_id] = version.index
            self.say(id)

    def say(self, id: str) -> None:
        versions = tuple(
            (network_id, ClusterVersion(1, index)) for network_id, index in self.follows[id].items()
        )
        self.feed(TablesInForce(self.sessions[id], versions))

    def leave(self, node: int, _: int) -> None:
        if (session_id := self.sessions.pop(NODES[node], None)) is not None:
            self.feed(Disconnected(session_id))

    def down(self, node: int, _: int) -> None:
        self.leave(node, 0)
        known = self.tables.get(Node, NODES[node])
        assert known is not None
        self.feed(Committed(self.put(replace(known, status=NodeStatus(NodeState.DOWN)))))

    def lead(self, _: int, __: int) -> None:
        """Another manager leads: it knows only what is in the store."""
        self.sessions.clear()
        self.machine = Sessions(self.tables)

    def settle(self) -> None:
        """Everybody comes back and follows everything."""
        for number in range(len(NODES)):
            self.join(number, 0)
        for number in range(len(NODES)):
            self.apply(number, 0)


@settings(max_examples=200, deadline=None)
@given(steps)
def test_withdrawn_is_true_when_said_and_is_said_once_true(script: list[Step]) -> None:
    world = World()
    for what, node, which in script:
        getattr(world, what)(node, which)
    world.settle()
    for task in world.tables.all(Task):
        if not task.desired_state.wants_up and not task.status.state.terminal:
            assert (world.sessions[task.node_id], task.id) in world.told, f"nobody was told of {task.id}"
    assert not world.machine.withdrawals.holds
    assert not world.machine.withdrawals.ready
