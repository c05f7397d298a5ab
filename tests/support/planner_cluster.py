"""A cluster for planners: a store without a log, the leader's machine, and agents that do as they are told.

Time is virtual and moves only in `run`. `agents` is a model of what agents do: each step takes every task
one state further towards what is desired of it. After every commit all invariants are checked.
"""

from collections import Counter, deque
from collections.abc import Callable
from random import Random
from typing import Any

from msgspec.structs import replace

from covey import errors, limits
from covey.ids import new_id
from covey.machine import Tick
from covey.model.objects import (
    Cluster,
    Network,
    Node,
    NodeDescription,
    NodeStatus,
    Revision,
    Service,
    Task,
    TaskStatus,
)
from covey.model.reasons import with_reason
from covey.model.specs import ClusterSpec, IpamConfig, NetworkSpec, NodeSpec, Platform, Resources, ServiceSpec
from covey.model.states import Availability, NodeState, TaskState
from manager.leader.invariants import validate
from manager.leader.machine import Changed, Committed, Leader, Refused
from manager.orchestrator import revisions
from manager.store.draft import Draft
from manager.store.tables import Tables
from manager.store.transaction import Commit
from manager.store.view import BY_SERVICE

LIFE = (
    TaskState.ASSIGNED,
    TaskState.ACCEPTED,
    TaskState.PREPARING,
    TaskState.READY,
    TaskState.STARTING,
    TaskState.RUNNING,
)


