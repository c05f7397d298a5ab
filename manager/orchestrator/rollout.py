"""Rollouts: replacing the tasks of an old revision by new ones, a few at a time.

A place is stale while no live task of the current restart generation stands in it. As many places as the
update's parallelism allows are worked on at once. In each the new task comes first: with stop-first it is
only prepared (its image pulled), then the old one is told to stop, and the new one runs when the old has
ended; with start-first the old one stops once the new one runs. What is not running any more, and a place
where the new task cannot be prepared beside the old one, is stopped right away.

A new task that ends within the monitor period counts as failed; past the failure ratio the rollout pauses
or rolls back. When the last place is done the rollout watches for one more period, then it is completed.

Where it stands is read off the tasks and `Service.update_status`; memory adds only times and failures.
"""

from covey import limits
from covey.model.objects import Service, Task
from covey.model.specs import UpdateConfig
from covey.model.states import RestartCondition, TaskState, UpdateOrder, UpdateState

from . import verdict
from .memory import RolloutMemory
from .places import Place, Scene, is_live

_UNDER_WAY = (UpdateState.UPDATING, UpdateState.ROLLBACK_STARTED)
_STANDSTILL = (UpdateState.PAUSED, UpdateState.ROLLBACK_PAUSED)


def step(scene: Scene, places: list[Place]) -> None:
    """Take the rollout of a service as far as it may go now.

    `places` are those to be kept filled. A paused node's place is not among them: nothing new begins there.
    """
    state = scene.service.update_status.state
    split = {place.key: _split(scene, place) for place in scene.places.values()}
    stale = [place for place in places if _is_stale(scene, place, split[place.key])]
    if state in _STANDSTILL or (state not in _UNDER_WAY and not stale):
        scene.memory.rollout = None
        _tidy(scene, split)
        return
    memory = _memory(scene, places, stale, split)
    if state not in _UNDER_WAY:
        verdict.begin(scene)
    _watch(scene, memory, split)
    if verdict.too_many_failures(scene, memory):
        return
    _give_way(scene, split)
    _start_more(scene, memory, stale)
    _finish(scene, memory, places)


def under_way(service: Service) -> bool:
    """Tell whether a rollout of the service goes on."""
    return service.update_status.state in _UNDER_WAY


def begun(service: Service) -> bool:
    """Tell whether a rollout of the service goes on, or stands still half way."""
    return service.update_status.state in (*_UNDER_WAY, *_STANDSTILL)


Split = tuple[tuple[Task, ...], tuple[Task, ...]]


def _split(scene: Scene, place: Place) -> Split:
    """The live tasks of a place: those of the current generation, and those that must give way."""
    if len(place.live) == 1:
        return ((), place.live) if scene.stale(place.live[0]) else (place.live, ())
    old = tuple(task for task in place.live if scene.stale(task))
    new = [task for task in place.live if task not in old]
    new.sort(key=lambda task: task.status.state, reverse=True)
    return tuple(new), old


def _is_stale(scene: Scene, place: Place, split: Split) -> bool:
    new, old = split
    if new or old:
        return not new
    last = place.newest
    return last is not None and scene.stale(last)


def config_of(scene: Scene) -> UpdateConfig:
    """The rules in force: those of rollbacks during one."""
    spec = scene.revision.spec
    return spec.rollback if scene.service.update_status.state in verdict.ROLLBACK else spec.update


def _memory(
    scene: Scene, places: list[Place], stale: list[Place], split: dict[tuple[int, str], Split]
) -> RolloutMemory:
    """What is remembered of this rollout; a new leader takes what is half done for being worked on."""
    memory = scene.memory.rollout
    generation = scene.revision.restart_generation
    fresh = scene.service.update_status.state not in _UNDER_WAY
    if memory is None or fresh or memory.generation != generation:
        memory = scene.memory.rollout = RolloutMemory(generation, max(len(stale), 1), scene.turn.now_ms)
        if not fresh:
            memory.total = max(len(places), 1)
            for place in places:
                new, old = split[place.key]
                if new and (old or new[0].status.state < TaskState.RUNNING):
                    memory.active[place.key] = new[0].id
    return memory


