"""What would happen, in words."""

from collections.abc import Iterable, Iterator

from covey.client.views import Plan, PlanAction, PlanStep
from covey.model.difference import FieldChange
from covey.model.states import ServiceModeKind

from .text import short

_STEP_LINES = 200


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
    if steps:
        yield "What would happen:"
        yield from (f"  {_step(step, name, kind)}" for step in steps[:_STEP_LINES])
        if len(steps) > _STEP_LINES:
            yield f"  and {len(steps) - _STEP_LINES} more"
    if kept:
        yield f"{_tasks(kept)} would stay as {'it is' if kept == 1 else 'they are'}."
    elif not steps:
        yield "No task would be created or stopped."
    if plan.rollout:
        yield f"How: {plan.rollout}"
    yield f"This is a plan for {name}: nothing was changed."


def _step(step: PlanStep, name: str, kind: ServiceModeKind) -> str:
    place = f"{name}.{step.node_name or short(step.node_id) if kind.everywhere else step.slot}"
    where = f" on {step.node_name or short(step.node_id)}" if step.node_name or step.node_id else ""
    why = f": {step.reason}" if step.reason else ""
    match step.action:
        case PlanAction.CREATE:
            instead = f", in place of {short(step.replaces)}" if step.replaces else ""
            return f"create {place}{where}{instead}{why}"
        case PlanAction.STOP:
            return f"stop   {place}{where}{_task(step)}{why}"
        case PlanAction.WAIT:
            return f"wait   {place} would find no node{why}"
        case PlanAction.KEEP:
            return f"keep   {place}{where}{_task(step)}{why}"


def _task(step: PlanStep) -> str:
    return f" (task {short(step.task_id)})" if step.task_id else ""


def _tasks(count: int) -> str:
    return "1 task" if count == 1 else f"{count} tasks"


def changes_text(changes: Iterable[FieldChange]) -> list[str]:
    """Tell each change on a line."""
    return [change_text(change) for change in changes]
