"""Places: where the tasks of a service stand, one after another; a slot, or a node for a global service."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import itemgetter

from covey.model.constraint import parse_all
from covey.model.objects import Node, Revision, Service, Task
from covey.model.platforms import made_for
from covey.model.states import TaskState

from .memory import Memory
from .turn import Turn

PlaceKey = tuple[int, str]
"""(slot, "") of a replicated service, (0, node id) of a global one."""


@dataclass(slots=True)
class Place:
    """The tasks that stand, or stood, in one place; those that are to be removed are not among them.

    `live` are those that run or are meant to, `fallen` those that ended though nobody had wanted it, and
    that nobody has looked at yet. Both are kept, because most places of a large service are only passed by
    (and in tuples, which cost the garbage collector nothing).
    """

    key: PlaceKey
    tasks: tuple[Task, ...] = ()
    live: tuple[Task, ...] = ()
    fallen: tuple[Task, ...] = ()

    def put(self, task: Task) -> None:
        """Take up a new task, or the new state of one."""
        self.drop(task)
        self.add(task)

    def add(self, task: Task) -> None:
        """Take up a task that is not here yet."""
        self.tasks = (*self.tasks, task)
        if task.desired_state.wants_up:
            if task.status.state < TaskState.COMPLETE:
                self.live = (*self.live, task)
            elif not (task.desired_state is TaskState.COMPLETE and task.status.state is TaskState.COMPLETE):
                self.fallen = (*self.fallen, task)

    def drop(self, task: Task) -> None:
        """Forget a task."""
        self.tasks = tuple(present for present in self.tasks if present.id != task.id)
        self.live = tuple(present for present in self.live if present.id != task.id)
        self.fallen = tuple(present for present in self.fallen if present.id != task.id)

    @property
    def newest(self) -> Task | None:
        """The last task that came here."""
        return max(self.tasks, key=age, default=None)


def is_live(task: Task) -> bool:
    """Tell whether a task runs or is meant to."""
    return task.desired_state.wants_up and task.status.state < TaskState.COMPLETE


def age(task: Task) -> tuple[bool, int, int, str]:
    """A key that sorts the tasks of one place from the oldest to the newest.

    Only a place's own history hangs on it, and which of several tasks must leave a crowded node, never
    whether something runs: creation times may come from two managers.
    """
    meta = task.meta
    return not meta.version, meta.created_at_ns, meta.version, task.id  # one without a version is being made


@dataclass(slots=True)
class Scene:
    """One service under the planner's eye during a pass."""

    turn: Turn
    service: Service
    revision: Revision
    memory: Memory
    places: dict[PlaceKey, Place]
    leaving: list[Task]  # to be removed; in no place any more
    judged: dict[str, bool] = field(default_factory=dict[str, bool])  # whether tasks of a revision are stale
    crowding: set[str] | None = None  # see `_crowds`

    @property
    def everywhere(self) -> bool:
        """Tell a global service from a replicated one."""
        return self.revision.spec.mode.kind.everywhere

    @property
    def job(self) -> bool:
        """Tell whether tasks are meant to end by themselves."""
        return self.revision.spec.mode.kind.job

    @property
    def goal(self) -> TaskState:
        """What is desired of a task that may run."""
        return TaskState.COMPLETE if self.job else TaskState.RUNNING

    def stale(self, task: Task) -> bool:
        """Tell whether a task must give way to one of the current revision.

        It must if it belongs to another restart generation, or if its node does not satisfy the
        constraints of a newer revision, or has more tasks than that allows.
        """
        stale = self.judged.get(task.revision_id)
        if stale is not None:
            return stale
        revision = self.turn.revision(task.revision_id)
        if revision.restart_generation != self.revision.restart_generation:
            self.judged[revision.id] = True
            return True
        wanted, mine = self.revision.spec.task.placement, revision.spec.task.placement
        same_bound = wanted.max_replicas_per_node in (0, mine.max_replicas_per_node)
        if same_bound and wanted.constraints == mine.constraints:
            self.judged[revision.id] = False
            return False
        node = self.turn.node(task.node_id) if task.node_id else None
        return node is not None and (not fits(node, self.revision) or (not same_bound and self._crowds(task)))

    def _crowds(self, task: Task) -> bool:
        """Tell whether a task of a more generous revision is one too many on its node: the newest are."""
        if self.crowding is None:
            most = self.revision.spec.task.placement.max_replicas_per_node
            by_node: dict[str, list[Task]] = {}
            for place in self.places.values():
                for live in place.live:
                    by_node.setdefault(live.node_id, []).append(live)
            self.crowding = set()
            for node_id, tasks in by_node.items():
                if node_id:
                    self.crowding.update(t.id for t in sorted(tasks, key=self._stays_first)[most:])
        return task.id in self.crowding

    def _stays_first(self, task: Task) -> tuple[bool, tuple[bool, int, int, str]]:
        most = self.turn.revision(task.revision_id).spec.task.placement.max_replicas_per_node
        return most != self.revision.spec.task.placement.max_replicas_per_node, age(task)

    def last(self, place: Place) -> Task | None:
        """The task that decides what follows in a place; of a job, one of this iteration if there is any."""
        if not self.job:
            return place.newest
        return max(place.tasks, key=lambda task: (not self.stale(task), age(task)), default=None)

    def create(
        self,
        place: Place,
        revision: Revision,
        desired: TaskState,
        message: str = "created",
        quick_ends: int = 0,
    ) -> Task:
        """Put a new task into a place."""
        slot, node_id = place.key
        task = self.turn.create(revision, slot, node_id, desired, message, quick_ends)
        place.put(task)
        return task

    def desire(self, place: Place, tasks: Iterable[Task], state: TaskState) -> None:
        """Raise what is wanted of some tasks of a place."""
        for task in tasks:
            place.put(self.turn.desire(task, state))

    def remove(self, place: Place) -> None:
        """Have a place end: its tasks stop and are forgotten."""
        for task in place.tasks:
            self.leaving.append(self.turn.desire(task, TaskState.REMOVE))
        del self.places[place.key]


def fits(node: Node, revision: Revision) -> bool:
    """Tell whether a node satisfies the constraints of a revision."""
    return all(c.holds(node) for c in parse_all(revision.spec.task.placement.constraints))


def runs_on(node: Node, revision: Revision) -> bool:
    """Tell whether the image of a revision is made for a node."""
    return made_for(revision.spec.task.placement.platforms, node)


def scene_of(turn: Turn, service: Service, memory: Memory, tasks: Iterable[Task]) -> Scene:
    """Arrange the tasks of a service by place, the places in order."""
    revision = turn.revision(service.revision_id)
    everywhere = revision.spec.mode.kind.everywhere
    places: dict[PlaceKey, Place] = {}
    leaving: list[Task] = []
    for task in tasks:
        if task.desired_state >= TaskState.REMOVE:
            leaving.append(task)
            continue
        key = (0, task.node_id) if everywhere else (task.slot, "")
        place = places.get(key)
        if place is not None:
            place.add(task)
        elif task.desired_state < TaskState.SHUTDOWN and task.status.state < TaskState.COMPLETE:
            places[key] = Place(key, alone := (task,), alone)  # as most are: thousands in each pass
        else:
            places[key] = place = Place(key)
            place.add(task)
    by_key = sorted(places, key=itemgetter(1 if everywhere else 0))
    return Scene(turn, service, revision, memory, {key: places[key] for key in by_key}, leaving)
