"""What would happen, in words."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from covey.client.views import Plan, PlanAction, PlanStep
from covey.model.difference import FieldChange
from covey.model.states import ServiceModeKind

from .text import short, some

_STEP_LINES = 60


def change_text(change: FieldChange) -> str:
    """Return `replicas: 3 → 5`; what is set anew, or not any more, stands alone."""
    if not change.before:
        return f"{change.path}: {change.after} (new)"
    if not change.after:
        return f"{change.path}: {change.before} (removed)"
    return f"{change.path}: {change.before} → {change.after}"


def plan_text(plan: Plan, name: str, kind: ServiceModeKind) -> str:
    """Tell a plan from the first step to the last; tasks that stay as they are only count."""
    return "\n".join(_lines(plan, name, kind))


def _lines(plan: Plan, name: str, kind: ServiceModeKind) -> Iterator[str]:
    if plan.changes:
        yield "What would change:"
        yield from (f"  {change_text(change)}" for change in plan.changes)
    steps = [step for step in plan.steps if step.action is not PlanAction.KEEP]
    kept = len(plan.steps) - len(steps)
    waits = [step for step in steps if step.action is PlanAction.WAIT]
    moves = [step for step in steps if step.action is not PlanAction.WAIT]
    if steps:
        yield "What would happen:"
        yield from (f"  {_step(step, name, kind)}" for step in moves[:_STEP_LINES])
        yield from (f"  {line}" for line in _rest(moves[_STEP_LINES:]))
        yield from (f"  {line}" for line in _waits(waits, name, kind))
    if kept:
        yield f"{_tasks(kept)} would stay as {'it is' if kept == 1 else 'they are'}."
    elif not steps:
        yield "No task would be created or stopped."
    if plan.rollout:
        yield f"How: {plan.rollout}"
    yield f"This is a plan for {name}: nothing was changed."


def _rest(steps: Sequence[PlanStep]) -> Iterator[str]:
    """Count what is too much to be listed: how many tasks, and on which nodes."""
    for action, word in ((PlanAction.CREATE, "create"), (PlanAction.STOP, "stop  ")):
        mine = [step for step in steps if step.action is action]
        nodes = Counter(
            step.node_name or short(step.node_id) for step in mine if step.node_id or step.node_name
        )
        if mine:
            where = f" on {some([f'{node} ({count})' for node, count in nodes.items()])}" if nodes else ""
            yield f"{word} {len(mine)} more{where}"


def _waits(steps: Sequence[PlanStep], name: str, kind: ServiceModeKind) -> Iterator[str]:
    """Tell what would find no node, once for each reason: hundreds of tasks may have the same."""
    by_reason: dict[str, list[str]] = {}
    for step in steps:
        by_reason.setdefault(step.reason, []).append(_place(step, name, kind))
    lines = [
        f"wait   {some(places)} would find no node{f': {reason}' if reason else ''}"
        for reason, places in by_reason.items()
    ]
    yield from lines[:_STEP_LINES]
    if more := sum(len(places) for places in list(by_reason.values())[_STEP_LINES:]):
        yield f"wait   {more} more, for reasons of their own"


def _place(step: PlanStep, name: str, kind: ServiceModeKind) -> str:
    return f"{name}.{step.node_name or short(step.node_id) if kind.everywhere else step.slot}"


def _step(step: PlanStep, name: str, kind: ServiceModeKind) -> str:
    place = _place(step, name, kind)
    where = f" on {step.node_name or short(step.node_id)}" if step.node_name or step.node_id else ""
    why = f": {step.reason}" if step.reason else ""
    match step.action:
        case PlanAction.CREATE:
            instead = f", in place of {short(step.replaces)}" if step.replaces else ""
            return f"create {place}{where}{instead}{why}"
        case PlanAction.STOP:
            return f"stop   {place}{where}{_task(step)}{why}"
        case PlanAction.WAIT | PlanAction.KEEP:
            raise AssertionError("what waits is told by its reason, and what stays is counted")


def _task(step: PlanStep) -> str:
    return f" (task {short(step.task_id)})" if step.task_id else ""


def _tasks(count: int) -> str:
    return "1 task" if count == 1 else f"{count} tasks"


def changes_text(changes: Iterable[FieldChange]) -> list[str]:
    """Tell each change on a line."""
    return [change_text(change) for change in changes]
