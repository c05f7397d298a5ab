"""The assignment set as an agent holds it: replaced, changed by differences, and asked."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from msgspec.structs import replace

from agent.network.seam import Attachment, Sandbox
from covey.errors import Unavailable
from covey.model import expansion, predefined, template
from covey.model.assignments import Assignments, AssignmentSet
from covey.model.objects import Endpoint, Network, Node, Revision, Task
from covey.model.specs import RegistryAuth
from covey.model.states import PublishMode

from .events import Save

Item = TypeVar("Item", Task, Revision, Network, Endpoint, Node)

KINDS: dict[str, type[Task] | type[Revision] | type[Network] | type[Endpoint] | type[Node]] = {
    "task": Task,
    "revision": Revision,
    "network": Network,
    "endpoint": Endpoint,
    "node": Node,
}
WITHHELD = RegistryAuth()  # on disk in the place of credentials, which never go there


@dataclass(slots=True)
class Held:
    """What this node was told to run, by id, and the endpoints of each task."""

    tasks: dict[str, Task] = field(default_factory=dict[str, Task])
    revisions: dict[str, Revision] = field(default_factory=dict[str, Revision])
    networks: dict[str, Network] = field(default_factory=dict[str, Network])
    endpoints: dict[str, Endpoint] = field(default_factory=dict[str, Endpoint])
    nodes: dict[str, Node] = field(default_factory=dict[str, Node])  # this one
    of_task: dict[str, dict[str, Endpoint]] = field(default_factory=dict[str, dict[str, Endpoint]])

    def load(self, stored: AssignmentSet) -> None:
        """Take what was kept on disk."""
        self.apply(Assignments(full=True, changed=stored))

    def apply(self, message: Assignments) -> list[Save]:
        """Take a manager's word; returns what is to be kept of it, and what to be forgotten."""
        full, changed = message.full, message.changed
        saves = _merge("task", self.tasks, changed.tasks, message.removed_tasks, full)
        saves += _merge("revision", self.revisions, changed.revisions, message.removed_revisions, full)
        saves += _merge("network", self.networks, changed.networks, message.removed_networks, full)
        saves += _merge("endpoint", self.endpoints, changed.endpoints, message.removed_endpoints, full)
        saves += _merge("node", self.nodes, changed.nodes, message.removed_nodes, full)
        self.of_task = {}
        for endpoint in self.endpoints.values():
            self.of_task.setdefault(endpoint.task_id, {})[endpoint.network_id] = endpoint
        return saves

    def revision_of(self, task: Task) -> Revision:
        """The task's revision; `Unavailable` if the managers did not send it."""
        revision = self.revisions.get(task.revision_id)
        if revision is None:
            raise Unavailable(f"the managers did not say what revision {task.revision_id} is")
        return revision

    def expanded(self, task: Task) -> Revision:
        """The task's revision, with the templates of its container filled in for it.

        Raises `Unavailable` as `revision_of`, and `InvalidArgument` if what comes of a template cannot be used.
        """
        revision = self.revision_of(task)
        spec = revision.spec
        if not expansion.has_templates(spec.task.container):
            return revision
        node = self.nodes.get(task.node_id)
        if node is None:
            raise Unavailable(f"the managers did not say what node {task.node_id} is, and templates may ask")
        container = expansion.expanded(spec.task.container, template.facts_of(spec, task, node))
        return replace(revision, spec=replace(spec, task=replace(spec.task, container=container)))

    def is_job(self, task: Task) -> bool:
        """Tell whether a task is meant to end by itself, as far as the managers have said."""
        revision = self.revisions.get(task.revision_id)
        return revision is not None and revision.spec.mode.kind.job

    def sandbox(self, task: Task, revision: Revision, *, complete: bool = True) -> Sandbox:
        """The task's networks: those of its spec in their order, then the others (ingress).

        With `complete`, `Unavailable` if the spec names one of which the managers have not said all.
        """
        places = dict(self.of_task.get(task.id, {}))
        attachments = []
        for wanted in revision.spec.task.networks:
            if wanted.target in predefined.NAMES:
                continue
            endpoint, network = places.pop(wanted.target, None), self.networks.get(wanted.target)
            if endpoint is not None and network is not None:
                attachments.append(Attachment(network, endpoint))
            elif complete:
                raise Unavailable(f"the managers gave the task no address on network {wanted.target} yet")
        for network_id in sorted(places):
            if network_id in self.networks:
                attachments.append(Attachment(self.networks[network_id], places[network_id]))
        ports = tuple(p for p in revision.spec.endpoint.ports if p.publish_mode is PublishMode.HOST)
        closed = predefined.kind_of(revision.spec.task.networks) == predefined.NONE
        return Sandbox(task.id, tuple(attachments), ports, closed)


def without_credentials(revision: Revision) -> Revision:
    """The revision as it may be on disk: that there are credentials, but not which."""
    spec = revision.spec
    if spec.task.container.registry_auth is None:
        return revision
    container = replace(spec.task.container, registry_auth=WITHHELD)
    return replace(revision, spec=replace(spec, task=replace(spec.task, container=container)))


def _merge(
    kind: str, held: dict[str, Item], changed: Iterable[Item], removed: Iterable[str], full: bool
) -> list[Save]:
    saves = []
    if full:
        changed = tuple(changed)
        removed = sorted(held.keys() - {item.id for item in changed})
    for id in removed:
        if held.pop(id, None) is not None:
            saves.append(Save(kind, id, None))
    for item in changed:
        if held.get(item.id) != item:
            held[item.id] = item
            saves.append(
                Save(kind, item.id, without_credentials(item) if isinstance(item, Revision) else item)
            )
    return saves
