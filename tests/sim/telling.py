"""A run told in lines, for people who look for what went wrong: what was committed, and what happened on the hosts."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from covey.model.objects import Node, Object, Revision, Service, Task
from manager.store.tables import Tables
from manager.store.transaction import Commit

if TYPE_CHECKING:
    from tests.sim.world import World

_LINES_MAX = 150


@contextmanager
def telling(world: "World", name: str = "") -> Iterator[None]:
    """Print the last lines of the story, of one service and the nodes if its name is given, when it ends."""
    lines: deque[tuple[str, str]] = deque(maxlen=100_000)

    def note(service_id: str, text: str) -> None:
        lines.append((service_id, f"{world.clock.now_ms:9.0f} {text}"))

    def listen(commit: Commit, tables: Tables) -> None:
        if tables.index > world.history.index:
            for change in commit.changes:
                for text in _of_change(world, change.before, change.after):
                    note(_service_of(change.after or change.before), text)
        heard(commit, tables)

    def tell_of_run(what: str, node: str, id: str, how: str) -> None:
        task = world.history.tasks.get(id, Task())
        note(task.service_id, f"      {node}: {task.slot}/{id[:6]} {what} {how}".rstrip())

    heard, world.heard = world.heard, listen  # type: ignore[method-assign]
    world.runs.tell = tell_of_run
    world.tell = lambda text: note("", text)
    try:
        yield
    finally:
        ids = {service.id for service in world.history.services.values() if service.name == name}
        chosen = [text for id, text in lines if not name or not id or id in ids]
        print("\n".join(chosen[-_LINES_MAX:]), flush=True)


def _service_of(item: Object | None) -> str:
    match item:
        case Task() | Revision():
            return item.service_id
        case Service():
            return item.id
        case _:
            return ""


def _of_change(world: "World", before: Object | None, after: Object | None) -> Iterator[str]:
    match after or before:
        case Task() as task:
            yield f"  {task.slot}/{task.id[:6]} {_of_task(world, before, after)}"
        case Service() as service:
            how = " is to go" if service.pending_delete else " is stopped" if service.stopped else ""
            status = service.update_status
            gone = "is gone" if after is None else f"{status.state.name} {status.message}"
            yield f"SERVICE {service.name}{how}: {gone}"
        case Revision() as revision if before is None:
            spec = revision.spec
            yield f"REVISION {revision.number} of generation {revision.restart_generation}: {spec.mode}"
            yield f"    {spec.task.container.image} {spec.update} {spec.task.placement} {spec.task.restart}"
        case Node() as node if not isinstance(before, Node) or _looks(node) != _looks(before):
            yield f"NODE {node.id}: {_looks(node)}"
        case _:
            pass


def _looks(node: Node) -> str:
    return f"{node.status.state.name} {node.spec.availability.name} {node.spec.labels or ''}"


def _of_task(world: "World", before: Object | None, after: Object | None) -> str:
    if not isinstance(after, Task):
        return "forgotten"
    was = before if isinstance(before, Task) else Task()
    new = before is None
    revision = world.history.revisions.get(after.revision_id, Revision())
    words = [f"new, of revision {revision.number}"] if new else []
    if new or after.desired_state is not was.desired_state:
        words.append(f"to be {after.desired_state.name}")
    if after.node_id != was.node_id:
        words.append(f"on {after.node_id}")
    if new or after.status.state is not was.status.state:
        words.append(after.status.state.name)
    if after.status.health is not was.status.health:
        words.append(after.status.health.name)
    if after.status.err and after.status.err != was.status.err:
        words.append(f"({after.status.err})")
    return ", ".join(words)
