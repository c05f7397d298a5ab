"""What the managers have committed, as the first of them to apply it: every task there ever was, and what was thought."""

from dataclasses import dataclass, field

from covey.model.objects import Node, Revision, Service, Task
from covey.model.states import NodeState
from manager.store.tables import Tables
from manager.store.transaction import Commit
from manager.store.view import BY_NODE
from tests.sim.runs import starts_first


@dataclass
class History:
    """The newest version of everything, and of what was deleted the last one."""

    services: dict[str, Service] = field(default_factory=dict)
    revisions: dict[str, Revision] = field(default_factory=dict)
    tasks: dict[str, Task] = field(default_factory=dict)
    given_up: set[str] = field(default_factory=set)  # not ended when the managers took their node for dead
    made_ms: dict[str, float] = field(default_factory=dict)  # when each task was made
    index: int = 0
    _start_first: set[str] = field(default_factory=set)

    def committed(self, commit: Commit, tables: Tables, now_ms: float) -> bool:
        """Hear of a commit; whether it is news."""
        if tables.index <= self.index:
            return False
        self.index = tables.index
        for change in commit.changes:
            match change.after:
                case Task() as task:
                    self.made_ms.setdefault(task.id, now_ms)
                    self.tasks[task.id] = task
                    node = tables.get(Node, task.node_id) if task.node_id else None
                    if task.node_id and not task.status.state.terminal and _dead(node):
                        self.given_up.add(task.id)
                case Service() as service:
                    self.services[service.id] = service
                case Revision() as revision:
                    self.revisions[revision.id] = revision
                    if starts_first(revision):
                        self._start_first.add(revision.service_id)
                case _:
                    pass
            if change.kind is Node and (change.after is None or _dead(change.after)):
                lost = tables.find(Task, BY_NODE, change.id)
                self.given_up.update(task.id for task in lost if not task.status.state.terminal)
        return True

    def starts_first(self, service_id: str) -> bool:
        """Whether a service ever had rules that let two tasks run in one place."""
        return service_id in self._start_first

    def name_of(self, service_id: str) -> str:
        """A service's name, of one that is gone too."""
        service = self.services.get(service_id)
        return service.name if service is not None else service_id


def _dead(node: object) -> bool:
    return not isinstance(node, Node) or node.status.state is NodeState.DOWN
