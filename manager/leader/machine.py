"""The leader's machine: commits in, transactions out, one at a time."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from covey import errors, limits
from covey.machine import Machine, Tick
from covey.model.objects import KINDS, Object, Service, Task
from manager.allocator.allocator import Allocator
from manager.orchestrator.orchestrator import Orchestrator
from manager.scheduler.scheduler import Scheduler
from manager.store.draft import Draft
from manager.store.kinds import Kind
from manager.store.transaction import Change, Transaction
from manager.store.transaction import Commit as Applied
from manager.store.view import View


@dataclass(frozen=True, slots=True)
class Changed:
    """The store has applied an entry."""

    commit: Applied


@dataclass(frozen=True, slots=True)
class Committed:
    """The transaction in flight was applied."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The transaction in flight was refused, and nothing of it applied."""

    error: errors.Refused


@dataclass(frozen=True, slots=True)
class Commit:
    """Propose a transaction to the store, and answer with `Committed` or `Refused`."""

    transaction: Transaction


@dataclass(frozen=True, slots=True)
class Took:
    """The last `Tick` held up everything else for so long."""

    ms: float


class Leader:
    """Plans. `view` is the store; its clocks are `Tick` and `clock_ns`, the time for people to read.

    The machine is told the time by `Tick` before it acts on anything: it plans in `Tick` alone, once
    `wake_at_ms` has come.

    `in_turns`: one that is driven beside others. It plans only once it has read everything (`read`), and a pass takes
    a `Tick` for each planner, so that heartbeats of managers and agents, between those, do not wait.
    """

    def __init__(
        self,
        view: View,
        dice: Random,
        now_ms: int,
        clock_ns: Callable[[], int],
        in_turns: bool = False,
    ) -> None:
        self._view = view
        self._in_turns = in_turns
        self._clock_ns = clock_ns
        self._orchestrator = Orchestrator(view, dice)
        self._allocator = Allocator(dice)
        self._scheduler = Scheduler(view)
        self._in_flight: Transaction | None = None
        self._objects_max = limits.planner_pass_objects_max
        self._now_ms = now_ms
        self._draft: Draft | None = None  # of a pass that is under way
        self._stages: list[Callable[[Draft], None]] = []  # what is left of it
        self._plan_at_ms: int | None = now_ms
        self._hold_until_ms = now_ms  # no pass before that
        self._pause_ms = limits.planner_retry_ms
        if not in_turns:
            for kind in KINDS:
                for obj in view.all(kind):
                    self._observe(Change(kind, None, obj))

    @property
    def allocator(self) -> Allocator:
        """Who knows what addresses and ports are taken, for audits."""
        return self._allocator

    def read(self, objects: Mapping[Kind, Mapping[str, Object]]) -> Iterator[None]:
        """Observe everything there is, by and by; commits since then are to be told afterwards, in order."""
        for kind in KINDS:
            for number, obj in enumerate(objects[kind].values()):
                self._observe(Change(kind, None, obj))
                if number % limits.planner_read_objects == 0:
                    yield

    def step(self, event: Changed | Committed | Refused | Took | Tick) -> Sequence[Commit]:
        """Feed one event; at most one transaction comes out, and none while another is in flight."""
        match event:
            case Changed(commit):
                for change in commit.changes:
                    self._observe(change)
            case Committed():
                assert self._in_flight is not None, "what is committed was in flight"
                self._in_flight = None
                self._pause_ms = limits.planner_retry_ms
            case Refused(error):
                self._take_back(error)
            case Took(ms):
                self._adapt(ms)
            case Tick(now_ms):
                assert now_ms >= self._now_ms, "time runs forward"
                self._now_ms = now_ms
                if self._draft is None and self._in_flight is None and self._due():
                    self._begin()
                if self._draft is not None:
                    return self._go_on(self._draft)
        self._schedule()
        return ()

    @property
    def wake_at_ms(self) -> int | None:
        """When to be told the time next, if nothing happens before."""
        if self._draft is not None:
            return self._now_ms
        return None if self._in_flight is not None else self._plan_at_ms

    def _observe(self, change: Change) -> None:
        self._orchestrator.observe(change)
        self._allocator.observe(change)
        self._scheduler.observe(change)

    def _due(self) -> bool:
        return self._plan_at_ms is not None and self._plan_at_ms <= self._now_ms

    def _schedule(self) -> None:
        """Plan a moment after the first thing to do, so that what comes together is planned together."""
        if self._orchestrator.busy or self._allocator.busy or self._scheduler.busy:
            soon = max(self._now_ms + limits.planner_debounce_ms, self._hold_until_ms)
            self._plan_at_ms = soon if self._plan_at_ms is None else min(self._plan_at_ms, soon)
            return
        timers = (self._orchestrator.wake_at_ms, self._scheduler.wake_at_ms)
        due = [max(ms, self._hold_until_ms) for ms in timers if ms is not None]
        self._plan_at_ms = min(due, default=None)

    def _begin(self) -> None:
        """Begin a pass: everyone plans on one draft. What one has written, the next ones observe like a commit.

        What others commit meanwhile the planners hear of at once; where it is at odds with the draft, the
        transaction is refused.
        """
        self._plan_at_ms = None
        self._draft = Draft(self._view)
        self._stages = [self._orchestrate, self._allocate, self._place]

    def _orchestrate(self, draft: Draft) -> None:
        self._orchestrator.plan(draft, self._now_ms, self._clock_ns(), self._objects_max)

    def _allocate(self, draft: Draft) -> None:
        for change in self._written(draft.transaction()):
            self._allocator.observe(change)
        self._allocator.plan(draft, self._clock_ns(), self._objects_max)

    def _place(self, draft: Draft) -> None:
        for change in self._written(draft.transaction()):
            self._scheduler.observe(change, draft)
        now_ns, blocked = self._clock_ns(), self._allocator.blocked
        self._scheduler.plan(draft, self._now_ms, now_ns, self._objects_max, blocked)

    def _go_on(self, draft: Draft) -> Sequence[Commit]:
        """Have the next one plan; after the last one, give what they wrote."""
        while self._stages:
            self._stages.pop(0)(draft)
            if self._in_turns and self._stages:
                return ()
        self._draft = None
        transaction = draft.transaction()
        self._schedule()
        if not transaction:
            return ()
        self._in_flight = transaction
        return (Commit(transaction),)

    def _written(self, transaction: Transaction) -> Iterator[Change]:
        """What a transaction would change; not what somebody else has deleted meanwhile, which was observed then."""
        for obj in transaction.put:
            yield Change(type(obj), self._view.get(type(obj), obj.id), obj)
        for key in transaction.delete:
            if (present := self._view.get(key.kind, key.id)) is not None:
                yield Change(key.kind, present, None)

    def _adapt(self, took_ms: float) -> None:
        """Have a pass write as much as it can without holding up others, within bounds.

        A part of its time goes by whatever it writes (a look at all tasks of a service), so too small a bound
        would make a large plan last for ever.
        """
        if took_ms > limits.planner_turn_ms:
            self._objects_max = max(self._objects_max // 2, limits.planner_pass_objects_min)
        elif took_ms > limits.planner_turn_ms / 4 and self._objects_max < limits.planner_pass_objects_max:
            self._objects_max = min(self._objects_max * 5 // 4, limits.planner_pass_objects_max)

    def _take_back(self, error: errors.Refused) -> None:
        """Nothing of the draft has happened: have everyone observe what the store has instead."""
        transaction, self._in_flight = self._in_flight, None
        assert transaction is not None, "what is refused was in flight"
        for change in self._written(transaction):
            present = self._view.get(change.kind, change.id)
            drafted = change.after or change.before
            assert drafted is not None, "a change has a before or an after"
            self._observe(Change(change.kind, drafted if present is None else None, present))
            self._allocator.touch(drafted)
            if isinstance(drafted, Task):
                self._orchestrator.touch(drafted.service_id, drafted.node_id)
            elif isinstance(drafted, Service):
                self._orchestrator.touch(drafted.id)
        self._objects_max = max(self._objects_max // 2, 1)
        if isinstance(error, errors.Conflict):
            pause_ms = limits.planner_debounce_ms
        else:  # a full disk is not emptied by asking more often
            pause_ms = self._pause_ms
            self._pause_ms = min(2 * self._pause_ms, limits.planner_retry_ms_max)
        self._plan_at_ms = None
        self._hold_until_ms = self._now_ms + pause_ms


_: type[Machine[Changed | Committed | Refused | Took, Commit]] = Leader
