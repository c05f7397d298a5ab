"""What managers may decide, judged commit by commit: who is told to stop, when, and how many at a time.

A task is *taken down* when it is told to stop though it runs well, on a node that lives and may keep it, in a place
that stays, of a service that people want to run, and nothing else runs well in its place. Its place is then *down*
until a task runs well in it again, or one that came after it ended by itself, lost its node, or did not run within the
start deadline: what is missing from then on is not the managers' doing.

* Stop-first: no task is taken down by a rollout while as many places are down as the rules in force allow
  (`parallelism`, 0 for all). So of R replicas at least R - parallelism run, less those that failed or were lost.
* Start-first: no task is taken down at all.
* Without a rollout, no task is taken down at all.
* Drained node: a replicated service's task is not taken down before another one is prepared in its place (start-first:
  runs well), until the deadline has passed. A rollout that takes it down before that counts it.
* What happens while a plan is on its way to the log, that plan does not heed: it is judged by what was known.
* Scaling down leaves as many places as are wanted.
* Who is told to stop gets no new connections from the same commit on.
* A job begins nothing in a place that has completed in the same iteration, nor beyond its total; and what is said to
  have completed did so on its host.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from covey.model.constraint import parse_all
from covey.model.objects import Endpoint, Node, Revision, Service, Task
from covey.model.specs import UpdateConfig
from covey.model.states import (
    Availability,
    EndpointState,
    HealthState,
    NodeState,
    ServiceModeKind,
    TaskState,
    UpdateOrder,
    UpdateState,
)
from manager.store.tables import Tables
from manager.store.transaction import Commit, Transaction
from manager.store.view import BY_SERVICE, BY_TASK
from tests.sim.checkers import Violated
from tests.sim.runs import Place, place_of

if TYPE_CHECKING:
    from tests.sim.world import World

_BACK = (UpdateState.ROLLBACK_STARTED, UpdateState.ROLLBACK_PAUSED, UpdateState.ROLLBACK_COMPLETED)
_ROLLING = (UpdateState.UPDATING, UpdateState.ROLLBACK_STARTED)
_BY_ITSELF = (TaskState.COMPLETE, TaskState.FAILED, TaskState.REJECTED, TaskState.ORPHANED)


@dataclass
class Rollouts:
    """Which places are down, and since when nodes are drained."""

    world: "World"
    down: dict[str, dict[Place, set[str]]] = field(default_factory=lambda: defaultdict(dict))
    drained_ms: dict[str, float] = field(default_factory=dict)
    done: dict[tuple[Place, int], int] = field(default_factory=dict)  # and as of which index that is known
    base: dict[str, int] = field(default_factory=dict)  # on what state a task was last planned
    until: dict[str, int] = field(default_factory=dict)  # when a rollout, or the drain of a node, last ended
    followers: set[str] = field(
        default_factory=set
    )  # made while somebody on a drained node was in their place

    def planned(self, transaction: Transaction, index: int) -> None:
        """Hear that a leader proposes what it has planned on the state of an index."""
        for task in transaction.put:
            if isinstance(task, Task):
                self.base[task.id] = index

    def _unheard(self, id: str, task: Task) -> bool:
        """Whether a rollout of a service, or the drain of a node, ended when a task's stop was on its way already."""
        return task.id in self.base and self.until.get(id, 0) > self.base[task.id]

    def committed(self, commit: Commit, tables: Tables) -> None:
        """Judge a commit, of which the tables have heard."""
        stopped: dict[str, list[Task]] = defaultdict(list)
        for change in commit.changes:
            before, after = change.before, change.after
            if isinstance(after, Node):
                self._drains(before if isinstance(before, Node) else Node(), after, tables.index)
            elif isinstance(after, Task):
                was = before if isinstance(before, Task) else None
                self._job(was, after, tables)
                if was is None and any(
                    self._is_leaving(other, tables) for other in self._beside(after, tables)
                ):
                    self.followers.add(after.id)
                if was is not None and was.desired_state.wants_up and not after.desired_state.wants_up:
                    self._withdrawn(was, tables)
                    if runs_well(was):
                        stopped[after.service_id].append(was)
            elif isinstance(before, Service):
                if before.update_status.state in _ROLLING:
                    self.until[before.id] = tables.index
                if after is None:
                    self.down.pop(before.id, None)
        for id in {t.service_id for c in commit.changes for t in (c.before, c.after) if isinstance(t, Task)}:
            service = tables.get(Service, id)
            if service is not None:
                self._up_again(service, tables)
                self._judge(service, stopped.get(id, []), tables)

    def _drains(self, before: Node, after: Node, index: int) -> None:
        if after.spec.availability is not Availability.ACTIVE or after.status.state is not NodeState.READY:
            for down in self.down.values():  # a global service has no place there for now
                for place in [place for place in down if place[2] == after.id]:
                    del down[place]
        draining = after.spec.availability is Availability.DRAIN
        if draining and before.spec.availability is not Availability.DRAIN:
            self.drained_ms[after.id] = self.world.clock.now_ms
        elif not draining and self.drained_ms.pop(after.id, None) is not None:
            self.until[after.id] = index

    # --- who is told to stop ---

    def _withdrawn(self, task: Task, tables: Tables) -> None:
        for endpoint in tables.find(Endpoint, BY_TASK, task.id):
            if endpoint.state is EndpointState.ACTIVE:
                raise Violated(f"task {task.id} is told to stop, and its endpoint {endpoint.id} stays active")

    def _up_again(self, service: Service, tables: Tables) -> None:
        down = self.down.get(service.id)
        if not down:
            return
        tasks = self._by_place(service, tables)
        for place, before in list(down.items()):
            here = tasks.get(place, [])
            overdue = any(self._overdue(task) for task in here)
            if not here or any(runs_well(task) for task in here) or self._ended(here) - before or overdue:
                del down[place]

    def _overdue(self, task: Task) -> bool:
        """Whether a task does not run though it was given its time to: that is a failure."""
        spec = self._revision(task).spec
        deadline_ns = min(spec.update.start_deadline_ns, spec.rollback.start_deadline_ns)
        waited_ms = self.world.clock.now_ms - self.world.history.made_ms[task.id]
        return task.desired_state.wants_up and 0 < deadline_ns / 1e6 <= waited_ms

    def _by_place(self, service: Service, tables: Tables) -> dict[Place, list[Task]]:
        places: dict[Place, list[Task]] = defaultdict(list)
        for task in tables.find(Task, BY_SERVICE, service.id):
            if task.desired_state is not TaskState.REMOVE:
                places[place_of(task, self._revision(task))].append(task)
        return places

    def _beside(self, task: Task, tables: Tables) -> list[Task]:
        """What else is wanted in a task's place."""
        place = place_of(task, self._revision(task))
        return [
            other
            for other in tables.find(Task, BY_SERVICE, task.service_id)
            if other.id != task.id
            and other.desired_state.wants_up
            and not other.status.state.terminal
            and place_of(other, self._revision(other)) == place
        ]

    def _is_leaving(self, task: Task, tables: Tables) -> bool:
        node = tables.get(Node, task.node_id)
        return node is not None and node.spec.availability is Availability.DRAIN

    def _ended(self, tasks: list[Task]) -> set[str]:
        """Those that ended by themselves, or that were given up with their node."""
        given_up = self.world.history.given_up
        return {task.id for task in tasks if task.status.state in _BY_ITSELF or task.id in given_up}

    def _judge(self, service: Service, stopped: list[Task], tables: Tables) -> None:
        revision = tables.get(Revision, service.revision_id)
        if revision is None or service.pending_delete or service.stopped or revision.spec.mode.kind.job:
            self.down.pop(service.id, None)
            return
        if stopped and revision.spec.mode.kind is ServiceModeKind.REPLICATED:
            self._enough_places(service, revision, stopped, tables)
        rules = revision.spec.rollback if service.update_status.state in _BACK else revision.spec.update
        fresh = [task for task in stopped if self._taken_down(task, service, revision, rules, tables)]
        if not fresh:
            return
        down, here = self.down[service.id], self._by_place(service, tables)
        for place in (place_of(task, self._revision(task)) for task in fresh):
            down.setdefault(place, self._ended(here[place]))
        if rules.order is UpdateOrder.START_FIRST:
            raise Violated(
                f"task {fresh[0].id} of {service.name} is told to stop, and nothing runs in its place, though its "
                "service starts first"
            )
        at_once = rules.parallelism
        if service.update_status.state not in _ROLLING:
            if not self._unheard(service.id, fresh[0]):
                raise Violated(
                    f"task {fresh[0].id} of {service.name} runs well and is told to stop, and nobody asked for that"
                )
            before = tables.get(Revision, service.previous_revision_id) or revision
            both = before.spec.update.parallelism, before.spec.rollback.parallelism
            at_once = max(both) if all(both) else 0
        if at_once and len(down) > at_once:
            raise Violated(
                f"{len(down)} places of {service.name} are down at once, and {at_once} may be; the "
                f"last is {fresh[-1].slot} ({fresh[-1].id})"
            )

    def _taken_down(
        self, task: Task, service: Service, revision: Revision, rules: UpdateConfig, tables: Tables
    ) -> bool:
        """Whether a rollout has stopped this one; raises if a drained node lets it go too early."""
        now = tables.get(Task, task.id)
        node = tables.get(Node, task.node_id)
        if now is None or now.desired_state is TaskState.REMOVE:
            return False
        if node is None or node.status.state is NodeState.DOWN or not self._may_stay(node, revision):
            return False
        others = self._beside(task, tables)
        if any(runs_well(other) for other in others):
            return False
        if node.spec.availability is Availability.DRAIN or self._unheard(node.id, task):
            return not revision.spec.mode.kind.everywhere and self._left_early(
                task, node, others, service, rules
            )
        return True

    def _left_early(
        self, task: Task, node: Node, others: list[Task], service: Service, rules: UpdateConfig
    ) -> bool:
        """Whether a task leaves a drained node while it may stay and nobody follows: a rollout's doing at most."""
        deadline_ms = node.spec.drain_deadline_ns / 1e6
        waited_ms = self.world.clock.now_ms - self.drained_ms.get(node.id, 0.0)
        enough = TaskState.RUNNING if rules.order is UpdateOrder.START_FIRST else TaskState.READY
        if waited_ms >= deadline_ms or any(other.status.state >= enough for other in others):
            return False
        if service.update_status.state not in _ROLLING:
            raise Violated(
                f"task {task.id} on the drained node {node.id} is told to stop after {waited_ms:.0f} ms of "
                f"{deadline_ms:.0f}, and nothing is ready in its place"
            )
        return True

    def _may_stay(self, node: Node, revision: Revision) -> bool:
        return all(c.holds(node) for c in parse_all(revision.spec.task.placement.constraints))

    def _enough_places(
        self, service: Service, revision: Revision, stopped: list[Task], tables: Tables
    ) -> None:
        """Who was removed was one too many, now or when the managers last looked."""
        present = [tables.get(Task, task.id) for task in stopped]
        if not any(task is not None and task.desired_state is TaskState.REMOVE for task in present):
            return
        before = tables.get(Revision, service.previous_revision_id) or revision
        wanted = min(revision.spec.mode.replicas, before.spec.mode.replicas)
        left = len(self._by_place(service, tables))
        if left < wanted:
            raise Violated(f"{left} places of {service.name} are left of {wanted}")

    def _revision(self, task: Task) -> Revision:
        return self.world.history.revisions[task.revision_id]

    # --- jobs ---

    def _job(self, before: Task | None, after: Task, tables: Tables) -> None:
        revision = self._revision(after)
        mode = revision.spec.mode
        if not mode.kind.job:
            return
        place, iteration = place_of(after, revision), revision.restart_generation
        if before is None and mode.kind is ServiceModeKind.REPLICATED_JOB:
            total = mode.total_completions or mode.max_concurrent or 1
            if after.slot >= total:
                raise Violated(f"task {after.id} is made for place {after.slot} of a job of {total}")
        if after.status.state is TaskState.COMPLETE and after.id not in self.world.runs.ended_well:
            raise Violated(f"task {after.id} is said to have completed, and has not")
        known = self.done.get((place, iteration))
        if before is None and known is not None and known <= self.base[after.id]:
            raise Violated(f"task {after.id} is made for place {place[1:]}, which has completed")
        if after.status.state is TaskState.COMPLETE and not (place[2] and tables.get(Node, place[2]) is None):
            self.done.setdefault((place, iteration), tables.index)


def runs_well(task: Task) -> bool:
    """Whether a task is wanted, runs, and is not known to be unhealthy."""
    return (
        task.desired_state.wants_up
        and task.status.state is TaskState.RUNNING
        and task.status.health is not HealthState.UNHEALTHY
    )
