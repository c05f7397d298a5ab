"""A node's world for the tasks machine: assignments to give it, and a host that carries its actions out."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from agent.health.checks import Probe, Probed
from agent.images.seam import ImageConfig, LocalImage
from agent.runtime.seam import ContainerState, ExecResult, Exit, Observed
from agent.tasks.assigned import KINDS
from agent.tasks.events import (
    Action,
    Attach,
    Cancel,
    Close,
    Create,
    Discard,
    Drain,
    Effect,
    Event,
    Exited,
    Failure,
    Finished,
    Local,
    Pull,
    Rebuild,
    Release,
    Report,
    Restored,
    Result,
    Save,
    Signal,
    Start,
    Sweep,
    TableSettled,
    Trouble,
    Watch,
)
from agent.tasks.files import NodeFacts
from agent.tasks.io.actions import _ACTS
from agent.tasks.machine import Tasks
from covey.machine import Tick
from covey.model.assignments import Assignments, AssignmentSet, TaskReport
from covey.model.objects import ClusterVersion, Endpoint, Network, Revision, Subnet, Task, TaskStatus
from covey.model.specs import (
    ContainerSpec,
    EndpointSpec,
    NetworkAttachmentSpec,
    NetworkSpec,
    ServiceSpec,
    TaskSpec,
)
from covey.model.states import TaskState

NODE = NodeFacts(node_id="n1", name="host1")
IMAGE = LocalImage("sha256:1", ("/layers/a",), ImageConfig(cmd=("sleep", "3600")))
ACTIONS = (Pull, Attach, Create, Start, Close, Drain, Signal, Release, Discard)


def revision(id: str = "r1", *, drain_ns: int = 0, **container: object) -> Revision:
    """A revision on one network. Its tasks are asked to end at once, unless `drain_ns` is given."""
    spec = TaskSpec(
        container=ContainerSpec(image="demo/web:1", **container),  # type: ignore[arg-type]
        networks=(NetworkAttachmentSpec(target="net"),),
    )
    whole = ServiceSpec(name="web", task=spec, endpoint=EndpointSpec(drain_ns=drain_ns))
    return Revision(id=id, service_id="web", number=1, spec=whole)


def task(id: str, desired: TaskState = TaskState.RUNNING, state: TaskState = TaskState.ASSIGNED) -> Task:
    return Task(
        id=id,
        service_id="web",
        revision_id="r1",
        slot=1,
        node_id="n1",
        desired_state=desired,
        status=TaskStatus(state=state),
    )


def endpoint(task_id: str, number: int = 1) -> Endpoint:
    return Endpoint(
        id=f"e-{task_id}", network_id="net", node_id="n1", task_id=task_id, addresses=(f"10.0.0.{number}",)
    )


NETWORK = Network(
    id="net", spec=NetworkSpec(name="front"), vni=4096, subnets=(Subnet("10.0.0.0/24", "10.0.0.1"),)
)


def full(*tasks: Task, revisions: Sequence[Revision] = (revision(),), index: int = 1) -> Assignments:
    changed = AssignmentSet(
        tasks=tasks,
        revisions=tuple(revisions),
        networks=(NETWORK,),
        endpoints=tuple(endpoint(t.id, n) for n, t in enumerate(tasks, 2)),
    )
    return Assignments(full=True, version=ClusterVersion(1, index), changed=changed)


@dataclass
class World:
    """A host. `step` feeds the machine and books what it wants; `finish` carries one action out."""

    machine: Tasks = field(default_factory=lambda: Tasks(NODE))
    image: LocalImage = IMAGE
    boxes: dict[str, ContainerState] = field(default_factory=dict)
    exits: dict[str, Exit] = field(default_factory=dict)
    attached: set[str] = field(default_factory=set)
    watched: set[str] = field(default_factory=set)
    pending: dict[str, Action] = field(default_factory=dict)
    probes: dict[str, Probe] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)
    starts: list[str] = field(default_factory=list)
    reports: list[TaskReport] = field(default_factory=list)
    disk: dict[tuple[str, str], object] = field(default_factory=dict)
    effects: list[Effect] = field(default_factory=list)
    now_ms: int = 0

    def step(self, event: Event | Tick) -> list[Effect]:
        effects = list(self.machine.step(event))
        for effect in effects:
            self._book(effect)
        self.effects += effects
        return effects

    def _book(self, effect: Effect) -> None:
        if isinstance(effect, ACTIONS):
            assert effect.task_id not in self.pending, "one action at a time"
            self.pending[effect.task_id] = effect
        match effect:
            case Cancel(task_id):
                assert isinstance(self.pending[task_id], Pull | Drain)
                self.cancelled.add(task_id)
            case Probe(task_id):
                assert self.boxes.get(task_id) is not None, "there is something to ask"
                self.probes[task_id] = effect
            case Watch(task_id):
                self.watched.add(task_id)
            case Report(report):
                self.reports.append(report)
            case Save(kind, id, value):
                self.disk[kind, id] = value
                if value is None:
                    del self.disk[kind, id]
            case Rebuild(_, sandboxes, _):
                self.attached = {sandbox.task_id for sandbox in sandboxes}
            case Sweep(ids):
                for id in ids:
                    self.boxes.pop(id, None)
            case _:
                pass

    def tick(self, ms: int) -> None:
        self.now_ms += ms
        self.step(Tick(self.now_ms))

    def finish(self, task_id: str, failure: Failure | None = None, *, done: bool = True) -> None:
        """End the action under way for a task; with a `failure`, it may have been `done` nevertheless."""
        action = self.pending.pop(task_id)
        self.cancelled.discard(task_id)
        result = self.carry_out(action) if failure is None or done else None
        act = action.act if isinstance(action, Signal) else _ACTS[type(action)]
        self.step(Finished(task_id, act, None if failure else result, failure))

    def carry_out(self, action: Action) -> Result:
        """Do to the host what an action does."""
        id = action.task_id
        match action:
            case Pull():
                return self.image
            case Attach():
                self.attached.add(id)
                return f"/netns/{id}"
            case Create():
                assert id in self.attached
                assert id not in self.boxes or self.boxes[id] is not ContainerState.RUNNING
                self.boxes[id] = ContainerState.CREATED
                return 100
            case Start():
                assert self.boxes[id] is ContainerState.CREATED
                assert id not in self.starts, f"{id} was started twice"
                self.starts.append(id)
                self.boxes[id] = ContainerState.RUNNING
            case Signal(_, _, number):
                if self.boxes.get(id) is ContainerState.RUNNING and number == 9:
                    self.end(id, 137, told=False)
            case Release():
                self.attached.discard(id)
            case Discard():
                self.boxes.pop(id, None)
        return None

    def answer(self, task_id: str, code: int | None = 0, output: str = "", *, trouble: str = "") -> None:
        """End the health check under way for a task. Code None: it took too long."""
        del self.probes[task_id]
        result = ExecResult(code, output, "" if code is not None else "it took longer than 1 s")
        self.step(Probed(task_id, None if trouble else result, trouble))

    def end(self, task_id: str, code: int | None, *, told: bool = True) -> None:
        """Let a running container end; `told`: the agent hears of it."""
        self.boxes[task_id] = ContainerState.EXITED
        self.exits[task_id] = Exit(code)
        if told:
            self.tell_exit(task_id)

    def tell_exit(self, task_id: str) -> None:
        if task_id in self.watched:
            self.watched.discard(task_id)
            self.step(Exited(task_id, self.exits[task_id]))

    def run(self, *task_ids: str) -> None:
        """Carry out everything that is wanted, for these tasks or for all, until nothing is."""
        while ids := [id for id in self.pending if not task_ids or id in task_ids]:
            self.finish(ids[0])
            for id in list(self.watched):
                if self.boxes.get(id) is not ContainerState.RUNNING:
                    self.tell_exit(id) if id in self.exits else self.watched.discard(id)

    def settle(self) -> None:
        self.step(TableSettled("net"))

    def restart(self) -> "World":
        """A new agent on the same host, with what the former one had put on disk."""
        kinds = {kind: [v for (k, _), v in sorted(self.disk.items()) if k == kind] for kind in KINDS}
        stored = AssignmentSet(
            tasks=tuple(kinds["task"]),  # type: ignore[arg-type]
            revisions=tuple(kinds["revision"]),  # type: ignore[arg-type]
            networks=tuple(kinds["network"]),  # type: ignore[arg-type]
            endpoints=tuple(kinds["endpoint"]),  # type: ignore[arg-type]
            nodes=tuple(kinds["node"]),  # type: ignore[arg-type]
        )
        world = World(
            image=self.image,
            boxes=self.boxes,
            exits=self.exits,
            starts=self.starts,
            disk=self.disk,
            now_ms=self.now_ms,
        )
        world.machine.step(Tick(self.now_ms))
        locals = {id: value for (kind, id), value in self.disk.items() if kind == "local"}
        assert all(isinstance(value, Local) for value in locals.values())
        observed = tuple(
            Observed(id, state, 100, self.exits.get(id) if state is ContainerState.EXITED else None)
            for id, state in sorted(self.boxes.items())
        )
        world.step(Restored(stored, locals, observed))  # type: ignore[arg-type]
        return world

    def reboot(self) -> "World":
        """The host starts anew: no container runs, and nobody saw how they ended."""
        for id in self.boxes:
            if self.boxes[id] is not ContainerState.EXITED:
                self.boxes[id], self.exits[id] = (
                    ContainerState.EXITED,
                    Exit(None, reason="the host restarted"),
                )
        self.attached.clear()
        return self.restart()

    def state(self, task_id: str) -> TaskState:
        return self.machine.records[task_id].status.state

    def states(self, task_id: str) -> list[TaskState]:
        """The states that were reported of a task, without repetitions."""
        seen = [r.status.state for r in self.reports if r.task_id == task_id]
        return [s for i, s in enumerate(seen) if i == 0 or s != seen[i - 1]]


PASSING = Failure(Trouble.PASSING, "the registry does not answer")
FATAL = Failure(Trouble.FATAL, "there is no such image")
NOT_BEGUN = Failure(Trouble.NOT_BEGUN, "disk full")
