"""Starts: when a task that is being prepared may run."""

from covey import limits
from covey.model.objects import Task
from covey.model.states import TaskState

from . import restart
from .places import Place, Scene


def promote(scene: Scene, place: Place) -> None:
    """Let the prepared task of a place run once its delay is over and those before it have ended.

    One that does not end is waited for a minute: a place must not stay empty for a container that hangs.
    """
    ready = place.live
    if not ready or any(task.desired_state >= TaskState.RUNNING for task in ready):
        return  # nothing waits, or another task is meant to run here for now
    task = _best(scene, ready)
    scene.desire(place, [other for other in ready if other.id != task.id], TaskState.SHUTDOWN)
    turn, memory = scene.turn, scene.memory
    start_ms = restart.held_back_ms(scene, place, task)
    if _blocked(scene, place, task):
        since_ms = memory.waiting_ms.setdefault(task.id, turn.now_ms)
        start_ms = max(start_ms, since_ms + limits.restart_old_task_wait_ms)
    if start_ms <= turn.now_ms:
        scene.desire(place, [task], scene.goal)
    else:
        turn.wake_at(start_ms)


def _blocked(scene: Scene, place: Place, task: Task) -> bool:
    """Tell whether a predecessor may still be running, on a node that could say so."""
    return any(
        other.id != task.id
        and other.status.state >= TaskState.ASSIGNED
        and not other.status.state.terminal
        and not scene.turn.dead(other.node_id)
        for other in place.tasks
    )


def _best(scene: Scene, ready: tuple[Task, ...]) -> Task:
    return max(ready, key=lambda task: (not scene.stale(task), task.status.state, task.id))
