"""The orchestrator: keeps what must be looked at, and looks at it one service at a time."""

from random import Random

from covey import limits
from covey.model.objects import Cluster, Network, Node, Object, Service, Task
from covey.model.states import NodeState
from manager.store.draft import Draft
from manager.store.transaction import Change
from manager.store.view import BY_NODE, BY_SERVICE, View

from . import (
    backoff,
    deletion,
    drained,
    everywhere,
    eviction,
    jobs,
    reaper,
    replicated,
    restart,
    rollout,
    standstill,
    start,
)
from .lost import leave_lost_nodes
from .memory import Memory
from .places import Scene, scene_of
from .turn import Turn, loses_tasks


class Orchestrator:
    """Writes into a draft which tasks there should be. `view` is the store, to find who is affected."""

    def __init__(self, view: View, dice: Random) -> None:
        self._view = view
        self._dice = dice
        self._dirty: set[str] = set()
        self._due_ms: dict[str, int] = {}
        self._memory: dict[str, Memory] = {}
        self._watched: set[str] = set()  # services of which every step of a task matters
        self._global: set[str] = set()
        self._doomed_networks: set[str] = set()
        self._look_at_networks = False
        self._down_since_ms: dict[str, int | None] = {}  # None until a pass has put a time on it
        self._given_up: set[str] = set()
        self._changed_nodes: set[str] = set()
        self._drains = drained.Deadlines()

    def observe(self, change: Change) -> None:
        """Take note of a change, and of what must therefore be looked at."""
        before, after = change.before, change.after
        if change.kind is Task:
            self._observe_task(before, after)
        elif change.kind is Service:
            if isinstance(after, Service):
                self._dirty.add(after.id)
        elif change.kind is Node:
            self._observe_node(change.id, before, after)
        elif change.kind is Network and isinstance(after, Network) and after.pending_delete:
            self._doomed_networks.add(after.id)
        if self._doomed_networks and (change.kind is Network or after is None):
            self._look_at_networks = True

    def _observe_task(self, before: Object | None, after: Object | None) -> None:
        if not isinstance(after, Task):
            if isinstance(before, Task):
                self._dirty.add(before.service_id)
            return
        if isinstance(before, Task) and backoff.is_stable(before, after):
            self._memory.setdefault(after.service_id, Memory()).stable.add(after.id)
        if after.status.state.terminal or after.service_id in self._watched:
            self._dirty.add(after.service_id)
        elif (
            after.node_id and not (isinstance(before, Task) and before.node_id) and self._lost(after.node_id)
        ):
            # Its node was lost while the plan that chose it was on its way, and took no task along then.
            self._dirty.add(after.service_id)

    def _lost(self, node_id: str) -> bool:
        node = self._view.get(Node, node_id)
        return node is None or loses_tasks(node)

    def _observe_node(self, id: str, before: Object | None, after: Object | None) -> None:
        if isinstance(before, Node) and isinstance(after, Node) and _alike(before, after):
            return
        self._drains.observe(id, after if isinstance(after, Node) else None)
        if isinstance(after, Node) and after.status.state is NodeState.DOWN:
            self._down_since_ms.setdefault(id, None)
        else:
            self._down_since_ms.pop(id, None)
            self._given_up.discard(id)
        self._dirty.update(self._global)
        self._changed_nodes.add(id)

    @property
    def busy(self) -> bool:
        """Tell whether there is something to look at now."""
        return bool(self._dirty) or bool(self._changed_nodes) or self._look_at_networks

    @property
    def wake_at_ms(self) -> int | None:
        """Say when a timer is next due."""
        orphans = [
            since_ms + limits.orphan_after_ms
            for id, since_ms in self._down_since_ms.items()
            if since_ms is not None and id not in self._given_up
        ]
        return min((*self._due_ms.values(), *orphans), default=None)

    def touch(self, service_id: str, node_id: str = "") -> None:
        """Have a service looked at again: a plan for it was refused, and for a task on a node, if one is named."""
        self._dirty.add(service_id)
        if node_id:
            self._changed_nodes.add(node_id)

    def plan(self, draft: Draft, now_ms: int, now_ns: int, objects_max: int) -> None:
        """Look at every service that something happened to, and write what follows into `draft`.

        At most about `objects_max` objects are written; the rest stays to be looked at.
        """
        self._give_up_nodes(now_ms)
        turn = self._turn(draft, now_ms, now_ns, objects_max)
        turn.crowded_out = self._look_at_nodes(draft)
        turn.draining = self._drains.at(now_ms)
        due = {id for id, ms in self._due_ms.items() if ms <= now_ms}
        todo, self._dirty = sorted(self._dirty | due), set()
        for number, service_id in enumerate(todo):
            if turn.exhausted:
                self._dirty.update(todo[number:])
                return
            self._look_at(turn, service_id)
        self._changed_nodes.clear()
        self._look_at_networks = False
        for network_id in sorted(self._doomed_networks):
            network = draft.get(Network, network_id)
            if network is None or not network.pending_delete or deletion.end_network(draft, network):
                self._doomed_networks.discard(network_id)

    def _turn(self, draft: Draft, now_ms: int, now_ns: int, objects_max: int) -> Turn:
        cluster = next(iter(draft.all(Cluster)), None)
        history = limits.task_history_per_slot if cluster is None else cluster.spec.task_history_per_slot
        return Turn(draft, self._dice, now_ms, now_ns, objects_max, history, frozenset(self._given_up))

    def _give_up_nodes(self, now_ms: int) -> None:
        """Orphan what stands on nodes that have been down for a day; a new leader waits that day anew."""
        for node_id, since_ms in self._down_since_ms.items():
            if since_ms is None:
                self._down_since_ms[node_id] = now_ms
            elif since_ms + limits.orphan_after_ms <= now_ms and node_id not in self._given_up:
                self._given_up.add(node_id)
                self._changed_nodes.add(node_id)

    def _look_at_nodes(self, draft: Draft) -> dict[str, str]:
        """Mark the services with tasks on nodes that changed; say which of those tasks have no room any more.

        Looked up now, not when a node changed: then a plan that had put tasks there was on its way, maybe.
        """
        crowded_out: dict[str, str] = {}
        for node_id in sorted(self._changed_nodes):
            self._dirty.update(task.service_id for task in draft.find(Task, BY_NODE, node_id))
            node = draft.get(Node, node_id)
            if node is not None:
                crowded_out.update(eviction.crowded_out(draft, node))
                crowded_out.update(eviction.laid_open(draft, node))
        return crowded_out

    def _look_at(self, turn: Turn, service_id: str) -> None:
        self._due_ms.pop(service_id, None)
        service = turn.draft.get(Service, service_id)
        if service is None:
            self._forget(service_id)
            return
        memory = self._memory.setdefault(service_id, Memory())
        tasks = turn.draft.find(Task, BY_SERVICE, service_id)
        if service.pending_delete:
            gone = deletion.remove_service(turn, service, tasks)
            self._global.discard(service_id)
            self._watched.discard(service_id)
            if gone:
                self._forget(service_id)
        else:
            self._tend(scene_of(turn, service, memory, tasks))
        if turn.exhausted:
            turn.wake_at(turn.now_ms)
        wake_ms = turn.take_wake()
        if wake_ms is not None and service_id in self._memory:
            self._due_ms[service_id] = wake_ms

    def _tend(self, scene: Scene) -> None:
        id, turn, moving = scene.service.id, scene.turn, False
        leave_lost_nodes(scene)
        eviction.evict(scene)
        if scene.service.stopped:
            standstill.hold(scene)
        elif scene.job:
            jobs.work(scene)
        else:
            places = everywhere.shape(scene) if scene.everywhere else replicated.shape(scene)
            standstill.end(scene, places)
            restart.fill(scene, places)
            rollout.step(scene, places)
            moving = drained.move(scene)
        if not scene.service.stopped:
            _promote(scene)
        reaper.reap(scene)
        scene.memory.tended = True
        scene.memory.forget(lambda task_id: turn.draft.get(Task, task_id) is None, scene.places)
        (self._global.add if scene.everywhere else self._global.discard)(id)
        watched = moving or rollout.under_way(scene.service)
        (self._watched.add if watched else self._watched.discard)(id)

    def _forget(self, service_id: str) -> None:
        self._memory.pop(service_id, None)
        self._due_ms.pop(service_id, None)
        self._watched.discard(service_id)
        self._global.discard(service_id)


def _promote(scene: Scene) -> None:
    for place in scene.places.values():
        if scene.turn.exhausted:
            return
        start.promote(scene, place)


def _alike(before: Node, after: Node) -> bool:
    """Tell whether a node's change means nothing to tasks."""
    return (before.status.state, before.status.address, before.spec, before.description, before.role) == (
        after.status.state,
        after.status.address,
        after.spec,
        after.description,
        after.role,
    )
