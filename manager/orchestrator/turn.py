"""One planning pass, as the orchestrator's parts see it: the draft, the time, the dice, what is left to spend."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

from msgspec.structs import replace

from covey.ids import new_id
from covey.model.objects import Node, Revision, Task, TaskStatus
from covey.model.states import Availability, NodeState, TaskState
from manager.store.draft import Draft


def loses_tasks(node: Node) -> bool:
    """Tell whether a node's tasks must be run elsewhere: it is down, or people have drained it."""
    return node.status.state is NodeState.DOWN or node.spec.availability is Availability.DRAIN


@dataclass(slots=True)
class Turn:
    """The writing side of a pass.

    `gone` are nodes that have been down for so long that they are given up, `crowded_out` tasks for which
    their nodes have no room any more, and why, `draining` the drained nodes that may keep what runs there for
    now, each with the moment until which.
    """

    draft: Draft
    dice: Random
    now_ms: int
    now_ns: int
    objects_left: int
    history_per_place: int
    gone: frozenset[str] = frozenset()
    crowded_out: Mapping[str, str] = field(default_factory=dict[str, str])
    draining: Mapping[str, int] = field(default_factory=dict[str, int])
    wake_ms: int | None = None
    revisions: dict[str, Revision] = field(default_factory=dict[str, Revision])
    lost_nodes: dict[str, bool] = field(default_factory=lambda: {"": False})
    nodes: dict[str, Node | None] = field(default_factory=dict[str, Node | None])

    @property
    def exhausted(self) -> bool:
        """Tell whether this pass has written as much as one may; the rest waits for the next."""
        return self.objects_left <= 0

    def wake_at(self, ms: int) -> None:
        """Ask for a pass at `ms` at the latest."""
        self.wake_ms = ms if self.wake_ms is None else min(self.wake_ms, ms)

    def take_wake(self) -> int | None:
        """Give the moment asked for since this was last called."""
        wake_ms, self.wake_ms = self.wake_ms, None
        return wake_ms

    def node(self, id: str) -> Node | None:
        """Find a node; one that is given up counts as removed."""
        try:
            return self.nodes[id]
        except KeyError:
            found = None if id in self.gone else self.draft.get(Node, id)
            self.nodes[id] = found
            return found

    def dead(self, node_id: str) -> bool:
        """Tell whether nothing can be heard of what ran on this node."""
        node = self.node(node_id)
        return node is None or node.status.state is NodeState.DOWN

    def ownerless(self, task: Task) -> bool:
        """Tell whether a task was given to a node of which nothing will be heard any more."""
        state = task.status.state
        return state >= TaskState.ASSIGNED and not state.terminal and self.node(task.node_id) is None

    def left(self, node_id: str) -> bool:
        """Tell whether tasks have lost this node: it is down, drained or removed. No node is not lost."""
        known = self.lost_nodes.get(node_id)
        if known is None:
            node = self.node(node_id)
            known = node is None or loses_tasks(node)
            self.lost_nodes[node_id] = known
        return known

    def revision(self, id: str) -> Revision:
        """Find a revision that something refers to, so that it is there."""
        found = self.revisions.get(id)
        if found is None:
            found = self.draft.get(Revision, id)
            assert found is not None, f"revision {id} is kept as long as something refers to it"
            self.revisions[id] = found
        return found

    def create(
        self,
        revision: Revision,
        slot: int,
        node_id: str,
        desired: TaskState,
        message: str = "created",
        quick_ends: int = 0,
    ) -> Task:
        """Write a new task of `revision` into the draft."""
        task = Task(
            id=new_id(self.dice),
            service_id=revision.service_id,
            revision_id=revision.id,
            slot=slot,
            node_id=node_id,
            desired_state=desired,
            status=TaskStatus(state=TaskState.NEW, message=message, at_ns=self.now_ns),
            quick_ends=quick_ends,
        )
        self.draft.put(task)
        self.objects_left -= 2 + len(revision.spec.task.networks)
        return task

    def desire(self, task: Task, state: TaskState, why: str = "") -> Task:
        """Raise what is wanted of a task, and say `why`. One that no agent was ever told of ends right here."""
        assert state >= task.desired_state, f"the desired state of task {task.id} only rises"
        after = replace(task, desired_state=state)
        if why:
            after = replace(after, status=replace(task.status, err=why))
        if state >= TaskState.SHUTDOWN and task.status.state < TaskState.ASSIGNED:
            ended = TaskStatus(
                state=TaskState.SHUTDOWN, message="stopped before it had a node", err=why, at_ns=self.now_ns
            )
            after = replace(after, status=ended)
        if after != task:
            self.draft.put(after)
            self.objects_left -= 2
        return after

    def orphan(self, task: Task) -> Task:
        """Give up a task whose node will not report on it any more."""
        status = TaskStatus(
            state=TaskState.ORPHANED, message="its node is gone", err=task.status.err, at_ns=self.now_ns
        )
        after = replace(task, status=status)
        self.draft.put(after)
        self.objects_left -= 2
        return after

    def forget(self, task: Task) -> None:
        """Delete a task."""
        self.draft.delete(Task, task.id)
        self.objects_left -= 2
