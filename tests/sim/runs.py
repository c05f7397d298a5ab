"""What really runs on the hosts, whatever managers and agents think of it, and what must be true of that.

* No task is started twice, nor two tasks in one place (a slot, or a node of a global service) at a time. Of services
  that start first two may be wanted in a place, if they are of different generations or one leaves a drained node.
  Excepted is what the managers gave up: a task whose node they once took for dead, as they cannot ask a node that is
  cut off to stop it.
* No more tasks of a service on a node than its placement allows, of those their agent does not know to be unwanted.
* In a job, a place that has completed in an iteration is not run again in it; no more run at once than may. Excepted
  is again what was given up: of a task that ended on a node that was cut off, managers have not heard.
* A task that serves connections is not asked to stop before its agent was told that nobody sends it new ones, or
  `withdrawal_wait_ms` have passed; and no agent is told so while a node that is thought alive still sends it some.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent.tasks.lifecycle import Goal
from covey import limits
from covey.model.objects import Endpoint, Node, Revision, Task
from covey.model.states import EndpointState, HealthState, NodeState, TaskState, UpdateOrder
from manager.store.tables import Tables
from manager.store.view import BY_NODE
from tests.sim.checkers import Violated

if TYPE_CHECKING:
    from tests.sim.history import History
    from tests.sim.world import World

Place = tuple[str, int, str]
"""(service, slot, "") or (service, 0, node)."""


@dataclass
class Run:
    """One container that runs."""

    task: Task
    node: str
    revision: Revision

    @property
    def place(self) -> Place:
        """Where it stands among the tasks of its service."""
        return place_of(self.task, self.revision)


def place_of(task: Task, revision: Revision) -> Place:
    """Where a task stands among those of its service."""
    everywhere = revision.spec.mode.kind.everywhere
    return task.service_id, 0 if everywhere else task.slot, task.node_id if everywhere else ""


@dataclass
class Runs:
    """Every start and end of a container."""

    world: "World"
    tell: Callable[[str, str, str, str], None] = lambda what, node, id, how: None
    on: dict[str, str] = field(default_factory=dict)
    now: dict[str, Run] = field(default_factory=dict)
    stopped: set[str] = field(default_factory=set)
    per_place: dict[Place, set[str]] = field(default_factory=lambda: defaultdict(set))
    completed: dict[tuple[Place, int], str] = field(default_factory=dict)
    ended_well: set[str] = field(default_factory=set)

    @property
    def history(self) -> "History":
        """What the managers have committed."""
        return self.world.history

    def started(self, node: str, id: str) -> None:
        """Hear that a container is started."""
        self.tell("is started", node, id, "")
        if id in self.on:
            raise Violated(f"task {id} is started on {node}, and was on {self.on[id]}")
        self.on[id] = node
        task = self.history.tasks[id]
        run = Run(task, node, self.history.revisions[task.revision_id])
        self._few_enough(run)
        if not self._excused(id):
            self._alone(run)
            self._wanted_by_job(run)
        self.now[id] = run
        self.per_place[run.place].add(id)

    def asked_to_end(self, node: str, id: str) -> None:
        """Hear that a container is sent its stop signal."""
        self.tell("is asked to stop", node, id, "")
        self.stopped.add(id)
        agent = self.world.agent(node)
        record = agent.tasks.records.get(id)
        run = self.now[id]
        spec = run.revision.spec
        drains = spec.endpoint.drain_ns and (spec.task.networks or spec.endpoint.ports)
        if record is None or record.goal is not Goal.STOP or not drains:
            return
        unwell = record.health is HealthState.UNHEALTHY  # then it has waited since that was found
        if record.status.state is not TaskState.RUNNING or id in agent.withdrawn or unwell:
            return
        waited_ms = self.world.clock.now_ms - agent.heard_ms.get(id, self.world.clock.now_ms)
        if waited_ms < limits.withdrawal_wait_ms - 1:
            raise Violated(
                f"task {id} is asked to stop after {waited_ms:.0f} ms, and nobody had withdrawn it"
            )

    def asked_too_late(self, id: str) -> None:
        """Hear that a stop signal came to nobody any more: how it ended, its agent does not know for sure."""
        self.completed = {key: done for key, done in self.completed.items() if done != id}

    def withdrawn(self, task_ids: tuple[str, ...], tables: Tables) -> None:
        """Hear that a manager tells an agent that nobody sends these tasks anything new."""
        for agent in self.world.agents:
            node = tables.get(Node, agent.name)
            if node is None or node.status.state is not NodeState.READY:
                continue
            on = {  # of its own it is on the ingress network; on others it sends what containers there send
                endpoint.network_id
                for endpoint in tables.find(Endpoint, BY_NODE, agent.name)
                if not endpoint.task_id or endpoint.task_id in self.now
            }
            for table in agent.in_force.values():
                sends_to = {row.task_id for row in table.endpoints if row.state is EndpointState.ACTIVE}
                if table.network_id in on and (still := sends_to.intersection(task_ids)):
                    raise Violated(
                        f"tasks {still} are said to be withdrawn, and {agent.name} still sends to them"
                    )

    def ended(self, node: str, id: str, code: int | None) -> None:
        """Hear that a container has ended."""
        self.tell("ends with", node, id, str(code))
        run = self.now.pop(id, None)
        assert run is not None, f"{id} ends on {node} and did not run"
        if code == 0:
            self.ended_well.add(id)
        if code == 0 and id not in self.stopped and run.revision.spec.mode.kind.job and not self._excused(id):
            key = run.place, run.revision.restart_generation
            other = self.completed.setdefault(key, id)
            if other != id and not self._excused(other):
                raise Violated(f"task {id} completes, and {other} had done so in its place {run.place[1:]}")

    # --- when one starts ---

    def _excused(self, id: str) -> bool:
        return id in self.history.given_up

    def _alone(self, run: Run) -> None:
        others = [id for id, other in self.now.items() if other.place == run.place and not self._excused(id)]
        if self.history.starts_first(run.task.service_id):
            others = self._too_many_at_first(run, others)
        for id in others:
            raise Violated(
                f"task {run.task.id} starts on {run.node}, and {id} still runs on {self.now[id].node} in the place "
                f"{run.place[1:]} of {self.history.name_of(run.task.service_id)}"
            )

    def _too_many_at_first(self, run: Run, others: list[str]) -> list[str]:
        """Which of the others may not run beside one that starts first: more than one, or one it does not follow."""
        tasks, generation = self.history.tasks, run.revision.restart_generation
        if not tasks[run.task.id].desired_state.wants_up:
            return []  # its agent has yet to hear of that
        wanted = [id for id in others if tasks[id].desired_state.wants_up]
        follows = run.task.id in self.world.rollouts.followers
        alike = [id for id in wanted if self.now[id].revision.restart_generation == generation]
        return [] if len(wanted) < 2 and (follows or not alike) else wanted

    def _few_enough(self, run: Run) -> None:
        most = run.revision.spec.task.placement.max_replicas_per_node
        if not most:
            return
        here = 1
        for id, other in self.now.items():
            if other.node == run.node and other.task.service_id == run.task.service_id:
                record = self.world.agent(run.node).tasks.records.get(id)
                here += record is not None and record.goal < Goal.STOP
        if here > most:
            raise Violated(
                f"{here} tasks of {self.history.name_of(run.task.service_id)} run on {run.node}, and at most "
                f"{most} may"
            )

    def _wanted_by_job(self, run: Run) -> None:
        mode, iteration = run.revision.spec.mode, run.revision.restart_generation
        if not mode.kind.job:
            return
        other = self.completed.get((run.place, iteration), "")
        if other and not self._excused(other):
            raise Violated(f"task {run.task.id} starts, and {other} has completed in its place")
        at_once = 1 + sum(
            other.task.service_id == run.task.service_id
            and other.revision.restart_generation == iteration
            and not self._excused(id)
            for id, other in self.now.items()
        )
        most = mode.max_concurrent or mode.total_completions
        if most and not mode.kind.everywhere and at_once > most:
            raise Violated(f"{at_once} tasks of a job run at once, and at most {most} may")

    # --- in the end ---

    def undisturbed(self) -> None:
        """Nothing but managers failed, and nobody asked for less: every place has seen one task."""
        if self.stopped:
            raise Violated(f"tasks {sorted(self.stopped)[:5]} were ended, and nobody had asked for that")
        twice = {place: ids for place, ids in self.per_place.items() if len(ids) > 1}
        if twice:
            raise Violated(f"places were filled twice: {dict(list(twice.items())[:3])}")


def starts_first(revision: Revision) -> bool:
    """Whether the rules of a revision ever let two tasks run in one place."""
    spec = revision.spec
    return UpdateOrder.START_FIRST in (spec.update.order, spec.rollback.order)
