"""Starts: when a task that is being prepared may run."""

from covey.model.objects import Task
from covey.model.states import TaskState

from . import restart
from .places import Place, Scene
from .stopping import patience_ms, stops_yet


def promote(scene: Scene, place: Place) -> None:
    """Let the prepared task of a place run once its delay is over and those before it have ended.

    One that does not end is waited for as long as it may take to stop, and a minute at least: a place must
    not stay empty for a container that hangs.
    """
    ready = place.live
    if len(ready) == 1 and ready[0].desired_state >= TaskState.RUNNING:
        return  # as in most places at most times
    if not ready or any(task.desired_state >= TaskState.RUNNING for task in ready):
        return  # nothing waits, or another task is meant to run here for now
    task = _best(scene, ready)
    scene.desire(place, [other for other in ready if other.id != task.id], TaskState.SHUTDOWN)
    turn, memory = scene.turn, scene.memory
    start_ms = restart.held_back_ms(scene, place, task)
    before = [other for other in place.tasks if other.id != task.id and stops_yet(scene, other)]
    if before:
        since_ms = memory.waiting_ms.setdefault(task.id, turn.now_ms)
        start_ms = max(start_ms, since_ms + max(patience_ms(scene, other) for other in before))
    if start_ms <= turn.now_ms:
        scene.desire(place, [task], scene.goal)
    else:
        turn.wake_at(start_ms)


def _best(scene: Scene, ready: tuple[Task, ...]) -> Task:
    return max(ready, key=lambda task: (not scene.stale(task), task.status.state, task.id))
