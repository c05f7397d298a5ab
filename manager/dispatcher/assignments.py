"""What a node must know to run its tasks, and what changed between two such sets.

A task travels without its history: `meta` is stripped, and of the status only the state goes down, so
that an agent that lost its disk knows what had already run. A change of status alone, which comes from
the agent itself, makes no difference.
"""

from collections.abc import Mapping
from typing import TypeVar

from msgspec.structs import replace

from covey.model.assignments import Assignments, AssignmentSet
from covey.model.changes import changes
from covey.model.objects import (
    ClusterVersion,
    Endpoint,
    Meta,
    Network,
    Node,
    NodeDescription,
    Revision,
    Service,
    Task,
    TaskStatus,
)
from covey.model.specs import NodeSpec
from covey.model.states import TaskState
from manager.allocator.ports import numbered
from manager.store.view import BY_NODE, BY_TASK, View

T = TypeVar("T", Task, Revision, Network, Endpoint, Node)

_NO_META = Meta()
_NO_STATUS = TaskStatus()


def assignment_set(view: View, node_id: str) -> AssignmentSet:
    """Collect what `node_id` must know: its tasks, the revisions, endpoints and networks they need, and itself.

    Tasks stay in the set after they have ended, until they are deleted: their logs are still wanted.
    """
    tasks, revisions, networks, endpoints = (
        [],
        dict[str, Revision](),
        dict[str, Network](),
        dict[str, Endpoint](),
    )
    for task in view.find(Task, BY_NODE, node_id):
        if task.status.state < TaskState.ASSIGNED or task.status.state is TaskState.ORPHANED:
            continue
        revision = view.get(Revision, task.revision_id)
        assert revision is not None, f"task {task.id} has no revision {task.revision_id}"
        tasks.append(replace(task, meta=_NO_META, status=TaskStatus(state=task.status.state)))
        revisions[revision.id] = _as_of_now(revision, view)
        for endpoint in view.find(Endpoint, BY_TASK, task.id):
            endpoints[endpoint.id] = endpoint
    for endpoint in view.find(Endpoint, BY_NODE, node_id):
        if not endpoint.task_id:
            endpoints[endpoint.id] = endpoint
    for endpoint in endpoints.values():
        network = view.get(Network, endpoint.network_id)
        if network is not None:
            networks[network.id] = network
    return AssignmentSet(
        tasks=tuple(tasks),
        revisions=_bare(revisions),
        networks=_bare(networks),
        endpoints=_bare(endpoints),
        nodes=_itself(view.get(Node, node_id)),
    )


def _itself(node: Node | None) -> tuple[Node, ...]:
    """Give a node with what templates may ask for, whose changes are rare, and no more."""
    if node is None:
        return ()
    said = NodeDescription(hostname=node.description.hostname, platform=node.description.platform)
    return (Node(id=node.id, spec=NodeSpec(labels=node.spec.labels), description=said),)


def _as_of_now(revision: Revision, view: View) -> Revision:
    """Give a revision with what changes without new tasks, for agents know of no service.

    That are the numbers of its ports, once they are allocated, and how long connections of a task that is to stop
    may go on: what its service says now counts, not what it said when the task was made.
    """
    service = view.get(Service, revision.service_id)
    current = view.get(Revision, service.revision_id) if service is not None else None
    endpoint = revision.spec.endpoint
    drain_ns = (current or revision).spec.endpoint.drain_ns
    if all(port.published_port for port in endpoint.ports) and endpoint.drain_ns == drain_ns:
        return revision
    known = replace(endpoint, ports=numbered(endpoint.ports, service), drain_ns=drain_ns)
    return replace(revision, spec=replace(revision.spec, endpoint=known))


def _bare(objects: Mapping[str, T]) -> tuple[T, ...]:
    """Order by id, without the store's notes, whose changes mean nothing to an agent."""
    return tuple(replace(objects[id], meta=_NO_META) for id in sorted(objects))


def _essence(task: Task) -> Task:
    """Strip what may differ without mattering to the agent."""
    return replace(task, status=_NO_STATUS)


def _id(item: Task | Revision | Network | Endpoint | Node) -> str:
    return item.id


def difference(
    old: AssignmentSet, new: AssignmentSet, applies_to: ClusterVersion, version: ClusterVersion
) -> Assignments | None:
    """Return the message that turns `old` into `new`, or None if nothing the agent cares for changed."""
    tasks, removed_tasks = changes(old.tasks, new.tasks, _id, _essence)
    revisions, removed_revisions = changes(old.revisions, new.revisions, _id)
    networks, removed_networks = changes(old.networks, new.networks, _id)
    endpoints, removed_endpoints = changes(old.endpoints, new.endpoints, _id)
    nodes, removed_nodes = changes(old.nodes, new.nodes, _id)
    changed = AssignmentSet(
        tasks=tasks, revisions=revisions, networks=networks, endpoints=endpoints, nodes=nodes
    )
    removed = (removed_tasks, removed_revisions, removed_networks, removed_endpoints, removed_nodes)
    if changed == AssignmentSet() and not any(removed):
        return None
    return Assignments(
        applies_to=applies_to,
        version=version,
        changed=changed,
        removed_tasks=removed_tasks,
        removed_revisions=removed_revisions,
        removed_networks=removed_networks,
        removed_endpoints=removed_endpoints,
        removed_nodes=removed_nodes,
    )


def full(assigned: AssignmentSet, version: ClusterVersion) -> Assignments:
    """Wrap a whole set for the start of a session."""
    return Assignments(full=True, version=version, changed=assigned)
