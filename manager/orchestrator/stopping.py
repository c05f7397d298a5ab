"""Stops: which tasks that were told to stop may run yet, and how long those that follow them wait for that."""

from covey import limits
from covey.model.objects import Task
from covey.model.states import TaskState

from .places import Place, Scene


def stops_yet(scene: Scene, task: Task) -> bool:
    """Tell whether a task that was told to stop may still be running, on a node that could say so."""
    state = task.status.state
    return state >= TaskState.ASSIGNED and not state.terminal and not scene.turn.dead(task.node_id)


def patience_ms(scene: Scene, task: Task) -> int:
    """How long others wait for a task to stop: never less than it may take to withdraw, drain and stop it."""
    own, current = scene.turn.revision(task.revision_id).spec, scene.revision.spec
    drain_ns = max(own.endpoint.drain_ns, current.endpoint.drain_ns)
    grace_ns = own.task.container.stop_grace_ns
    stop_ms = limits.withdrawal_wait_ms + (drain_ns + grace_ns) // 1_000_000 + limits.stop_margin_ms
    return max(limits.restart_old_task_wait_ms, stop_ms)


def takes_long(scene: Scene, place: Place, task: Task) -> bool:
    """Tell whether those before a task have been given more time to stop than others have."""
    return any(
        other.id != task.id
        and stops_yet(scene, other)
        and patience_ms(scene, other) > limits.restart_old_task_wait_ms
        for other in place.tasks
    )
