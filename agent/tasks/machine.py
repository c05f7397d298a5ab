"""All tasks of a node as one machine: assignments and results in, actions out."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from agent.dns.feed import Resolver
from agent.images.seam import LocalImage
from agent.network.seam import Sandbox
from covey import limits
from covey.errors import Refused, Unavailable
from covey.machine import Machine, Tick
from covey.model.assignments import Assignments, TaskReport
from covey.model.objects import Network, Task, TaskStatus
from covey.model.states import TaskState

from .assigned import WITHHELD, Held
from .container import container_of, image_reference, signal_number
from .events import (
    Action,
    Assigned,
    Attach,
    Cancel,
    Create,
    Discard,
    Effect,
    Event,
    Exited,
    Failure,
    Finished,
    Learn,
    Pull,
    Rebuild,
    Release,
    Report,
    Restored,
    Save,
    Signal,
    Start,
    Sweep,
    TableSettled,
    Trouble,
    Unlearn,
    Unreport,
    WallClock,
    Watch,
    Withdrawn,
)
from .files import NodeFacts, resolver_of
from .lifecycle import Act, Become, Box, Ended, Goal, Stop, Wait, goal_of, next_step
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
    now_ms: int = 0
    now_ns: int = 0
    _alarms: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    _out: list[Effect] = field(default_factory=list[Effect])

    @property
    def wake_ms(self) -> int | None:
        """When the next Tick is needed; None if only an event can change anything."""
        return self._alarms[0][0] if self._alarms else None

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
            case Exited(task_id, exit):
                record = self.records.get(task_id)
                if record is not None and record.box is Box.RUNNING:
                    record.box, record.exit = Box.EXITED, exit
                    self._advance(record)
            case TableSettled(network_id):
                self._settle(network_id)
            case Withdrawn():
                pass
        self._fill_slots()
        out, self._out = self._out, []
        return out

    # --- assignments -----------------------------------------------------------------------------------

    def _restore(self, event: Restored) -> None:
        assert not self.records, "a machine restores once, first"
        self.held.load(event.assigned)
        self.records, strays = recovered(self.held, event)
        standing = [r for r in self.records.values() if r.attached]
        sandboxes = tuple(self._sandbox(record, complete=False) for record in standing)
        resolvers = tuple(self._resolver(r, s) for r, s in zip(standing, sandboxes, strict=True))
        self._out.append(Rebuild(tuple(self.held.networks.values()), sandboxes, resolvers))
        if strays:
            self._out.append(Sweep(strays))
        for record in list(self.records.values()):
            if record.box is Box.RUNNING:
                self._out.append(Watch(record.task.id))
            self._report(record)
            self._advance(record)

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
            self.records[task.id] = record
            self._out.append(Save("local", task.id, record.local))
            self._advance(record)
            return
        record.task = task
        if record.goal is Goal.FORGET:  # dropped, and wanted again before it had ended: it ends, and says so
            record.goal = Goal.STOP
            self._report(record)
        self._want(record, goal)

    def _want(self, record: Record, goal: Goal) -> None:
        if goal <= record.goal:
            return
        record.goal = goal
        record.retry_at_ms = 0
        if goal >= Goal.STOP and record.busy is Act.PULL and not record.cancelled:
            record.cancelled = True
            self._out.append(Cancel(record.task.id))
        self._advance(record)

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
                    if situation.stop is Stop.ASKED:
                        self._alarm(record, record.kill_at_ms)
                    elif not situation.tables:
                        self._alarm(record, record.start_by_ms)
                    return
                case Act.ERASE:
                    del self.records[record.task.id]
                    self._out.append(Save("local", record.task.id, None))
                    return
                case Act() as act:
                    if not self._begin(record, act):
                        return

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
            action = self._action(record, act)
        except (Refused, Unavailable) as error:
            self.slots.give_back(act)
            trouble = Trouble.FATAL if isinstance(error, Refused) else Trouble.PASSING
            self._failed(record, act, Failure(trouble, str(error)))
            return True
        record.busy = act
        self._out.append(action)
        return False

    def _action(self, record: Record, act: Act) -> Action:
        """What is to be done for `act`, complete with all the doing needs."""
        task_id = record.task.id
        match act:
            case Act.PULL:
                spec = self.held.revision_of(record.task).spec.task.container
                auth = None if spec.registry_auth == WITHHELD else spec.registry_auth
                return Pull(task_id, image_reference(spec), auth)
            case Act.ATTACH:
                sandbox = self._sandbox(record)
                record.attached = True  # from here on something may stand
                record.awaited = frozenset(a.network.id for a in sandbox.attachments)
                return Attach(task_id, sandbox)
            case Act.CREATE:
                return self._create(record)
            case Act.START:
                return Start(task_id)
            case Act.SIGNAL:
                return Signal(task_id, act, signal_number(record.stop_signal))
            case Act.KILL:
                return Signal(task_id, act, signal_number("KILL"))
            case Act.RELEASE:
                return Release(task_id)
            case _:
                return Discard(task_id, record.goal is Goal.FORGET)

    def _create(self, record: Record) -> Create:
        revision = self.held.expanded(record.task)
        sandbox = self._sandbox(record)
        resolver = self._resolver(record, sandbox)
        assert record.image is not None
        container = container_of(
            record.task, revision, self.node, record.image, sandbox, record.netns, resolver
        )
        record.stop_signal = container.stop_signal
        return Create(record.task.id, container, resolver)

    def _sandbox(self, record: Record, *, complete: bool = True) -> Sandbox:
        return self.held.sandbox(record.task, self.held.revision_of(record.task), complete=complete)

    def _resolver(self, record: Record, sandbox: Sandbox) -> Resolver:
        spec = self.held.revision_of(record.task).spec.task.container
        return resolver_of(sandbox, record.netns, spec, self.node)

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
            self._succeeded(record, event)
        self._advance(record)

    def _succeeded(self, record: Record, event: Finished) -> None:
        match event.act, event.result:
            case Act.PULL, LocalImage() as image:
                record.image = image
            case Act.ATTACH, str(netns):
                record.netns = netns
                self._out.append(Save("local", record.task.id, record.local))
            case Act.CREATE, int(pid):
                record.box, record.pid = Box.CREATED, pid
                record.start_by_ms = self.now_ms + limits.task_table_wait_ms
            case Act.START, _:
                record.box = Box.RUNNING
                self._out.append(Watch(record.task.id))
            case Act.SIGNAL, _:
                record.kill_at_ms = self.now_ms + record.grace_ms
            case Act.KILL, _:
                record.killed = True
            case Act.RELEASE, _:
                record.attached = False
            case Act.DISCARD, _:
                record.box = Box.ABSENT
            case _:
                raise AssertionError(f"{event.act} does not end in {event.result!r}")

    def _failed(self, record: Record, act: Act, failure: Failure) -> None:
        """An action failed: try again later, or let the lifecycle end the task."""
        waits_for_credentials = failure.denied and self._credentials_withheld(record)
        rising = act in (Act.PULL, Act.ATTACH, Act.CREATE, Act.START)
        again = failure.trouble is not Trouble.FATAL and (
            act is not Act.START or failure.trouble is Trouble.NOT_BEGUN
        )
        if rising and not waits_for_credentials:
            record.attempts += failure.trouble is not Trouble.NOT_BEGUN
            if not again or record.attempts >= limits.task_attempts_max:
                record.failure = failure
                return
        self._retry(record, failure)

    def _credentials_withheld(self, record: Record) -> bool:
        revision = self.held.revisions.get(record.task.revision_id)
        return revision is not None and revision.spec.task.container.registry_auth == WITHHELD

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
