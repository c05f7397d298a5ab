"""Rollouts: replacing the tasks of an old revision by new ones, a few at a time.

A place is stale while no live task of the current restart generation stands in it. As many places as the
update's parallelism allows are worked on at once. In each the new task comes first: with stop-first it is
only prepared (its image pulled), then the old one is told to stop, and the new one runs when the old has
ended; with start-first the old one stops once the new one runs and is healthy. What is not running any more,
and a place where there is room for the new task only once the old one is gone, is stopped right away.

A new task that fails while it is watched (`probation`) is counted; past the failure ratio the rollout pauses
or rolls back (`verdict`). Otherwise it moves on: such a place is tried again when the others have had their turn.
When the last place is done the rollout watches for one more period, then it is completed.

Where it stands is read off the tasks and `Service.update_status`; memory adds only times and failures.
"""

from collections.abc import Sequence

from covey.model.objects import Service, Task
from covey.model.specs import UpdateConfig
from covey.model.states import TaskState, UpdateOrder, UpdateState
from manager.scheduler.judging import takes_over

from . import drained, probation, verdict
from .memory import Key, RolloutMemory
from .places import Place, Scene, age
from .probation import Split

_UNDER_WAY = (UpdateState.UPDATING, UpdateState.ROLLBACK_STARTED)
_STANDSTILL = (UpdateState.PAUSED, UpdateState.ROLLBACK_PAUSED)


def step(scene: Scene, places: list[Place]) -> None:
    """Take the rollout of a service as far as it may go now.

    `places` are those to be kept filled. A paused node's place is not among them: nothing new begins there.
    """
    state = scene.service.update_status.state
    if state not in _UNDER_WAY and _all_current(scene):
        scene.memory.rollout = None
        return
    split = _split_all(scene)
    stale = [
        place for place in places if not split[place.key][0] and _is_stale(scene, place, split[place.key])
    ]
    if state in _STANDSTILL or (state not in _UNDER_WAY and not stale):
        scene.memory.rollout = None
        for place in scene.places.values():
            _leave_one(scene, place, place.live)
        return
    memory = _memory(scene, places, stale, split)
    if state not in _UNDER_WAY:
        verdict.begin(scene)
    probation.watch(scene, memory, split, config_of(scene))
    if verdict.too_many_failures(scene, memory):
        return
    _give_way(scene, memory, split)
    _start_more(scene, memory, stale, split)
    _finish(scene, memory, places)


def under_way(service: Service) -> bool:
    """Tell whether a rollout of the service goes on."""
    return service.update_status.state in _UNDER_WAY


def begun(service: Service) -> bool:
    """Tell whether a rollout of the service goes on, or stands still half way."""
    return service.update_status.state in (*_UNDER_WAY, *_STANDSTILL)


def config_of(scene: Scene) -> UpdateConfig:
    """The rules in force: those of rollbacks during one."""
    spec = scene.revision.spec
    return spec.rollback if verdict.going_back(scene) else spec.update


def note_end(scene: Scene, place: Place, task: Task) -> None:
    """A task ended that was meant to run: a failure of the rollout, if it made it and it is early.

    One that has done its work, beside one that it was to take over from, has taken over.
    """
    probation.note_end(scene, task, config_of(scene))
    memory = scene.memory.rollout
    if memory is not None and task.id in memory.running_ms and probation.meant_to_end(scene, task):
        scene.desire(place, [old for old in place.live if scene.stale(old)], TaskState.SHUTDOWN)


def note_move(scene: Scene, place: Place, last: Task, task: Task) -> None:
    """A task that was to come up lost its node, and another takes over for it."""
    memory = scene.memory.rollout
    if memory is not None and memory.active.get(place.key) == last.id and last.id not in memory.failed:
        memory.begin(place.key, task.id, scene.turn.now_ms)


def _all_current(scene: Scene) -> bool:
    """Tell at a glance whether every place is as it should be, as it is at most times."""
    judged = scene.judged
    for place in scene.places.values():
        if len(place.live) != 1:
            return False
        stale = judged.get(place.live[0].revision_id)
        if stale is None:
            stale = scene.stale(place.live[0])
        if stale:
            return False
    return True


def _split_all(scene: Scene) -> dict[Key, Split]:
    """Split every place; there are thousands, most with one task."""
    split, judged = dict[Key, Split](), scene.judged
    for key, place in scene.places.items():
        live = place.live
        if len(live) == 1:
            stale = judged.get(live[0].revision_id)
            if stale is None:
                stale = scene.stale(live[0])
            split[key] = ((), live) if stale else (live, ())
        else:
            split[key] = _split(scene, place)
    return split


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


def _memory(scene: Scene, places: list[Place], stale: list[Place], split: dict[Key, Split]) -> RolloutMemory:
    """What is remembered of this rollout. What is half done is taken for being worked on.

    What merely does not run yet when it begins, and is as it should be, is none of its business. A new
    leader did not see it begin: it takes it for one of all places, and watches every new task.
    """
    memory, now_ms = scene.memory.rollout, scene.turn.now_ms
    identity = (scene.revision.restart_generation, verdict.going_back(scene))
    if memory is not None and memory.identity == identity and under_way(scene.service):
        return memory
    memory = scene.memory.rollout = RolloutMemory(identity, 1, now_ms)
    new_leader = under_way(scene.service) and not scene.memory.tended
    for key, (new, old) in split.items():
        if new_leader:
            memory.running_ms.update((task.id, None) for task in new)
        if new and (old or (under_way(scene.service) and new[0].status.state < TaskState.RUNNING)):
            memory.begin(key, new[0].id, now_ms)
    memory.total = max(len(places) if new_leader else len(stale) + len(memory.active), 1)
    return memory


