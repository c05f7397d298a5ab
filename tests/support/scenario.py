"""Scenario scripts: what happens to a cluster, line by line, and what its leader makes of it.

A file is a list of blocks, separated by empty lines. A block is some commands, then `----`, then what came
of them, in the order in which it was committed. `tests/scenarios/rewrite.py` writes that part anew.

    nodes a b c [zone=x]        network back [10.9.0.0/24]      create web replicas=3 image=web:1 ...
    update web image=web:2      scale web 5                     remove web
    down a | up a | drain a [0s] | pause a | activate a | delete a    silence a
    fail web.1 [complete]       break web:2 | lose web:2        run 2s
    leader                      show web                        stop web | start web
    describe a cpus=2 gpu=x,y   keep job:1                      rollback web [2] | resume web
    hold web:2 preparing        release web:2               ask-network back [ingress]
    drop-network back

A network may be `ipv6`, or `ipv6-only`. `ask-network` and `drop-network` are what people ask of the control API,
which may refuse it.
A job's task completes after it has run for a second, unless its image is one to `keep`.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from msgspec.structs import replace

from covey.errors import Refused
from covey.model.names import place_name
from covey.model.objects import Endpoint, Network, Node, Object, Revision, Service, Task
from covey.model.specs import (
    ContainerSpec,
    EndpointSpec,
    GenericResource,
    NetworkAttachmentSpec,
    NetworkSpec,
    PortConfig,
    Resources,
    ServiceSpec,
    SpreadPreference,
)
from covey.model.states import (
    Availability,
    FailureAction,
    NodeState,
    PublishMode,
    RestartCondition,
    ServiceModeKind,
    TaskState,
    UpdateOrder,
    UpdateState,
)
from manager.control.lookup import find_network
from manager.control.networks import create_network, end_removal, remove_network, waits_for
from manager.store.draft import Draft
from tests.support import raft_scenario
from tests.support.planner_cluster import PlannerCluster

RULE = "----"
FRESH = ServiceSpec(task=replace(ServiceSpec().task, container=ContainerSpec(image="web:1")))


def rewritten(text: str) -> str:
    """The same scenario with the transcript that the code of today gives."""
    world = World()
    blocks = []
    for block in text.strip().split("\n\n"):
        script = block.split(f"\n{RULE}", 1)[0]
        outcome = world.play(script)
        blocks.append("\n".join([script, RULE, *outcome]) if RULE in block or outcome else script)
    return "\n\n".join(blocks) + "\n"


def written_anew(path: Path) -> str:
    """What the code of today makes of a scenario; those of the Raft core have a language of their own."""
    play = raft_scenario.rewritten if path.name.startswith("raft_") else rewritten
    return play(path.read_text())


def scenarios() -> list[Path]:
    return sorted((Path(__file__).parents[1] / "scenarios").glob("*.txt"))


class World(PlannerCluster):
    """A cluster that notes what is committed."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.numbers: dict[str, int] = {}
        self.places: dict[str, str] = {}  # of tasks, also once their revision is gone
        self.broken: set[str] = set()
        self.lost: set[str] = set()
        self.kept: set[str] = set()
        self.held: dict[str, TaskState] = {}  # how far tasks of an image come
        self.started_ms = 0
        super().__init__(ingress=True)
        self.fails = self._breaks
        self.finishes = self._completes
        self.holds = self._held
        self.notes.clear()

    def play(self, script: str) -> list[str]:
        self.notes.clear()
        self.started_ms = self.now_ms
        for line in script.splitlines():
            words = line.partition("#")[0].split()
            if words:
                self._do(words[0], words[1:])
                self.plan()
        return list(self.notes)

    def _do(self, verb: str, rest: list[str]) -> None:
        match verb, rest:
            case "nodes", names:
                settings = dict(word.split("=", 1) for word in names if "=" in word)
                cpus = float(settings.pop("cpus", "4"))
                for name in (word for word in names if "=" not in word):
                    self.node(name, cpus=cpus, memory=4 << 30, **settings)
            case "network", [name, *words]:
                spec = network_spec(name, words)
                subnet = next((word for word in words if "/" in word), "")
                self.network(name, subnet, ipv4=spec.ipv4, ipv6=spec.ipv6)
            case "ask-network", [name, *ingress]:
                self._ask(lambda draft: create_network(draft, network_spec(name, ingress), self.dice))
            case "drop-network", [name]:
                self._drop_network(name)
            case "create", [name, *words]:
                self.create(spec_with(replace(FRESH, name=name), words))
            case "update", [name, *words]:
                self.update(f"svc-{name}", lambda spec: spec_with(spec, words), force="force" in words)
            case "scale", [name, count]:
                self.scale(f"svc-{name}", int(count))
            case "remove", [name]:
                self.remove(f"svc-{name}")
            case "stop" | "start", [name]:
                self.stop(f"svc-{name}", verb == "stop")
            case "down" | "up", [name]:
                self.set_node(name, NodeState.DOWN if verb == "down" else NodeState.READY)
            case "drain", [name, deadline]:
                self.set_node(name, None, Availability.DRAIN, float(deadline.removesuffix("s")))
            case "drain" | "pause" | "activate", [name]:
                wanted = {"drain": Availability.DRAIN, "pause": Availability.PAUSE}.get(
                    verb, Availability.ACTIVE
                )
                self.set_node(name, availability=wanted)
            case "delete", [name]:
                self.write(lambda draft: draft.delete(Node, name))
            case "label", [name, *words]:
                self.set_node(name, **dict(word.split("=", 1) for word in words))
            case "describe", [name, *words]:
                self.describe(name, **resources_of(words))
            case "silence", [name]:
                self.silent ^= {name}
            case "fail", [name, *how]:
                state = TaskState[how[0].upper()] if how else TaskState.FAILED
                self.report(self._task(name), state)
            case "break", [image]:
                self.broken.add(image)
            case "lose", [image]:
                self.lost.add(image)
            case "keep", [image]:
                self.kept.add(image)
            case "hold", [image, state]:
                self.held[image] = TaskState[state.upper()]
            case "release", [image]:
                del self.held[image]
            case "rollback", [name, *number]:
                self.roll_back(f"svc-{name}", int(number[0]) if number else 0)
            case "resume", [name]:
                self.resume(f"svc-{name}")
            case "run", [time]:
                self.run(float(time.removesuffix("s")))
            case "leader", []:
                self.new_leader()
            case "show", [name]:
                self._show(f"svc-{name}")
            case _:
                raise AssertionError(f"no such command: {verb} {' '.join(rest)}")

    def _ask(self, change: Callable[[Draft], object]) -> None:
        try:
            self.write(change)
        except Refused as refusal:
            self.notes.append(f"refused: {refusal}")

    def _drop_network(self, name: str) -> None:
        """Remove a network as the server does: marked first, then gone if nothing is on it."""
        network = find_network(self.tables, name)
        self._ask(lambda draft: remove_network(draft, network.id))
        if (marked := self.tables.get(Network, network.id)) is not None and marked.pending_delete:
            self._ask(lambda draft: end_removal(draft, network.id))

    def _breaks(self, task: Task) -> TaskState | None:
        """Tasks of a broken image end as soon as they should start, those of a lost one on the way there."""
        image = self._spec(task).task.container.image
        if image in self.lost and TaskState.ASSIGNED < task.status.state < TaskState.READY:
            return TaskState.REJECTED
        may_run = TaskState.RUNNING <= task.desired_state < TaskState.SHUTDOWN
        starting = task.status.state >= TaskState.READY and may_run
        return TaskState.FAILED if image in self.broken and starting else None

    def _held(self, task: Task, state: TaskState) -> bool:
        furthest = self.held.get(self._spec(task).task.container.image, TaskState.RUNNING)
        return furthest < state < TaskState.COMPLETE

    def _completes(self, task: Task) -> bool:
        ran_ms = self.now_ms - task.status.at_ns // 1_000_000
        return ran_ms >= 1000 and self._spec(task).task.container.image not in self.kept

    def _spec(self, task: Task) -> ServiceSpec:
        revision = self.tables.get(Revision, task.revision_id)
        return revision.spec if revision else FRESH

    def _task(self, name: str) -> Task:
        service, _, place = name.partition(".")
        return next(t for t in self.live(f"svc-{service}") if self._place(t) == place)

    def _place(self, task: Task) -> str:
        return place_name(self._spec(task).mode.kind, task)

    # --- what is noted ---

    def tell(self) -> None:
        for commit in self.news:
            at = f"{(commit.at_ns // 1_000_000 - self.started_ms) / 1000:6.3f}s"
            for change in commit.changes:
                self.notes.extend(f"{at} {note}" for note in self._notes(change.before, change.after))
        super().tell()

    def _notes(self, before: Object | None, after: Object | None) -> Iterator[str]:
        if isinstance(before, Task) or isinstance(after, Task):
            yield from self._task_notes(before, after)
        elif isinstance(after, Service):
            was = before if isinstance(before, Service) else Service()
            if after.update_status != was.update_status and after.update_status.state is not UpdateState.NONE:
                yield f"{after.name}: {self._legible(after.update_status.message)}"
            if after.allocation_error and after.allocation_error != was.allocation_error:
                yield f"{after.name}: {after.allocation_error}"
            if after.ports != was.ports:
                yield f"{after.name}: publishes {', '.join(map(port_text, after.ports)) or 'nothing'}"
            if after.virtual_ips != was.virtual_ips:
                yield f"{after.name}: virtual IPs {', '.join(ip.address for ip in after.virtual_ips) or 'none'}"
        elif isinstance(before, Service):
            yield f"{before.name}: gone"
        elif isinstance(after, Network) and (not isinstance(before, Network) or before.vni != after.vni):
            if after.vni or after.allocation_error:
                what = f"VNI {after.vni}, {', '.join(s.cidr for s in after.subnets)}"
                yield f"network {after.spec.name}: {after.allocation_error or what}"
        elif isinstance(after, Network) and after.pending_delete:
            yield f"network {after.spec.name}: to be removed, {waits_for(self.tables, after)}"
        elif isinstance(before, Network) and after is None:
            yield f"network {before.spec.name}: gone"

    def _task_notes(self, before: Object | None, after: Object | None) -> Iterator[str]:
        was = before if isinstance(before, Task) else Task(desired_state=TaskState.NEW)
        if not isinstance(after, Task):
            yield f"{self._name(was)}: forgotten"
            return
        words = []
        if before is None:
            words.append("new")
        if after.node_id != was.node_id and after.status.state >= TaskState.ASSIGNED:
            words.append(f"on {after.node_id}")
        if after.desired_state != was.desired_state:
            words.append(f"to be {after.desired_state.name.lower()}")
        state = after.status.state
        if state != was.status.state and (state is TaskState.RUNNING or state.terminal):
            words.append(state.name.lower())
        if after.status.err and after.status.err != was.status.err:
            words.append(after.status.err)
        if after.status.message != was.status.message and after.status.message.startswith("restarting"):
            words.append(after.status.message)
        if words:
            yield f"{self._name(after)}: {', '.join(words)}"

    def _name(self, task: Task) -> str:
        place = f"{task.service_id.removeprefix('svc-')}.{self.places.setdefault(task.id, self._place(task))}"
        if task.id not in self.numbers:
            self.numbers[task.id] = 1 + sum(key.startswith(f"{place} ") for key in self.numbers)
            self.numbers[f"{place} {task.id}"] = 0
        return f"{place}#{self.numbers[task.id]}"

    def _legible(self, message: str) -> str:
        """Task ids are random; names are not."""
        for task in self.tables.all(Task):
            message = message.replace(task.id, self._name(task))
        return message

    def _show(self, id: str) -> None:
        service, spec = self.service(id), self.revision(id).spec
        self.notes.append(f"{service.name}: revision {self.revision(id).number}, {spec.task.container.image}")
        for task in self.live(id):
            image = self.tables.get(Revision, task.revision_id).spec.task.container.image
            mine = [e for e in self.tables.all(Endpoint) if e.task_id == task.id]
            endpoints = sorted("+".join(e.addresses) for e in mine)
            where = f"{task.node_id or '-'} {task.status.state.name.lower()} {image}"
            self.notes.append(f"  {self._name(task)}: {where} {' '.join(endpoints)}".rstrip())


