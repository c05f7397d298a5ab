"""A group: pending tasks of one service and revision, which any node takes or refuses alike."""

from dataclasses import dataclass

from covey.model.constraint import Constraint, parse_all
from covey.model.names import place_name
from covey.model.objects import Network, Revision, Service, Task
from covey.model.specs import Placement
from covey.model.states import PublishMode
from manager.store.view import View

from .demand import Demand, demand_of

GroupKey = tuple[str, str]
"""(service id, revision id)"""


@dataclass(slots=True)
class Group:
    """What the tasks of a group ask, read once for all of them; `failing` are nodes where they have failed of late."""

    service: Service
    revision: Revision
    demand: Demand
    constraints: tuple[Constraint, ...]
    view: View
    failing: frozenset[str] = frozenset()

    @property
    def placement(self) -> Placement:
        """Where the tasks may and should run."""
        return self.revision.spec.task.placement

    @property
    def networks(self) -> list[Network]:
        """The networks that the tasks are on, but for those that every node has of itself."""
        ids = {each.target for each in self.revision.spec.task.networks}
        found = [network for id in sorted(ids) if (network := self.view.get(Network, id)) is not None]
        if any(port.publish_mode is PublishMode.INGRESS for port in self.service.ports):
            found += [network for network in self.view.all(Network) if network.spec.ingress]
        return found

    def name_of(self, task_id: str) -> str:
        """The name of any task, for people: `web.3`."""
        task = self.view.get(Task, task_id)
        service = self.view.get(Service, task.service_id) if task is not None else None
        if task is None or service is None:
            return "another task"
        revision = self.view.get(Revision, task.revision_id)
        place = task.slot if revision is None else place_name(revision.spec.mode.kind, task)
        return f"{service.name}.{place}"


def group_of(view: View, key: GroupKey) -> Group | None:
    """Read up on a group; None if its service or revision is gone, and its tasks with it."""
    service, revision = view.get(Service, key[0]), view.get(Revision, key[1])
    if service is None or revision is None:
        return None
    constraints = parse_all(revision.spec.task.placement.constraints)
    return Group(service, revision, demand_of(revision, service), constraints, view)