def _watch(scene: Scene, memory: RolloutMemory, split: dict[tuple[int, str], Split]) -> None:
    """Note which new tasks run by now, and which places are done."""
    now_ms = scene.turn.now_ms
    for new, _ in split.values():
        for task in new:
            if task.status.state is TaskState.RUNNING:
                memory.running_ms.setdefault(task.id, now_ms)
    delay_ms = config_of(scene).delay_ns // 1_000_000
    for key, task_id in list(memory.active.items()):
        here = scene.places.get(key)
        present = next((t for t in here.tasks if t.id == task_id), None) if here else None
        if present is not None and is_live(present):
            if present.status.state is not TaskState.RUNNING or split[key][1]:
                continue
            pause_ms = delay_ms
        elif here is not None and present is None:
            pause_ms = 0  # it never came to be: the transaction that was to make it was refused
        else:  # it failed, or was scaled away; a place that is tried again waits as a restart does
            pause_ms = max(delay_ms, scene.revision.spec.task.restart.delay_ns // 1_000_000)
        del memory.active[key]
        memory.last_ms = now_ms
        if pause_ms:
            memory.cooling[key] = now_ms + pause_ms
    for key, until_ms in list(memory.cooling.items()):
        if until_ms <= now_ms:
            del memory.cooling[key]


def _give_way(scene: Scene, split: dict[tuple[int, str], Split]) -> None:
    """Stop old tasks where the new one has come far enough."""
    start_first = config_of(scene).order is UpdateOrder.START_FIRST
    for place in scene.places.values():
        new, old = split[place.key]
        if not new or not old:
            continue
        if start_first and new[0].desired_state < TaskState.RUNNING:
            scene.desire(place, new[:1], TaskState.RUNNING)
        if _far_enough(new[0], old, start_first=start_first):
            scene.desire(place, old, TaskState.SHUTDOWN)


def _far_enough(new: Task, old: tuple[Task, ...], *, start_first: bool) -> bool:
    if not any(task.status.state is TaskState.RUNNING for task in old):
        return True
    if start_first:
        return new.status.state is TaskState.RUNNING
    # Pending with a reason: there may be room only once the old one is gone.
    stuck = new.status.state is TaskState.PENDING and bool(new.status.err)
    return stuck or new.status.state >= TaskState.READY


def _start_more(scene: Scene, memory: RolloutMemory, stale: list[Place]) -> None:
    """Begin with as many further places as there are workers, those where nothing runs first."""
    config = config_of(scene)
    busy = len(memory.active) + len(memory.cooling)
    workers = config.parallelism - busy if config.parallelism else len(stale)
    if workers <= 0:
        return
    waiting = [place for place in stale if place.key not in memory.cooling]
    idle = [place for place in waiting if not _runs(place)]
    todo = idle[:workers]
    if len(todo) < workers:
        todo.extend([place for place in waiting if _runs(place)][: workers - len(todo)])
    for place in todo:
        if scene.turn.exhausted:
            return
        at_once = config.order is UpdateOrder.START_FIRST and _runs(place)
        not_running = [task for task in place.live if task.status.state is not TaskState.RUNNING]
        task = scene.create(place, scene.revision, TaskState.RUNNING if at_once else TaskState.READY)
        scene.memory.not_before_ms[task.id] = scene.turn.now_ms
        memory.active[place.key] = task.id
        scene.desire(place, not_running, TaskState.SHUTDOWN)


def _runs(place: Place) -> bool:
    return any(task.status.state is TaskState.RUNNING for task in place.live)


def _finish(scene: Scene, memory: RolloutMemory, places: list[Place]) -> None:
    """Complete the rollout once nothing is stale and nothing has failed for one more monitor period."""
    for until_ms in memory.cooling.values():
        scene.turn.wake_at(until_ms)
    if memory.active or memory.cooling or scene.turn.exhausted:
        return
    if any(_is_stale(scene, place, _split(scene, place)) for place in places):
        return
    done_ms = memory.last_ms + monitor_ms(config_of(scene))
    if done_ms <= scene.turn.now_ms:
        verdict.complete(scene)
    else:
        scene.turn.wake_at(done_ms)


def _tidy(scene: Scene, split: dict[tuple[int, str], Split]) -> None:
    """Without a rollout there is one live task in a place: what runs stays, what was half begun goes."""
    for place in scene.places.values():
        new, old = split[place.key]
        if len(new) + len(old) < 2:
            continue
        best = max(
            (*new, *old), key=lambda t: (t.status.state is TaskState.RUNNING, not scene.stale(t), t.id)
        )
        scene.desire(place, [t for t in place.live if t.id != best.id], TaskState.SHUTDOWN)


def monitor_ms(config: UpdateConfig) -> int:
    """How long a new task is watched; always a little longer than the pause between two places."""
    monitor, delay = config.monitor_ns // 1_000_000, config.delay_ns // 1_000_000
    return monitor if monitor > delay else delay + limits.update_monitor_margin_ms


def note_end(scene: Scene, task: Task) -> None:
    """A task of the current generation ended: a failure of the rollout, if there is one and it is early."""
    memory = scene.memory.rollout
    if memory is None:
        return
    meant = scene.revision.spec.task.restart.condition is not RestartCondition.ANY
    if task.status.state is TaskState.COMPLETE and meant:
        return
    running_ms = memory.running_ms.get(task.id)
    if running_ms is None or scene.turn.now_ms - running_ms <= monitor_ms(config_of(scene)):
        memory.failed.add(task.id)


def note_move(scene: Scene, place: Place, last: Task, task: Task) -> None:
    """A task that was to come up lost its node, and another takes over for it."""
    memory = scene.memory.rollout
    if memory is not None and memory.active.get(place.key) == last.id and last.id not in memory.failed:
        memory.active[place.key] = task.id