def port_text(port: PortConfig) -> str:
    return f"{port.published_port}:{port.target_port}/{port.protocol.name.lower()} {port.publish_mode.name.lower()}"


def network_spec(name: str, words: list[str]) -> NetworkSpec:
    alone = "ipv6-only" in words
    return NetworkSpec(name=name, ingress="ingress" in words, ipv4=not alone, ipv6=alone or "ipv6" in words)


def spec_with(spec: ServiceSpec, words: list[str]) -> ServiceSpec:
    """Change a spec as the words say."""
    task, mode, update = spec.task, spec.mode, spec.update
    ports = spec.endpoint.ports
    for word in words:
        key, _, value = word.partition("=")
        match key:
            case "image":
                task = replace(task, container=replace(task.container, image=value))
            case "replicas":
                mode = replace(mode, replicas=int(value))
            case "mode":
                mode = replace(mode, kind=ServiceModeKind[value.upper().replace("-", "_")])
            case "total":
                mode = replace(mode, total_completions=int(value))
            case "at-once":
                mode = replace(mode, max_concurrent=int(value))
            case "networks":
                task = replace(
                    task, networks=tuple(NetworkAttachmentSpec(f"net-{n}") for n in value.split(","))
                )
            case "cpus":
                reservations = Resources(nano_cpus=int(float(value) * 1e9))
                task = replace(task, resources=replace(task.resources, reservations=reservations))
            case "constraint":
                placement = replace(task.placement, constraints=(*task.placement.constraints, value))
                task = replace(task, placement=placement)
            case "spread":
                task = replace(
                    task, placement=replace(task.placement, preferences=(SpreadPreference(value),))
                )
            case "max-per-node":
                task = replace(task, placement=replace(task.placement, max_replicas_per_node=int(value)))
            case "restart":
                condition = RestartCondition[value.upper().replace("-", "_")]
                task = replace(task, restart=replace(task.restart, condition=condition))
            case "restart-delay":
                task = replace(task, restart=replace(task.restart, delay_ns=duration_ns(value)))
            case "max-attempts":
                task = replace(task, restart=replace(task.restart, max_attempts=int(value)))
            case "publish" | "host-port":
                published, _, target = value.rpartition(":")
                how = PublishMode.HOST if key == "host-port" else PublishMode.INGRESS
                ports = (
                    *ports,
                    PortConfig(target_port=int(target), published_port=int(published or 0), publish_mode=how),
                )
            case "parallelism":
                update = replace(update, parallelism=int(value))
            case "delay":
                update = replace(update, delay_ns=duration_ns(value))
            case "start-deadline":
                update = replace(update, start_deadline_ns=duration_ns(value))
            case "monitor":
                update = replace(update, monitor_ns=duration_ns(value))
            case "order":
                update = replace(update, order=UpdateOrder[value.upper().replace("-", "_")])
            case "action":
                update = replace(update, failure_action=FailureAction[value.upper()])
            case "ratio":
                update = replace(update, max_failure_ratio=float(value))
            case "force":
                pass
            case _:
                raise AssertionError(f"no such setting: {word}")
    return replace(
        spec, task=task, mode=mode, update=update, rollback=update, endpoint=EndpointSpec(ports=ports)
    )


def resources_of(words: list[str]) -> dict[str, object]:
    """What a node says that it has: `cpus=2`, `memory=4` (GiB), `gpu=x,y` by name, `ssd=3` by number."""
    said: dict[str, object] = {}
    generic: list[GenericResource] = []
    for word in words:
        key, _, value = word.partition("=")
        match key:
            case "cpus":
                said["nano_cpus"] = int(float(value) * 1e9)
            case "memory":
                said["memory_bytes"] = int(value) << 30
            case _ if value.isdigit():
                generic.append(GenericResource(key, "", int(value)))
            case _:
                generic.extend(GenericResource(key, name, 1) for name in value.split(","))
    return {**said, "generic": tuple(generic)} if generic else said


def duration_ns(text: str) -> int:
    return int(float(text.removesuffix("s")) * 1e9)
