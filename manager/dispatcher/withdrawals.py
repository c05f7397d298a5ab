"""Which tasks no node sends anything new to any more: they may be let go.

A task that is told to stop, or found unhealthy, has DRAINING endpoints. The nodes that may still send to one are
those on its network whose kernel and names follow an older version of the table than the one in which it drains.
They are a *hold*: one per network and version, shared by all tasks that left then. It only shrinks, but for nodes
whose agent has a new session, of which nobody knows what they follow. A task is withdrawn once none of its
holds has a node left, and whoever holds its node's session is told, once in each session.

What is kept here is memory, and may be lost: a new leader finds the same tasks when their nodes' sessions start, and
asks all nodes again. A node that is thought alive and has no session holds tasks up, too; agents bound that.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from covey.model.objects import Endpoint, Node, Task
from covey.model.states import EndpointState, HealthState, TaskState
from manager.store.transaction import Commit
from manager.store.view import BY_NODE, BY_TASK, View

Key = tuple[str, int]  # a network, and the store index as of which an endpoint on it drains
Lags = Callable[[str, Key], bool]
"""Tell whether a node may still follow an older table of the network than that of the index."""
SessionOf = Callable[[str], str | None]
"""Give the session in which a node can be told now: "" if it must hear of something else first, None if none."""


@dataclass(slots=True)
class _Hold:
    """Tasks that wait, and the nodes they wait for."""

    nodes: set[str]
    tasks: set[str] = field(default_factory=set[str])


@dataclass(slots=True)
class _Leaving:
    """A task that leaves. `stopping`: it is told to. `holds`: what holds it up, once all its endpoints drain."""

    node_id: str
    stopping: bool = False
    holds: set[Key] = field(default_factory=set[Key])
    told: str = ""  # the session in which its agent heard


def leaves(task: Task | None) -> bool:
    """Tell whether nothing new is to be sent to a task that is, or may be, on its node."""
    if task is None or not task.node_id or task.status.state.terminal:
        return False
    if task.status.state < TaskState.ASSIGNED:
        return False
    return not task.desired_state.wants_up or task.status.health is HealthState.UNHEALTHY


@dataclass(slots=True)
class Withdrawals:
    """The tasks that leave, and what holds them up. `view` is the store's; it is only read."""

    view: View
    tasks: dict[str, _Leaving] = field(default_factory=dict[str, _Leaving])
    holds: dict[Key, _Hold] = field(default_factory=dict[Key, _Hold])
    dirty: set[str] = field(default_factory=set[str])  # tasks to be looked at
    moved: bool = False  # some node may follow a newer table, or be gone
    ready: set[str] = field(default_factory=set[str])  # withdrawn, and nobody was told

    @property
    def busy(self) -> bool:
        """Tell whether something may be due."""
        return bool(self.dirty or self.ready or (self.moved and self.holds))

    def committed(self, commit: Commit) -> None:
        """Take note of what a commit, already applied to the view, means for tasks that leave."""
        for change in commit.changes:
            for item in (change.before, change.after):
                match item:
                    case Task(id=id) if id in self.tasks or leaves(item):
                        self.dirty.add(id)
                    case Endpoint(task_id=id) if id in self.tasks:
                        self.dirty.add(id)
                    case Node():
                        self.moved = True
                    case _:
                        pass

    def started(self, node_id: str, network_ids: Iterable[str]) -> None:
        """A node's session has started: its agent is told (again), and what it follows is not known any more."""
        for task in self.view.find(Task, BY_NODE, node_id):
            if leaves(task):
                self.dirty.add(task.id)
        on = set(network_ids)
        for (network_id, _), hold in self.holds.items():
            if network_id in on:
                hold.nodes.add(node_id)
        self.moved = True

    def due(self, lags: Lags, session_of: SessionOf) -> list[tuple[str, tuple[str, ...]]]:
        """Give what is to be told: sessions, and the withdrawn tasks of their nodes."""
        for task_id in sorted(self.dirty):
            self._look_at(task_id, lags)
        self.dirty.clear()
        if self.moved:
            self.moved = False
            for key in list(self.holds):
                if key in self.holds:  # else it went with the last of its tasks
                    self._shrink(key, lags)
        return self._tell(session_of)

    def _look_at(self, task_id: str, lags: Lags) -> None:
        """Find out anew what holds a task up."""
        task = self.view.get(Task, task_id)
        self._let_go(task_id)
        self.ready.discard(task_id)
        if not leaves(task):
            self.tasks.pop(task_id, None)
            return
        assert task is not None
        leaving = self.tasks.setdefault(task_id, _Leaving(task.node_id))
        if leaving.stopping is task.desired_state.wants_up:  # one that was unhealthy only, or new here
            leaving.stopping, leaving.told = not task.desired_state.wants_up, ""
        endpoints = self.view.find(Endpoint, BY_TASK, task_id)
        if all(each.state is EndpointState.DRAINING for each in endpoints):
            leaving.holds = {(each.network_id, each.meta.version) for each in endpoints}
            for key in leaving.holds:
                self._hold(key, lags).tasks.add(task_id)
            self._judge(task_id)

    def _hold(self, key: Key, lags: Lags) -> _Hold:
        if key not in self.holds:
            self.holds[key] = _Hold({node.id for node in self.view.all(Node) if lags(node.id, key)})
        return self.holds[key]

    def _shrink(self, key: Key, lags: Lags) -> None:
        hold = self.holds[key]
        hold.nodes = {node_id for node_id in hold.nodes if lags(node_id, key)}
        if not hold.nodes:
            for task_id in list(hold.tasks):
                self._judge(task_id)

    def _judge(self, task_id: str) -> None:
        """A task that nothing holds up is ready. Holds last as long as one of their tasks is held up by another:
        a node that comes back meanwhile may still send to it."""
        if not any(self.holds[key].nodes for key in self.tasks[task_id].holds):
            self._let_go(task_id)
            self.ready.add(task_id)

    def _let_go(self, task_id: str) -> None:
        """Take a task out of its holds; one without tasks is forgotten."""
        leaving = self.tasks.get(task_id)
        for key in leaving.holds if leaving is not None else ():
            hold = self.holds[key]
            hold.tasks.discard(task_id)
            if not hold.tasks:
                del self.holds[key]
        if leaving is not None:
            leaving.holds = set()

    def _tell(self, session_of: SessionOf) -> list[tuple[str, tuple[str, ...]]]:
        told: dict[str, list[str]] = {}
        for task_id in sorted(self.ready):
            leaving = self.tasks[task_id]
            session_id = session_of(leaving.node_id)
            if session_id == "":
                continue
            self.ready.discard(task_id)  # if there is no session, the next one's start brings it back
            if session_id is not None and leaving.told != session_id:
                leaving.told = session_id
                told.setdefault(session_id, []).append(task_id)
        return [(session_id, tuple(task_ids)) for session_id, task_ids in told.items()]
