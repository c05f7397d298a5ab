"""Restarts: what follows a task that ended, or that lost its node.

A task that ended by itself is followed by another if the restart policy says so, after the policy's delay,
or a longer one if this keeps happening (`backoff`).
One that ended while it was still held back by such a delay (an image that is not there) is dealt with only
once that delay is over, so that there is one attempt per delay.
One that was stopped because its node left is followed at once. If the policy says no, the place is spent:
it counts as filled, and its dead task stands there until an update, or a start of the stopped service,
brings another one.
"""

from covey.model.objects import Revision, Task
from covey.model.specs import RestartPolicy
from covey.model.states import RestartCondition, TaskState, UpdateState

from . import backoff, rollout
from .places import Place, Scene, age, is_live

_ENDED_BY_ITSELF = (TaskState.COMPLETE, TaskState.FAILED, TaskState.REJECTED)


def fill(scene: Scene, places: list[Place]) -> None:
    """Deal with the tasks that ended in these places, and put new ones where none is left."""
    for place in places:
        if scene.turn.exhausted:
            return
        fallen = place.fallen
        if fallen:
            _supervise(scene, place, fallen)
        elif not place.live:
            _refill(scene, place)


def _supervise(scene: Scene, place: Place, fallen: tuple[Task, ...]) -> None:
    """Mark tasks that ended as dealt with, and let the policy decide on what follows."""
    for task in fallen:
        if not scene.stale(task):
            rollout.note_end(scene, place, task)
    last = max(fallen, key=lambda task: task.status.at_ns)
    if not place.live and last.desired_state < TaskState.RUNNING:
        due_ms = held_back_ms(scene, place, last)
        if due_ms > scene.turn.now_ms:
            scene.turn.wake_at(due_ms)
            return
    for task in fallen:
        place.put(scene.turn.desire(task, TaskState.SHUTDOWN))
    if not place.live and allowed(scene, place, last):
        _restart(scene, place, last)


def _refill(scene: Scene, place: Place) -> None:
    """Fill a place in which nothing is meant to run: new, left by a lost task, or spent."""
    last = scene.last(place)
    if last is None:
        scene.create(place, scene.revision, scene.goal)
    elif scene.job and scene.stale(last):
        _follow(scene, place, last)  # a new iteration begins here
    elif (
        not ended_by_itself(last)
        or (scene.memory.stood_still and not scene.job)
        or _asked_anew(scene, place, last)
    ):
        # Moved with its node, or asked for by people (an update, or a start after a standstill): at once.
        _follow(scene, place, last, quick=last.quick_ends if scene.turn.left(last.node_id) else 0)


def _asked_anew(scene: Scene, place: Place, last: Task) -> bool:
    """Tell whether the policy answers otherwise than when a task ended, and nothing was put after it.

    It may have changed. And one that knows no last attempt was not asked at all: the task had been told to
    stop, with its node, and ended by itself before a pass had room for its follower.
    """
    changed = last.revision_id != scene.revision.id
    policy = scene.revision.spec.task.restart
    bounded_in_time = policy.max_attempts and policy.window_ns  # then the answer is another one later on
    return not scene.stale(last) and (changed or not bounded_in_time) and allowed(scene, place, last)


def _restart(scene: Scene, place: Place, last: Task) -> None:
    """Follow a task that ended by itself, after a while."""
    quick = backoff.quick_ends(scene, last)
    if scene.turn.left(last.node_id):
        _follow(scene, place, last, quick=quick)  # elsewhere, for which there is nothing to wait
        return
    delay_ms = backoff.delay_ms(scene, quick)
    words = backoff.words(last, quick, delay_ms) if quick and delay_ms else "created"
    _follow(scene, place, last, delay_ms, quick, words)


def _follow(
    scene: Scene, place: Place, last: Task, delay_ms: int = 0, quick: int = 0, words: str = "created"
) -> None:
    """Put another task where `last` was, prepared now and started when its time has come."""
    memory, now_ms = scene.memory, scene.turn.now_ms
    task = scene.create(place, _revision_after(scene, last), TaskState.READY, words, quick)
    memory.not_before_ms[task.id] = now_ms + delay_ms
    if ended_by_itself(last) and scene.revision.spec.task.restart.window_ns:
        generation = scene.turn.revision(last.revision_id).restart_generation
        memory.note_restart(place.key, generation, last.id, now_ms)
    rollout.note_move(scene, place, last, task)


def _revision_after(scene: Scene, last: Task) -> Revision:
    """The revision of a task's follower: the current one, unless a rollout has yet to come to this place.

    So a bad update that was paused does not creep on by restarts.
    """
    if scene.job or not scene.stale(last):
        return scene.revision
    back = scene.service.update_status.state is UpdateState.ROLLBACK_STARTED
    if scene.memory.stood_still and (back or not rollout.begun(scene.service)):
        return scene.revision  # what nobody wants any more is not started again first
    return scene.turn.revision(last.revision_id)


def allowed(scene: Scene, place: Place, last: Task) -> bool:
    """Tell whether the policy lets a task that ended be followed by another."""
    policy = scene.revision.spec.task.restart
    if policy.condition is RestartCondition.NONE:
        return False
    if policy.condition is RestartCondition.ON_FAILURE and last.status.state is TaskState.COMPLETE:
        return False
    if policy.max_attempts == 0:
        return True
    if policy.window_ns:
        return _recent(scene, place, last, policy) < policy.max_attempts
    return len(attempts(scene, place, last)) <= policy.max_attempts  # the first run is no restart


def attempts(scene: Scene, place: Place, last: Task) -> list[Task]:
    """The tasks up to `last` that ended by themselves in a place, since its restart generation came (back) there."""
    generation = scene.turn.revision(last.revision_id).restart_generation
    ended: list[Task] = []
    for task in sorted((t for t in place.tasks if age(t) <= age(last)), key=age, reverse=True):
        if scene.turn.revision(task.revision_id).restart_generation != generation:
            break
        if ended_by_itself(task):
            ended.append(task)
    return ended


def _recent(scene: Scene, place: Place, last: Task, policy: RestartPolicy) -> int:
    """Count the restarts in a place within the policy's window, in the restart generation of `last`."""
    since_ms = scene.turn.now_ms - policy.window_ns // 1_000_000
    generation = scene.turn.revision(last.revision_id).restart_generation
    return scene.memory.restarts_since(place.key, generation, since_ms)


def ended_by_itself(task: Task) -> bool:
    """Tell whether a task ended without having been told to, as far as its node says."""
    return task.status.state in _ENDED_BY_ITSELF


def held_back_ms(scene: Scene, place: Place, task: Task) -> int:
    """Say until when a prepared task waits for the delay of its restart.

    A new leader, which did not see the restart, waits the whole delay once more.
    """
    known = scene.memory.not_before_ms.get(task.id)
    if known is None:
        others = [other for other in place.tasks if other.id != task.id and not is_live(other)]
        ended = any(ended_by_itself(t) and not scene.stale(t) for t in others)
        delay_ms = backoff.delay_ms(scene, task.quick_ends) if ended else 0
        known = scene.memory.not_before_ms[task.id] = scene.turn.now_ms + delay_ms
    return known