class PlannerCluster:
    """Nodes, services and tasks under one leader."""

    def __init__(
        self,
        seed: int = 1,
        *,
        ingress: bool = False,
        spec: ClusterSpec | None = None,
        in_turns: bool = False,
    ) -> None:
        self.dice = Random(seed)
        self.in_turns = in_turns
        self.between: Callable[[], None] | None = None  # what happens between two planners' turns
        self.now_ms = 1_000
        self.tables = Tables()
        self.checked = True
        self.fails: Callable[[Task], TaskState | None] = lambda task: None  # which tasks end, and how
        self.holds: Callable[[Task, TaskState], bool] = lambda task, state: (
            False
        )  # which never come to a state
        self.finishes: Callable[[Task], bool] = lambda task: True  # which running tasks of jobs complete now
        self.silent: set[str] = set()  # nodes whose agents say nothing
        self.interfere: Callable[[], None] | None = None  # what happens while a plan is on its way
        self.news: deque[Commit] = deque()  # committed, and the leader has not heard of it yet
        self.narrow = False  # passes are made to have room for few objects
        self.commits = 0
        self.refusals = 0
        self.write(lambda draft: draft.put(Cluster(id=new_id(self.dice), spec=spec or ClusterSpec())))
        if ingress:
            self.network("ingress", ingress=True)
        self.new_leader()

    def now_ns(self) -> int:
        return self.now_ms * 1_000_000

    # --- what others write ---

    def write(self, change: Callable[[Draft], object]) -> None:
        draft = Draft(self.tables)
        change(draft)
        if transaction := draft.transaction():
            commit = self.tables.commit(transaction, self.now_ns())
            self.news.append(commit)

    def node(self, name: str, cpus: float = 0, memory: int = 0, **labels: str) -> Node:
        node = Node(
            id=name,
            spec=NodeSpec(labels=labels),
            description=NodeDescription(
                hostname=name,
                platform=Platform("linux", "amd64"),
                resources=Resources(nano_cpus=int(cpus * 1e9), memory_bytes=memory),
            ),
            status=NodeStatus(state=NodeState.READY, address=f"192.0.2.{len(name)}:5000"),
        )
        self.write(lambda draft: draft.put(node))
        return node

    def network(self, name: str, subnet: str = "", *, ip_range: str = "", **spec: Any) -> str:
        ipam = (IpamConfig(subnet=subnet, ip_range=ip_range),) if subnet else ()
        network = Network(id=f"net-{name}", spec=NetworkSpec(name=name, ipam=ipam, **spec))
        self.write(lambda draft: draft.put(network))
        return network.id

    def create(self, spec: ServiceSpec) -> str:
        service_id = f"svc-{spec.name}"

        def change(draft: Draft) -> None:
            revision = revisions.first_revision(service_id, spec, self.dice)
            draft.put(revision)
            draft.put(revisions.adopt(Service(id=service_id, name=spec.name), None, revision))

        self.write(change)
        return service_id

    def update(
        self, service_id: str, change_spec: Callable[[ServiceSpec], ServiceSpec], *, force: bool = False
    ) -> None:
        def change(draft: Draft) -> None:
            service = self.service(service_id)
            current = self.revision(service_id)
            after = revisions.next_revision(
                service, current, change_spec(current.spec), self.dice, force=force
            )
            draft.put(after)
            draft.put(revisions.adopt(service, current, after))

        self.write(change)

    def roll_back(self, service_id: str, number: int = 0) -> None:
        service, current = self.service(service_id), self.revision(service_id)
        to = revisions.find_rollback(current, self.tables.find(Revision, BY_SERVICE, service_id), number)
        back = revisions.rolled_back(service, current, to, self.dice, author="somebody")
        self.write(lambda draft: draft.put(back))
        after = revisions.rolling_back(service, current, back, self.now_ns())
        self.write(lambda draft: draft.put(after))

    def resume(self, service_id: str) -> None:
        self.write(lambda draft: draft.put(revisions.resumed(self.service(service_id))))

    def scale(self, service_id: str, replicas: int) -> None:
        self.update(service_id, lambda spec: replace(spec, mode=replace(spec.mode, replicas=replicas)))

    def stop(self, service_id: str, stopped: bool = True) -> None:
        self.write(lambda draft: draft.put(replace(self.service(service_id), stopped=stopped)))

    def remove(self, service_id: str) -> None:
        self.write(lambda draft: draft.put(replace(self.service(service_id), pending_delete=True)))

    def set_node(
        self,
        id: str,
        state: NodeState | None = None,
        availability: Availability | None = None,
        deadline_s: float | None = None,
        **labels: str,
    ) -> None:
        node = self.tables.get(Node, id)
        assert node is not None
        if state is not None:
            node = replace(node, status=replace(node.status, state=state))
        if availability is not None:
            node = replace(node, spec=replace(node.spec, availability=availability))
        if deadline_s is not None:
            node = replace(node, spec=replace(node.spec, drain_deadline_ns=int(deadline_s * 1e9)))
        if labels:
            node = replace(node, spec=replace(node.spec, labels={**node.spec.labels, **labels}))
        self.write(lambda draft: draft.put(node))

    def describe(self, id: str, **changes: object) -> None:
        """Have a node say something else: `platform`, `data_address`, `networking`, or amounts of `Resources`."""
        node = self.tables.get(Node, id)
        assert node is not None
        said = node.description
        for name in ("platform", "data_address", "networking"):
            if name in changes:
                said = replace(said, **{name: changes.pop(name)})
        if changes:
            said = replace(said, resources=replace(said.resources, **changes))
        self.write(lambda draft: draft.put(replace(node, description=said)))

    def report(self, task: Task, state: TaskState, err: str = "") -> None:
        present = self.tables.get(Task, task.id)
        assert present is not None
        assert state > present.status.state
        status = TaskStatus(state, state.name.lower(), err, self.now_ns())
        after = replace(present, status=with_reason(present, status))
        self.write(lambda draft: draft.put(after))

    # --- what happens by itself ---

    def plan(self) -> None:
        """Run every pass that is due now, and those that follow from them without time passing."""
        for _ in range(1000):
            self.tell()
            wake_at_ms = self.leader.wake_at_ms
            if wake_at_ms is None or wake_at_ms > self.now_ms + 5:
                self.check(at_rest=True)
                return
            self.now_ms = max(self.now_ms, wake_at_ms)
            self._tick()
        raise AssertionError("the planners never come to rest")

    def tell(self) -> None:
        """Have the leader hear of every commit it has not heard of."""
        while self.news:
            self.leader.step(Changed(self.news.popleft()))

    def _tick(self) -> None:
        if self.between is not None:
            self.between()
            self.tell()
        for effect in self.leader.step(Tick(self.now_ms)):
            if self.interfere is not None:
                self.interfere()
            try:
                self.news.append(self.tables.commit(effect.transaction, self.now_ns()))
            except errors.Conflict as error:
                self.refusals += 1
                self.leader.step(Refused(error))
            else:
                self.commits += 1
                self.leader.step(Committed())
                wake_at_ms = self.leader.wake_at_ms
                more = wake_at_ms is not None and wake_at_ms <= self.now_ms + limits.planner_debounce_ms
                # after a refusal a pass has room for fewer objects, and may have left some
                small = self.narrow or self.refusals > 0
                self.check(at_rest=self.interfere is None and not (more and small))

    def check(self, *, at_rest: bool) -> None:
        if self.checked:
            wrong = validate(self.tables, at_rest=at_rest)
            assert not wrong, "\n".join(wrong)

    def agents(self) -> None:
        """Let every agent that can be heard take each of its tasks one step further."""

        def change(draft: Draft) -> None:
            for task in draft.all(Task):
                node = draft.get(Node, task.node_id) if task.node_id else None
                if node is None or node.id in self.silent or node.status.state is NodeState.DOWN:
                    continue
                state = self._next(task)
                if state is not None and not self.holds(task, state):
                    status = TaskStatus(state, state.name.lower(), "", self.now_ns())
                    draft.put(replace(task, status=with_reason(task, status)))

        self.write(change)

    def _next(self, task: Task) -> TaskState | None:
        state = task.status.state
        if state < TaskState.ASSIGNED or state.terminal:
            return None
        if task.desired_state >= TaskState.SHUTDOWN:
            return TaskState.SHUTDOWN
        if (end := self.fails(task)) is not None:
            return end
        if state < TaskState.RUNNING and state < task.desired_state:
            return LIFE[LIFE.index(state) + 1]
        if task.desired_state is TaskState.COMPLETE and self.finishes(task):
            return TaskState.COMPLETE
        return None

    def run(self, seconds: float = 1.0, step_ms: int = 100) -> None:
        """Let time pass: planners plan, agents act."""
        until_ms = self.now_ms + int(seconds * 1000)
        while True:
            self.plan()
            self.agents()
            self.plan()
            if self.now_ms >= until_ms:
                return
            self.now_ms = max(min(self.now_ms + step_ms, until_ms), self.now_ms)
            self.tell()
            self._tick()

    def new_leader(self) -> None:
        """Have another machine take over, with nothing but the store."""
        self.news.clear()
        self.leader = Leader(self.tables, self.dice, self.now_ms, self.now_ns, self.in_turns)
        if self.in_turns:
            for _turn in self.leader.read(self.tables.objects()):
                pass

    # --- what there is ---

    def service(self, service_id: str) -> Service:
        service = self.tables.get(Service, service_id)
        assert service is not None
        return service

    def revision(self, service_id: str) -> Revision:
        revision = self.tables.get(Revision, self.service(service_id).revision_id)
        assert revision is not None
        return revision

    def generation(self, task: Task) -> int:
        revision = self.tables.get(Revision, task.revision_id)
        assert revision is not None
        return revision.restart_generation

    def tasks(self, service_id: str) -> list[Task]:
        return list(self.tables.find(Task, BY_SERVICE, service_id))

    def live(self, service_id: str) -> list[Task]:
        tasks = [
            t for t in self.tasks(service_id) if t.desired_state.wants_up and not t.status.state.terminal
        ]
        return sorted(tasks, key=lambda t: (t.slot, t.node_id))

    def running(self, service_id: str) -> list[Task]:
        return [t for t in self.live(service_id) if t.status.state is TaskState.RUNNING]

    def spread(self, service_id: str) -> dict[str, int]:
        return dict(sorted(Counter(task.node_id for task in self.live(service_id)).items()))
