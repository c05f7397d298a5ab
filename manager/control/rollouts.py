"""Do a service's mode and its rules for updates and rollbacks make sense, by themselves and together?"""

from collections.abc import Iterator
from enum import IntEnum

import msgspec

from covey import limits
from covey.model.specs import ServiceMode, ServiceSpec, UpdateConfig
from covey.model.states import FailureAction, PublishMode, ServiceModeKind, UpdateOrder

from .refusal import check_not_negative, refuse


def check_mode(mode: ServiceMode) -> None:
    """Check how many tasks there are to be."""
    most = limits.replicas_max
    if mode.kind is ServiceModeKind.REPLICATED:
        if not 0 <= mode.replicas <= most:
            raise refuse("replicas", mode.replicas, f"is not between 0 and {most}")
    elif mode.replicas not in (0, ServiceMode().replicas):
        raise refuse(
            "replicas", mode.replicas, f"cannot go with mode {_word(mode.kind)}; {_instead(mode.kind)}"
        )
    if mode.kind is ServiceModeKind.REPLICATED_JOB:
        total, at_once = mode.total_completions, mode.max_concurrent
        for field, value in (("total-completions", total), ("max-concurrent", at_once)):
            if not 0 <= value <= most:
                raise refuse(field, value, f"is not between 0 and {most}")
        if total and at_once > total:
            raise refuse(
                "max-concurrent",
                at_once,
                f"is more than the {total} that are to complete; use {total} or less",
            )
        return
    for field, value in (
        ("total-completions", mode.total_completions),
        ("max-concurrent", mode.max_concurrent),
    ):
        if value:
            raise refuse(
                field, value, f"goes with mode replicated-job only, not {_word(mode.kind)}; leave it out"
            )


def _instead(kind: ServiceModeKind) -> str:
    if kind is ServiceModeKind.REPLICATED_JOB:
        return "say how many are to complete, and how many run at once"
    return "every node has one task; leave it out"


def check_rollouts(spec: ServiceSpec) -> None:
    """Check the rules of updates and rollbacks, with the mode and the ports they are for."""
    for prefix, update in (("update", spec.update), ("rollback", spec.rollback)):
        _check_rules(prefix, update)
        if spec.mode.kind.job:
            _check_job(prefix, update, spec.mode.kind)
        elif update.order is UpdateOrder.START_FIRST:
            _check_start_first(prefix, spec)
    if spec.rollback.failure_action is FailureAction.ROLLBACK:
        remedy = "cannot be: a rollback is not rolled back; use pause or continue"
        raise refuse("rollback-failure-action", "rollback", remedy)


def _check_rules(prefix: str, update: UpdateConfig) -> None:
    for field, value, meaning in (
        ("parallelism", update.parallelism, "0 replaces all tasks at once"),
        ("delay", update.delay_ns, "0 goes on without a pause"),
        ("monitor", update.monitor_ns, "0 watches each task for an instant"),
        ("start-deadline", update.start_deadline_ns, "0 waits for a new task without end"),
    ):
        check_not_negative(f"{prefix}-{field}", value, meaning)
    if not 0 <= update.max_failure_ratio <= 1:
        remedy = "is not between 0 and 1; 0.1 bears one failure in ten"
        raise refuse(f"{prefix}-max-failure-ratio", update.max_failure_ratio, remedy)


def _check_job(prefix: str, update: UpdateConfig, kind: ServiceModeKind) -> None:
    """A job has no rollouts: what is said of them would mean nothing."""
    for field, value in _differing(update):
        remedy = (
            f"has no meaning for a {_word(kind)}: an update stops its tasks and begins it anew; leave it out"
        )
        raise refuse(f"{prefix}-{field}", value, remedy)


def _differing(update: UpdateConfig) -> Iterator[tuple[str, object]]:
    """Give the fields that are not as they are by themselves, with the names and values people use."""
    default = UpdateConfig()
    for field in msgspec.structs.fields(UpdateConfig):
        value = getattr(update, field.name)
        if value != getattr(default, field.name):
            name = field.name.removesuffix("_ns").replace("_", "-")
            yield name, _word(value) if isinstance(value, IntEnum) else value


def _check_start_first(prefix: str, spec: ServiceSpec) -> None:
    """On every node there is one task that has the node's port; another one cannot start before it has ended."""
    port = next((p for p in spec.endpoint.ports if p.publish_mode is PublishMode.HOST), None)
    if port is not None and spec.mode.kind is ServiceModeKind.GLOBAL:
        number = port.published_port or port.target_port
        remedy = (
            f"cannot go with the host-mode port {number} of a global service: each node's new task would wait for "
            "the port that its old one has; use stop-first, or publish with mode=ingress"
        )
        raise refuse(f"{prefix}-order", "start-first", remedy)


def _word(value: IntEnum) -> str:
    """Name a member of an enumeration as people write it."""
    return value.name.lower().replace("_", "-")
