"""What is meant: a service by its id, name or the beginning of its id; a task by its id, its beginning, or `web.3`."""

from covey.errors import InvalidArgument, NotFound
from covey.model.names import place_name
from covey.model.objects import Node, Revision, Service, Task
from manager.store.view import BY_NAME, BY_SERVICE, View


def find(view: View, text: str) -> Service | Task:
    """Find what is meant. Raises `NotFound`, or `InvalidArgument` if it may be several."""
    exact = view.get(Service, text) or view.get(Task, text)
    if exact is not None:
        return exact
    if named := view.find(Service, BY_NAME, text):
        return named[0]
    if placed := _at_place(view, text):
        return max(placed, key=lambda task: (task.desired_state.wants_up, task.meta.created_at_ns, task.id))
    found: list[Service | Task] = [item for item in view.all(Service) if text and item.id.startswith(text)]
    found += [item for item in view.all(Task) if text and item.id.startswith(text)]
    if len(found) > 1:
        ids = ", ".join(item.id for item in found[:5])
        raise InvalidArgument(f"target: {text!r} is the beginning of several ids ({ids}); write one in full")
    if not found:
        raise NotFound(
            f"there is no service and no task {text!r}; `covey service ls` and `covey service ps SERVICE` list them"
        )
    return found[0]


def _at_place(view: View, text: str) -> list[Task]:
    """The tasks in a place, written as `web.3`, or `agent.w1` where every node has one."""
    name, _, place = text.partition(".")
    if not place:
        return []
    found = []
    for service in view.find(Service, BY_NAME, name):
        revision = view.get(Revision, service.revision_id)
        kind = None if revision is None else revision.spec.mode.kind
        for task in view.find(Task, BY_SERVICE, service.id):
            node = view.get(Node, task.node_id) if task.node_id else None
            hostname = node.description.hostname if node is not None else ""
            if kind is None:
                continue
            if place_name(kind, task) == place or (kind.everywhere and hostname == place):
                found.append(task)
    return found
