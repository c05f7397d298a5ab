"""Probation: what a rollout waits for in its new tasks, and which of them have failed.

A new task has failed if it ends within the monitor period of its start, if it is found unhealthy in it, or
if it does not run within the start deadline, whatever it waited for; but where the old one was given more
than a minute to stop, that begins only once it has. Each fails once.
"""

from covey import limits
from covey.model.objects import Task
from covey.model.specs import UpdateConfig
from covey.model.states import HealthState, RestartCondition, TaskState

from . import backoff
from .memory import Key, RolloutMemory
from .places import Place, Scene, is_live
from .stopping import takes_long

Split = tuple[tuple[Task, ...], tuple[Task, ...]]
"""The live tasks of a place: those of the current generation, and those that must give way."""


def monitor_ms(config: UpdateConfig) -> int:
    """How long a new task is watched; always a little longer than the pause between two places."""
    monitor, delay = config.monitor_ns // 1_000_000, config.delay_ns // 1_000_000
    return monitor if monitor > delay else delay + limits.update_monitor_margin_ms


def note_end(scene: Scene, task: Task, config: UpdateConfig) -> None:
    """A task ended that was meant to run: a failure of the rollout that made it, if it is early."""
    memory = scene.memory.rollout
    if memory is None or task.id not in memory.running_ms or task.id in memory.failed:
        return
    if not meant_to_end(scene, task) and _early(scene, memory, task, config):
        code = task.status.exit_code
        memory.failed[task.id] = task.status.err or (f"exit code {code}" if code is not None else "")


def meant_to_end(scene: Scene, task: Task) -> bool:
    """Tell whether a task has done its work, and its service asks no more of it."""
    condition = scene.revision.spec.task.restart.condition
    return task.status.state is TaskState.COMPLETE and condition is not RestartCondition.ANY


def _early(scene: Scene, memory: RolloutMemory, task: Task, config: UpdateConfig) -> bool:
    running_ms = memory.running_ms[task.id]
    return running_ms is None or scene.turn.now_ms - running_ms <= monitor_ms(config)


def watch(scene: Scene, memory: RolloutMemory, split: dict[Key, Split], config: UpdateConfig) -> None:
    """Note which new tasks run by now, which are late, and which places need their worker no more."""
    now_ms = scene.turn.now_ms
    for new, _ in split.values():
        for fresh in new:
            if fresh.status.state is TaskState.RUNNING and fresh.id in memory.running_ms:
                _note_running(scene, memory, fresh, config)
    for key, task_id in list(memory.active.items()):
        here = scene.places.get(key)
        pause_ms = 0
        if here is not None:
            task = next((t for t in here.tasks if t.id == task_id), None)
            if task is not None:
                if is_live(task) and _awaited(scene, memory, here, task, split[key], config):
                    continue
                if is_live(task) or task.status.state.terminal:
                    pause_ms = config.delay_ns // 1_000_000
                if task_id in memory.failed:
                    _try_later(scene, memory, key)
        # Else its place was scaled away, its node was lost, or the plan that made it was refused.
        del memory.active[key], memory.since_ms[key]
        memory.last_ms = now_ms
        if pause_ms:
            memory.cooling[key] = now_ms + pause_ms
    for key, until_ms in list(memory.cooling.items()):
        if until_ms <= now_ms:
            del memory.cooling[key]


def _note_running(scene: Scene, memory: RolloutMemory, task: Task, config: UpdateConfig) -> None:
    if memory.running_ms[task.id] is None:
        memory.running_ms[task.id] = scene.turn.now_ms
    unhealthy = task.status.health is HealthState.UNHEALTHY
    if unhealthy and task.id not in memory.failed and _early(scene, memory, task, config):
        memory.failed[task.id] = task.status.err or "unhealthy"


def _awaited(
    scene: Scene, memory: RolloutMemory, place: Place, task: Task, split: Split, config: UpdateConfig
) -> bool:
    """Tell whether a place goes on holding its worker, for a live task that is to come up there."""
    if any(old.id == task.id for old in split[1]):
        return False  # a newer revision has constraints that its node does not satisfy
    if task.status.state is TaskState.RUNNING:
        return bool(split[1])  # until the old one is told to stop
    if not config.start_deadline_ns:
        return True
    if task.desired_state < TaskState.RUNNING and takes_long(scene, place, task):
        memory.held_up.add(place.key)  # by what was asked for: that is not the new task's fault
        return True
    if place.key in memory.held_up:
        memory.held_up.discard(place.key)
        memory.since_ms[place.key] = scene.turn.now_ms
    late_ms = memory.since_ms[place.key] + config.start_deadline_ns // 1_000_000
    if late_ms > scene.turn.now_ms:
        scene.turn.wake_at(late_ms)
        return True
    bound = _span(config.start_deadline_ns // 1_000_000)
    memory.failed.setdefault(task.id, f"not running within {bound}: {_waits_for(scene, place, task)}")
    return False  # it may come up later on


def _try_later(scene: Scene, memory: RolloutMemory, key: Key) -> None:
    """A place whose new task failed is begun again after a while, if the old one still stands there."""
    tries = memory.tries[key] = memory.tries.get(key, 0) + 1
    memory.retry_ms[key] = scene.turn.now_ms + backoff.delay_ms(scene, tries)


def _waits_for(scene: Scene, place: Place, task: Task) -> str:
    """Say in words what a task that does not run waits for."""
    status = task.status
    if status.err:
        return status.err
    if status.state < TaskState.ASSIGNED:
        return "it has no node yet"
    before = [t for t in place.tasks if t.id != task.id and not t.status.state.terminal]
    if status.state is TaskState.READY and before:
        return f"task {before[0].id} before it has not stopped"
    if status.state is TaskState.STARTING and status.health is not HealthState.NONE:
        return "its health check has not passed"
    if status.state in (TaskState.ACCEPTED, TaskState.PREPARING):
        return "its image and networks are not there yet"
    return f"it is {status.state.name}"


def _span(ms: int) -> str:
    return f"{ms / 1000:.3g} s" if ms < 120_000 else f"{ms / 60_000:.3g} min"