def _give_way(scene: Scene, memory: RolloutMemory, split: dict[Key, Split]) -> None:
    """Stop old tasks where the new one has come far enough."""
    start_first = config_of(scene).order is UpdateOrder.START_FIRST
    for key, place in scene.places.items():
        if len(place.live) < 2:
            continue
        new, old = split[key]
        if key in memory.active and new and old:
            if start_first and new[0].desired_state < TaskState.RUNNING:
                scene.desire(place, new[:1], TaskState.RUNNING)
            if _far_enough(scene, new[0], old, start_first=start_first):
                scene.desire(place, old, TaskState.SHUTDOWN)
        for tasks in (new, old):
            _leave_one(scene, place, [task for task in place.live if task in tasks])


def _far_enough(scene: Scene, new: Task, old: tuple[Task, ...], *, start_first: bool) -> bool:
    if not any(task.status.state is TaskState.RUNNING for task in old):
        return True
    if start_first:
        return drained.serves(new)
    if new.status.state is TaskState.PENDING and new.status.err:
        return any(takes_over(scene.turn.draft, scene.service, task) for task in old)
    return new.status.state >= TaskState.READY


def _start_more(scene: Scene, memory: RolloutMemory, stale: list[Place], split: dict[Key, Split]) -> None:
    """Begin with as many further places as there are workers.

    First those that were late and have come up since, then those where nothing runs, then those whose node
    is drained; what has failed before comes last.
    """
    config, turn = config_of(scene), scene.turn
    busy = len(memory.active) + len(memory.cooling)
    workers = config.parallelism - busy if config.parallelism else len(split)
    if workers <= 0:
        return
    start_first = config.order is UpdateOrder.START_FIRST
    for key, (new, old) in split.items():
        idle = key not in memory.active and key not in memory.cooling
        if workers and idle and new and old and _far_enough(scene, new[0], old, start_first=start_first):
            memory.begin(key, new[0].id, turn.now_ms)
            turn.wake_at(turn.now_ms)
            workers -= 1
    waiting: list[tuple[int, bool, bool, Place]] = []
    for place in stale:
        retry_ms = memory.retry_ms.get(place.key, 0)
        if retry_ms > turn.now_ms:
            turn.wake_at(retry_ms)
        elif place.key not in memory.cooling and place.key not in memory.active:
            leaves = any(task.node_id in turn.draining for task in place.live)
            waiting.append((memory.tries.get(place.key, 0), _runs(place), not leaves, place))
    waiting.sort(key=lambda entry: entry[:3])
    for *_, place in waiting[:workers]:
        if turn.exhausted:
            return
        _begin(scene, memory, place, config)


def _begin(scene: Scene, memory: RolloutMemory, place: Place, config: UpdateConfig) -> None:
    at_once = config.order is UpdateOrder.START_FIRST and _runs(place)
    not_running = [task for task in place.live if task.status.state is not TaskState.RUNNING]
    task = scene.create(place, scene.revision, TaskState.RUNNING if at_once else TaskState.READY)
    scene.memory.not_before_ms[task.id] = scene.turn.now_ms
    memory.begin(place.key, task.id, scene.turn.now_ms)
    for old in not_running:
        if old.meta.version:
            scene.desire(place, [old], TaskState.SHUTDOWN)
        else:  # made in this very pass, to follow one that ended
            scene.turn.forget(old)
            place.drop(old)


def _runs(place: Place) -> bool:
    return any(task.status.state is TaskState.RUNNING for task in place.live)


def _finish(scene: Scene, memory: RolloutMemory, places: list[Place]) -> None:
    """Complete the rollout once nothing is stale and nothing has failed for one more monitor period."""
    for until_ms in memory.cooling.values():
        scene.turn.wake_at(until_ms)
    if memory.active or memory.cooling or scene.turn.exhausted:
        return
    for place in places:
        split = _split(scene, place)
        if _is_stale(scene, place, split) or (split[0] and split[1]):
            return
    done_ms = memory.last_ms + probation.monitor_ms(config_of(scene))
    if done_ms <= scene.turn.now_ms:
        verdict.complete(scene)
    else:
        scene.turn.wake_at(done_ms)


def _leave_one(scene: Scene, place: Place, tasks: Sequence[Task]) -> None:
    """Have one of several tasks of a place stay: what runs stays, what was half begun goes.

    Beside one that is about to leave its node the one that is to follow it stays, too.
    """
    if len(tasks) < 2:
        return
    by_age = sorted(tasks, key=age)
    best = max(
        by_age,
        key=lambda t: (drained.serves(t), not drained.leaves(scene, t), not scene.stale(t), t.status.state),
    )
    kept = {best.id}
    if drained.leaves(scene, best):
        followers = [t for t in by_age if t.id != best.id and drained.follows(scene, t, best)]
        if followers:
            kept.add(max(followers, key=lambda t: t.status.state).id)
    scene.desire(place, [t for t in tasks if t.id not in kept], TaskState.SHUTDOWN)
