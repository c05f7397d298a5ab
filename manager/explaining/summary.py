"""A service in one sentence, and what people can do about what is wrong with it."""

from collections import Counter
from collections.abc import Sequence

from covey.model.jobs import extent
from covey.model.objects import Revision, Service, Task
from covey.model.states import HealthState, TaskState, UpdateState
from manager.scheduler.judging import Judgement

S = TaskState
_STANDSTILL = (UpdateState.PAUSED, UpdateState.ROLLBACK_PAUSED)


def summary(service: Service, revision: Revision, wanted: Sequence[Task], completed: int) -> str:
    """Say how a service stands. `wanted` are the tasks that are meant to run, `completed` those of a job that have."""
    if service.pending_delete:
        return f"{service.name} is being removed, once its tasks have ended"
    parts = [_counts(service, revision, wanted, completed)]
    waiting = [task for task in wanted if task.status.state < S.ASSIGNED and task.status.err]
    if waiting:
        reason, count = Counter(task.status.err for task in waiting).most_common(1)[0]
        who = "1 waits" if len(waiting) == 1 else f"{len(waiting)} wait"
        most = f", {count} of them" if count < len(waiting) else ""
        parts.append(f"{who}{most}: {reason}")
    if service.allocation_error:
        parts.append(service.allocation_error)
    if service.update_status.state in (*_STANDSTILL, UpdateState.UPDATING, UpdateState.ROLLBACK_STARTED):
        parts.append(service.update_status.message)
    return "; ".join(parts)


def _counts(service: Service, revision: Revision, wanted: Sequence[Task], completed: int) -> str:
    mode, name = revision.spec.mode, service.name
    running = sum(task.status.state is S.RUNNING for task in wanted)
    if service.stopped:
        left = f", {len(wanted)} tasks have yet to end" if wanted else ""
        return f"{name} is stopped: it keeps its definition and has no tasks{left}"
    if mode.kind.job:
        total = f" of {extent(mode)[0]}" if not mode.kind.everywhere else ""
        return f"{completed}{total} tasks of job {name} have completed, {running} run"
    if mode.kind.everywhere:
        return f"{running} of {len(wanted)} tasks of {name} run, one for each node that can have one"
    return f"{running} of {mode.replicas} tasks of {name} run"


def advice(service: Service, tasks: Sequence[Task], judgement: Judgement) -> list[str]:
    """Say what to do, a sentence each; nothing while all is well."""
    name, found = service.name, list[str]()
    if service.stopped:
        return [f"`covey service start {name}` gives it its tasks again"]
    if any(
        task.desired_state.wants_up and task.status.state < S.ASSIGNED and task.status.err for task in tasks
    ):
        for filter, hosts in judgement.ruled_out.items():
            if remedy := filter.explain(hosts).remedy:
                found.append(f"{filter.name}: {remedy}")
    if service.update_status.state in _STANDSTILL:
        found.append(
            f"`covey service update {name}` lets the rollout go on, `covey service rollback {name}` goes back, "
            f"`covey service history {name}` shows what changed"
        )
    if any(task.status.state in (S.FAILED, S.REJECTED) for task in tasks):
        found.append(f"`covey service logs {name}` shows what its containers said")
    if any(task.status.health is HealthState.UNHEALTHY for task in tasks):
        found.append(f"its health check fails: `covey service inspect {name}` shows which it is")
    return found
