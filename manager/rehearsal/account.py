"""The account of a rehearsal: what happened to a service's tasks, as steps in the order in which they began."""

from covey.model.jobs import extent
from covey.model.objects import Node, Revision, Service, Task
from covey.model.specs import ServiceSpec, UpdateConfig
from covey.model.states import FailureAction, TaskState, UpdateOrder, UpdateState
from covey.v1.control_pb2 import (
    PLAN_ACTION_CREATE,
    PLAN_ACTION_KEEP,
    PLAN_ACTION_STOP,
    PLAN_ACTION_WAIT,
    PlanAction,
    PlanStep,
)
from manager.store.transaction import Change
from manager.store.view import BY_SERVICE, View

Place = tuple[int, str]
"""(slot, "") where tasks have slots, (0, node id) where every node has one."""


class Account:
    """Takes note of what happens to the tasks of one service, and tells of it in the end.

    It is made after the change that is rehearsed and before anything came of it.
    """

    def __init__(self, view: View, service: Service) -> None:
        self._view = view
        self._service_id = service.id
        self._everywhere = _spec(view, service).mode.kind.everywhere
        self._begun: dict[str, None] = {}  # made, or told to stop, in this order
        self._latest: dict[str, Task] = {}
        self._numbers: dict[str, int] = {}  # of the revisions that tasks are of
        self._made: set[str] = set()
        self._refilled: set[Place] = set()
        self._holders: dict[Place, str] = {}
        for task in view.find(Task, BY_SERVICE, service.id):
            self._take(task)
            if _lives(task):
                self._holders[self._place(task)] = task.id

    def note(self, change: Change) -> None:
        """A task was made, changed or forgotten."""
        before, after = change.before, change.after
        if not isinstance(after, Task) or after.service_id != self._service_id:
            return
        if before is None:
            self._made.add(after.id)
            self._begun[after.id] = None
            self._refilled.add(self._place(after))
        elif isinstance(before, Task) and _lives(before) and not after.desired_state.wants_up:
            self._begun.setdefault(after.id)
        self._take(after)

    def steps(self, service: Service) -> list[PlanStep]:
        """Tell of it; tasks that nothing happened to come last."""
        steps = []
        holders = dict(self._holders)
        for task_id in self._begun:
            task = self._latest[task_id]
            if task_id not in self._made:
                steps.append(self._step(PLAN_ACTION_STOP, task, reason=self._why_stopped(task, service)))
                continue
            replaced = holders.pop(self._place(task), "")
            waits = not task.node_id or task.status.state <= TaskState.PENDING
            action, reason = (PLAN_ACTION_WAIT, task.status.err) if waits else (PLAN_ACTION_CREATE, "")
            steps.append(self._step(action, task, reason=reason, replaces=replaced))
        kept = [task for id, task in self._latest.items() if id not in self._begun and _lives(task)]
        return steps + [self._step(PLAN_ACTION_KEEP, task) for task in kept]

    def _why_stopped(self, task: Task, service: Service) -> str:
        if service.stopped:
            return "the service is stopped"
        if self._place(task) in self._refilled:
            return "another task takes its place"
        mode = _spec(self._view, service).mode
        if mode.kind.everywhere:
            return task.status.err or "its node is no place for it any more"
        wanted = extent(mode)[0] if mode.kind.job else mode.replicas
        return task.status.err or f"its place is one too many for {wanted}"

    def _take(self, task: Task) -> None:
        self._latest[task.id] = task
        if task.revision_id not in self._numbers:
            revision = self._view.get(Revision, task.revision_id)
            assert revision is not None, f"revision {task.revision_id} is there as long as a task is of it"
            self._numbers[task.revision_id] = revision.number

    def _place(self, task: Task) -> Place:
        return (0, task.node_id) if self._everywhere else (task.slot, "")

    def _step(self, action: PlanAction, task: Task, reason: str = "", replaces: str = "") -> PlanStep:
        node = self._view.get(Node, task.node_id) if task.node_id else None
        fresh = task.id in self._made
        return PlanStep(
            action=action,
            task_id="" if fresh else task.id,
            slot=task.slot,
            node_id=task.node_id,
            node_name=node.description.hostname if node is not None else "",
            revision=self._numbers[task.revision_id],
            reason=reason,
            replaces=replaces,
        )


def _lives(task: Task) -> bool:
    return task.desired_state.wants_up and not task.status.state.terminal


def _spec(view: View, service: Service) -> ServiceSpec:
    revision = view.get(Revision, service.revision_id)
    assert revision is not None, f"the current revision of service {service.name} is there"
    return revision.spec


def rollout_of(after: ServiceSpec, steps: list[PlanStep], *, back: bool = False) -> str:
    """The rules by which tasks are replaced, in words; empty if none is, or if they are not rolled out.

    Those of rollbacks if it is one that goes `back`.
    """
    replaced = sum(bool(step.replaces) for step in steps)
    if not replaced or after.mode.kind.job:
        return ""
    tasks = "1 task" if replaced == 1 else f"{replaced} tasks"
    return f"{tasks} replaced, {in_words(after.rollback if back else after.update)}"


def in_words(config: UpdateConfig) -> str:
    """The rules of a rollout as one reads them."""
    words = [f"{config.parallelism} at a time" if config.parallelism else "all at once"]
    start_first = config.order is UpdateOrder.START_FIRST
    words.append("the new one starts first" if start_first else "the old one stops first")
    if config.delay_ns:
        words.append(f"{config.delay_ns / 1e9:g} s apart")
    if config.failure_action is FailureAction.CONTINUE:
        words.append("whatever fails")
    else:
        what = "paused" if config.failure_action is FailureAction.PAUSE else "rolled back"
        failed = f"more than {config.max_failure_ratio:.0%} fail" if config.max_failure_ratio else "one fails"
        words.append(f"{what} if {failed} within {config.monitor_ns / 1e9:g} s")
    return ", ".join(words)


def outcome(service: Service, *, ended: bool) -> list[str]:
    """What people must know of how it went, beside the steps."""
    warnings = []
    if service.allocation_error:
        warnings.append(service.allocation_error)
    if service.update_status.state in (UpdateState.PAUSED, UpdateState.ROLLBACK_PAUSED):
        warnings.append(f"it would come to a standstill: {service.update_status.message}")
    if not ended:
        warnings.append("this was not followed to its end, which is too far away: more would happen")
    return warnings
