"""What a cluster comes to once nothing fails and nobody asks for anything: what was asked for, or why not, in words."""

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from covey.model.constraint import parse_all
from covey.model.objects import Node, Revision, Service, Task
from covey.model.states import (
    Availability,
    NodeState,
    ServiceModeKind,
    TaskState,
    UpdateState,
)
from manager.store.tables import Tables
from manager.store.view import BY_NODE, BY_SERVICE
from tests.sim.host import character_of
from tests.sim.runs import Place, Run, place_of

if TYPE_CHECKING:
    from tests.sim.world import World

CALM_MS = 90_000.0  # how long it may take

_UNDER_WAY = (UpdateState.UPDATING, UpdateState.ROLLBACK_STARTED)
_PAUSED = (UpdateState.PAUSED, UpdateState.ROLLBACK_PAUSED)


def unsettled(world: "World", tables: Tables) -> str:
    """Say what is not yet as it should be in the end; nothing if all is."""
    for service in tables.all(Service):
        for wrong in _of_service(world, tables, service):
            return f"service {service.name} {wrong}"
    wanted = {task.id for task in tables.all(Task) if task.desired_state.wants_up}
    if left := world.runs.now.keys() - wanted:
        return f"tasks {sorted(left)[:3]} run, and nobody wants them to"
    for node in tables.all(Node):
        if node.spec.availability is Availability.DRAIN:
            here = [id for id, run in world.runs.now.items() if run.node == node.id]
            if here:
                return f"node {node.id} is drained and still runs {here}"
    return ""


def _of_service(world: "World", tables: Tables, service: Service) -> Iterator[str]:
    if service.pending_delete:
        yield "is still there"
        return
    revision = tables.get(Revision, service.revision_id)
    assert revision is not None
    tasks = list(tables.find(Task, BY_SERVICE, service.id))
    running = [run for run in world.runs.now.values() if run.task.service_id == service.id]
    if service.stopped:
        if running:
            yield f"is stopped, and {len(running)} of its tasks run"
        return
    status = service.update_status
    waiting = _waiting(revision, tasks)
    yield from _waits_for_nothing(world, tables, waiting)
    yield from _places(tables, service, revision, tasks, running)
    pending = bool(waiting)
    if status.state in _UNDER_WAY and (pending or _restless(revision)) and "failure" in status.message:
        return  # it goes on whatever fails, and says what
    if status.state in _UNDER_WAY:
        yield f"is still at it: {status.message}"
    if status.state in _PAUSED and not status.message:
        yield "is paused, and does not say why"
    if _restless(revision) or (
        status.state in _PAUSED and any(_restless(world.history.revisions[t.revision_id]) for t in tasks)
    ):
        return
    kind = revision.spec.mode.kind
    if kind.job:
        yield from _of_job(tables, revision, tasks, waiting)
        return
    if status.state not in _PAUSED:
        for run in running:
            node = tables.get(Node, run.node)
            if node is None or (kind.everywhere and node.spec.availability is not Availability.ACTIVE):
                continue  # nothing new begins on a node that is paused
            if run.revision.restart_generation != revision.restart_generation:
                yield f"still runs {run.task.id} of revision {run.revision.number}"
    places = Counter(run.place for run in running)
    if twice := [place[1:] for place, times in places.items() if times > 1]:
        yield f"runs twice in {twice}"
    lacking = _lacking(tables, revision, {*places, *waiting})
    if lacking:
        yield f"does not run in {lacking}"


def _places(
    tables: Tables, service: Service, revision: Revision, tasks: list[Task], running: list[Run]
) -> Iterator[str]:
    """Whatever images are like, every place is seen to, and no other one."""
    if revision.spec.mode.kind.job:
        return
    wanted = Counter(place_of(t, revision) for t in tasks if t.desired_state.wants_up)
    if lacking := _lacking(tables, revision, set(wanted)):
        yield f"has nothing in {lacking}"
    if len(wanted) > revision.spec.mode.replicas and not revision.spec.mode.kind.everywhere:
        yield f"has {len(wanted)} places of {revision.spec.mode.replicas}"
    if max(wanted.values(), default=0) > 1 and service.update_status.state not in (*_UNDER_WAY, *_PAUSED):
        yield "has more than one task in a place"
    if more := {run.place for run in running} - wanted.keys():
        yield f"still runs in {sorted(more)}"


def _lacking(tables: Tables, revision: Revision, places: set[Place]) -> list[object]:
    """Nodes that have no task of a global service, or how many places others lack."""
    mode, id = revision.spec.mode, revision.service_id
    if mode.kind.everywhere:
        return [node.id for node in _eligible(tables, revision) if (id, 0, node.id) not in places]
    return [f"{mode.replicas - len(places)} of {mode.replicas} places"] * (len(places) < mode.replicas)


def _waiting(revision: Revision, tasks: list[Task]) -> dict[Place, Task]:
    """Tasks that find no node, and say why."""
    return {
        place_of(task, revision): task
        for task in tasks
        if task.status.state is TaskState.PENDING and task.status.err and task.desired_state.wants_up
    }


def _waits_for_nothing(world: "World", tables: Tables, waiting: dict[Place, Task]) -> Iterator[str]:
    """No task waits for a node while one has room for it."""
    for task in waiting.values():
        spec = world.history.revisions[task.revision_id].spec.task
        most, cpus = spec.placement.max_replicas_per_node, spec.resources.reservations.nano_cpus
        for node in _eligible(tables, world.history.revisions[task.revision_id]):
            here = [t for t in tables.find(Task, BY_NODE, node.id) if not t.status.state.terminal]
            alike = sum(t.service_id == task.service_id and t.desired_state.wants_up for t in here)
            held = sum(
                world.history.revisions[t.revision_id].spec.task.resources.reservations.nano_cpus
                for t in here
            )
            room = held + cpus <= node.description.resources.nano_cpus and not 0 < most <= alike
            if room and task.node_id in ("", node.id):
                yield f"has {task.id} wait, though {node.id} has room: {task.status.err}"


def _restless(revision: Revision) -> bool:
    """Whether tasks of this revision never come to rest."""
    like = character_of(revision.spec.task.container.image)
    ends = like.fails > 0 and not revision.spec.mode.kind.job
    return like.absent or ends or like.sickens > 0 or like.well_ms[0] > CALM_MS


def _of_job(
    tables: Tables, revision: Revision, tasks: list[Task], waiting: dict[Place, Task]
) -> Iterator[str]:
    mode = revision.spec.mode
    done = set[Place]()
    for task in tasks:
        mine = tables.get(Revision, task.revision_id)
        if mine is None or mine.restart_generation != revision.restart_generation:
            continue
        if task.status.state is TaskState.COMPLETE:
            done.add(place_of(task, revision))
    if mode.kind is ServiceModeKind.GLOBAL_JOB:
        if lacking := _lacking(tables, revision, done):
            yield f"is not done on {lacking}"
        return
    total = mode.total_completions or mode.max_concurrent or 1
    if len(done) != total and not waiting:
        yield f"has completed {len(done)} of {total}"


def _eligible(tables: Tables, revision: Revision) -> list[Node]:
    constraints = parse_all(revision.spec.task.placement.constraints)
    return [
        node
        for node in tables.all(Node)
        if node.status.state is NodeState.READY
        and node.spec.availability is Availability.ACTIVE
        and all(c.holds(node) for c in constraints)
    ]
