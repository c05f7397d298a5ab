"""All tasks of a node as one machine: assignments and results in, actions out."""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from agent.health.checks import Checks, Probed
from agent.health.monitor import Monitor
from agent.network.seam import Sandbox
from covey import limits
from covey.errors import Refused, Unavailable
from covey.machine import Machine, Tick
from covey.model.assignments import Assignments, TaskReport
from covey.model.objects import Network, Task, TaskStatus
from covey.model.states import HealthState, TaskState

from .assigned import Held
from .events import (
    Assigned,
    Cancel,
    Effect,
    Event,
    Exited,
    Failure,
    Finished,
    Learn,
    Rebuild,
    Report,
    Restored,
    Save,
    Sweep,
    TableSettled,
    Trouble,
    Unlearn,
    Unreport,
    WallClock,
    Watch,
    Withdrawn,
)
from .files import NodeFacts
from .lifecycle import Act, Become, Box, Ended, Goal, Leave, Situation, Stop, Wait, goal_of, next_step
from .orders import Orders, withholds_credentials
from .outcomes import failed, succeeded
from .record import Record, shortened
from .restore import grace_ms, recovered
from .slots import Slots

S = TaskState


@dataclass(slots=True)
class Tasks:
    """The node's tasks. Every method that begins with `_` appends to `_out` what is to be done."""

    node: NodeFacts
    held: Held = field(default_factory=Held)
    records: dict[str, Record] = field(default_factory=dict[str, Record])
    settled: set[str] = field(default_factory=set[str])
    slots: Slots = field(default_factory=Slots)
    checks: Checks = field(default_factory=Checks)
    now_ms: int = 0
    now_ns: int = 0
    _alarms: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    _out: list[Effect] = field(default_factory=list[Effect])

    @property
    def wake_ms(self) -> int | None:
        """When the next Tick is needed; None if only an event can change anything."""
        wakes = [
            at for at in (self.checks.wake_ms, self._alarms[0][0] if self._alarms else None) if at is not None
        ]
        return min(wakes, default=None)

    @property
    def _orders(self) -> Orders:
        return Orders(self.node, self.held)

    def is_over(self, task_id: str) -> bool:
        """Tell whether the task writes no more: it has ended, or is not of this node."""
        record = self.records.get(task_id)
        return record is None or record.status.state.terminal

    def step(self, event: Event | Tick) -> Sequence[Effect]:
        """Feed one event; return what the driver must do, in order."""
        match event:
            case Tick(now_ms):
                assert now_ms >= self.now_ms, "time runs forward"
                self.now_ms = now_ms
                self._ring()
            case WallClock(now_ns):
                self.now_ns = now_ns
            case Restored():
                self._restore(event)
            case Assigned(assignments):
                self._assign(assignments)
            case Finished():
                self._finish(event)
            case Exited():
                self._exited(event)
            case TableSettled(network_id):
                self._settle(network_id)
            case Withdrawn(task_ids):
                self._withdrawn(task_ids)
            case Probed():
                self._probed(event)
        self._fill_slots()
        self._out += self.checks.probes(self.now_ms)
        out, self._out = self._out, []
        return out

    # --- assignments -----------------------------------------------------------------------------------

    def _restore(self, event: Restored) -> None:
        assert not self.records, "a machine restores once, first"
        self.held.load(event.assigned)
        self.records, strays = recovered(self.held, event)
        standing = [r for r in self.records.values() if r.attached]
        sandboxes = tuple(self._standing(record) for record in standing if not self._orders.shares(record))
        served = (self._orders.resolver(self.records[box.task_id], box) for box in sandboxes)
        resolvers = tuple(resolver for resolver in served if resolver is not None)
        self._out.append(Rebuild(tuple(self.held.networks.values()), sandboxes, resolvers))
        if strays:
            self._out.append(Sweep(strays))
        for record in list(self.records.values()):
            if record.goal >= Goal.STOP or record.health is HealthState.UNHEALTHY:
                record.leaving.begin(self.now_ms, unwell=record.goal < Goal.STOP)
            if record.box is Box.RUNNING:
                self._watch(record, begun=True)
            self._report(record)
            self._advance(record)

    def _withdrawn(self, task_ids: Iterable[str]) -> None:
        for task_id in task_ids:
            record = self.records.get(task_id)
            if record is not None:
                record.leaving.withdrawn = True
                self._advance(record)

    def _standing(self, record: Record) -> Sandbox:
        """The network of a task that the former agent began with. One that is to end gets no ports back."""
        sandbox = self._orders.sandbox(record, complete=False)
        record.awaited = frozenset(attachment.network.id for attachment in sandbox.attachments)
        record.start_by_ms = self.now_ms + limits.task_table_wait_ms
        ends = record.goal >= Goal.STOP and record.leaving.linger_ms
        return Sandbox(sandbox.task_id, sandbox.attachments, (), sandbox.closed) if ends else sandbox

    def _assign(self, message: Assignments) -> None:
        before = set(self.held.networks)
        saves = self.held.apply(message)
        self._out += saves
        gone = before - self.held.networks.keys()
        self.settled -= gone
        self._out += [Unlearn(network_id) for network_id in sorted(gone)]
        self._out += [Learn(save.value) for save in saves if isinstance(save.value, Network)]
        self._drop([id for id in self.records if id not in self.held.tasks])
        for task in message.changed.tasks:
            self._take(task)
        if message.full:
            for record in self.records.values():
                known = self.held.tasks.get(record.task.id)
                if known is not None and known.status.state < record.status.state:
                    self._report(record)

    def _drop(self, task_ids: list[str]) -> None:
        if not task_ids:
            return
        self._out.append(Unreport(tuple(task_ids)))
        for task_id in task_ids:
            self._want(self.records[task_id], Goal.FORGET)

    def _take(self, task: Task) -> None:
        record = self.records.get(task.id)
        goal = goal_of(task.desired_state)
        if record is None:
            status = task.status if task.status.state >= S.ASSIGNED else TaskStatus(state=S.ASSIGNED)
            record = Record(task, goal, status)
            record.grace_ms = grace_ms(self.held.revisions.get(task.revision_id))
            record.leaving.learn(self.held, task)
            self.records[task.id] = record
            self._out.append(Save("local", task.id, record.local))
            self._advance(record)
            return
        record.task = task
        record.leaving.learn(self.held, task)
        if record.goal is Goal.FORGET:  # dropped, and wanted again before it had ended: it ends, and says so
            record.goal = Goal.STOP
            self._report(record)
        self._want(record, goal)

    def _want(self, record: Record, goal: Goal) -> None:
        if goal <= record.goal:
            return
        record.goal = goal
        record.retry_at_ms = 0
        if goal >= Goal.STOP:
            record.leaving.begin(self.now_ms)
            self.checks.end(record.task.id)
            self._call_off(record, Act.PULL)
        self._advance(record)

    def _call_off(self, record: Record, act: Act) -> None:
        if record.busy is act and not record.cancelled:
            record.cancelled = True
            self._out.append(Cancel(record.task.id))

    def _settle(self, network_id: str) -> None:
        if network_id in self.settled:
            return
        self.settled.add(network_id)
        for record in list(self.records.values()):
            if network_id in record.awaited:
                self._advance(record)

    # --- the next step ---------------------------------------------------------------------------------

    def _advance(self, record: Record) -> None:
        """Take steps until an action is under way or nothing is left to do."""
        while record.busy is None and self.now_ms >= record.retry_at_ms:
            situation = record.situation(self.now_ms, self.settled)
            match next_step(situation):
                case Become(state):
                    self._become(record, state)
                case Ended():
                    clean = record.exit is not None and record.exit.code == 0 and not record.exit.oom_killed
                    self._become(record, S.COMPLETE if clean else S.FAILED)
                case Wait():
                    self._wait(record, situation)
                    return
                case Act.ERASE:
                    del self.records[record.task.id]
                    self._out.append(Save("local", record.task.id, None))
                    return
                case Act() as act:
                    if not self._begin(record, act):
                        return

    def _wait(self, record: Record, situation: Situation) -> None:
        """Have the alarm rung by which the situation is another one, if time alone can change it."""
        if situation.stop is Stop.ASKED:
            self._alarm(record, record.kill_at_ms)
        elif situation.leave is Leave.OFFERED:
            self._alarm(record, record.leaving.offered_until_ms)
        elif not situation.tables:
            self._alarm(record, record.start_by_ms)

    def _become(self, record: Record, state: TaskState) -> None:
        assert state > record.status.state, f"{record.task.id}: {record.status.state!r} to {state!r}"
        record.status = record.status_of(state, self.now_ns)
        record.attempts = 0
        self._out.append(Save("local", record.task.id, record.local))
        self._report(record)

    def _report(self, record: Record) -> None:
        if record.goal is not Goal.FORGET and record.status.state >= S.ACCEPTED:
            self._out.append(Report(TaskReport(record.task.id, record.status)))

    def _begin(self, record: Record, act: Act) -> bool:
        """Begin an action, or queue for it; True if instead the situation changed at once."""
        if not self.slots.take(act):
            if record.queued is not act:
                record.queued = act
                self.slots.queue(act, record.task.id)
            return False
        record.queued = None
        try:
            action = self._orders.action(record, act)
        except (Refused, Unavailable) as error:
            self.slots.give_back(act)
            trouble = Trouble.FATAL if isinstance(error, Refused) else Trouble.PASSING
            self._failed(record, act, Failure(trouble, str(error)))
            return True
        record.busy = act
        self._out.append(action)
        return False

    # --- results ---------------------------------------------------------------------------------------

    def _finish(self, event: Finished) -> None:
        record = self.records[event.task_id]
        assert record.busy is event.act, f"{event} while {record.busy} is under way"
        record.busy = None
        self.slots.give_back(event.act)
        if event.failure is not None:
            if record.cancelled:
                record.cancelled = False
            else:
                self._failed(record, event.act, event.failure)
        else:
            record.cancelled = False
            record.attempts = 0
            succeeded(record, event, self.now_ms)
            if event.act is Act.ATTACH:
                self._out.append(Save("local", record.task.id, record.local))
            elif event.act is Act.START:
                self._watch(record)
        self._advance(record)

    def _failed(self, record: Record, act: Act, failure: Failure) -> None:
        """An action failed: try again later, or let the lifecycle end the task."""
        if failed(record, act, failure, may_wait=withholds_credentials(self.held, record)):
            self._retry(record, failure)

    def _exited(self, event: Exited) -> None:
        record = self.records.get(event.task_id)
        if record is None or record.box is not Box.RUNNING:
            return
        record.box, record.exit = Box.EXITED, event.exit
        unasked = record.busy is not Act.SIGNAL and not record.kill_at_ms
        record.done = unasked and event.exit.code == 0 and self.held.is_job(record.task)
        self.checks.end(event.task_id)
        self._call_off(record, Act.DRAIN)
        self._advance(record)

    def _watch(self, record: Record, *, begun: bool = False) -> None:
        """Hear of the container's end, and of its health; `begun` by a former agent."""
        task_id, check = record.task.id, record.check
        self._out.append(Watch(task_id))
        if check is None or record.goal >= Goal.STOP or record.health is HealthState.UNHEALTHY:
            return
        if begun:
            self.checks.take_over(task_id, check, record.health, self.now_ms)
        else:
            self.checks.begin(task_id, check, self.now_ms)

    # --- health ----------------------------------------------------------------------------------------

    def _probed(self, event: Probed) -> None:
        monitor = self.checks.answered(event, self.now_ms)
        if monitor is None:
            return
        record = self.records[event.task_id]
        if monitor.state is not record.health:
            self._found(record, monitor)
        elif record.status.state is S.STARTING or monitor.untried >= monitor.check.retries:
            self._explain(record, monitor, event)
        elif not event.trouble:
            self._say(record, "", "")

    def _found(self, record: Record, monitor: Monitor) -> None:
        """The container is healthy now, or unhealthy; the managers hear of it before anything is done about it."""
        record.health, record.waits_for = monitor.state, ""
        if monitor.state is HealthState.UNHEALTHY:
            record.unhealthy = shortened(f"unhealthy: {monitor.failed}")
            record.leaving.begin(self.now_ms, unwell=True)
            self.checks.end(record.task.id)
            record.status = replace(record.status, health=record.health, err=record.unhealthy)
            self._out.append(Save("local", record.task.id, record.local))
            self._report(record)
        self._advance(record)

    def _explain(self, record: Record, monitor: Monitor, event: Probed) -> None:
        """Say why nobody knows the task to be healthy: its check fails, or cannot be run."""
        if event.trouble:
            text = f"its health check cannot be run: {event.trouble}"
            self._say(record, text, text)
        else:
            self._say(record, monitor.failed_how, f"its health check fails: {monitor.failed}")

    def _say(self, record: Record, how: str, text: str) -> None:
        """Report a running container's trouble with its health, whenever it is of another kind than before."""
        if how != record.waits_for:
            record.waits_for = how
            record.status = replace(record.status, err=shortened(text))
            self._report(record)

    def _retry(self, record: Record, failure: Failure) -> None:
        record.retry_at_ms = self.now_ms + limits.task_retry_delay_ms
        self._alarm(record, record.retry_at_ms)
        text = shortened(f"{failure.text}; trying again")
        if not record.status.state.terminal and record.status.err != text:
            record.status = replace(record.status, err=text, at_ns=self.now_ns)
            self._report(record)

    # --- time and places -------------------------------------------------------------------------------

    def _alarm(self, record: Record, at_ms: int) -> None:
        heapq.heappush(self._alarms, (at_ms, record.task.id))

    def _ring(self) -> None:
        due = set()
        while self._alarms and self._alarms[0][0] <= self.now_ms:
            due.add(heapq.heappop(self._alarms)[1])
        for task_id in sorted(due & self.records.keys()):
            self._advance(self.records[task_id])

    def _fill_slots(self) -> None:
        while (task_id := self.slots.next()) is not None:
            record = self.records.get(task_id)
            if record is not None:
                record.queued = None
                self._advance(record)


_: type[Machine[Event, Effect]] = Tasks
