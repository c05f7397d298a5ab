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
from manager.store.view import BY_SERVICE
from tests.sim.host import character_of
from tests.sim.runs import place_of

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
    pending = any(t.status.state is TaskState.PENDING and t.status.err for t in tasks)
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
        yield from _of_job(tables, revision, tasks)
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
    waiting = {place_of(t, revision) for t in tasks if t.status.state is TaskState.PENDING and t.status.err}
    standing = places.keys() | waiting
    if kind is ServiceModeKind.GLOBAL:
        lacking = [
            node.id for node in _eligible(tables, revision) if (service.id, 0, node.id) not in standing
        ]
        if lacking:
            yield f"does not run on {lacking}"
    elif len(standing) != revision.spec.mode.replicas:
        yield f"runs {len(standing)} of {revision.spec.mode.replicas}"


def _restless(revision: Revision) -> bool:
    """Whether tasks of this revision never come to rest."""
    like = character_of(revision.spec.task.container.image)
    ends = like.fails > 0 and not revision.spec.mode.kind.job
    return like.absent or ends or like.sickens > 0 or like.well_ms[0] > CALM_MS


def _of_job(tables: Tables, revision: Revision, tasks: list[Task]) -> Iterator[str]:
    mode = revision.spec.mode
    done, waiting = set(), set()
    for task in tasks:
        mine = tables.get(Revision, task.revision_id)
        if mine is None or mine.restart_generation != revision.restart_generation:
            continue
        if task.status.state is TaskState.COMPLETE:
            done.add(place_of(task, revision))
        elif task.status.state is TaskState.PENDING and task.status.err:
            waiting.add(place_of(task, revision))
    if mode.kind is ServiceModeKind.GLOBAL_JOB:
        lacking = [
            node.id for node in _eligible(tables, revision) if (revision.service_id, 0, node.id) not in done
        ]
        if lacking:
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
