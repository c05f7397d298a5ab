"""Jobs: services whose tasks are meant to end, each place once.

Every revision of a job is an iteration. What is left of an older one is told to stop, and counts for nothing.
A place is done once a task of the current iteration has completed in it; the others are worked on, as many at
a time as the job allows. A task that failed is followed by another as the restart policy says; a place whose
attempts are used up is spent: neither done nor worked on, so the job stays short of its total, and says so.
"""

from dataclasses import dataclass

from covey.model.jobs import extent
from covey.model.objects import Task
from covey.model.states import TaskState

from . import everywhere, restart
from .places import Place, Scene
from .stopping import patience_ms, stops_yet


def done(scene: Scene, place: Place) -> bool:
    """Tell whether the work of a place is done in this iteration."""
    return any(counts(scene, task) for task in place.tasks)


def counts(scene: Scene, task: Task) -> bool:
    """Tell whether a task is the proof that a job's place is done."""
    return scene.job and task.status.state is TaskState.COMPLETE and not scene.stale(task)


def work(scene: Scene) -> None:
    """Stop what is not wanted any more, and begin what may begin now."""
    _stop_unwanted(scene)
    if scene.everywhere:
        restart.fill(scene, [place for place in everywhere.shape(scene) if not done(scene, place)])
    else:
        _work_on_slots(scene)


def _stop_unwanted(scene: Scene) -> None:
    """Have tasks of older iterations stop, and those whose place is done: a lost one came back completed."""
    for place in scene.places.values():
        if scene.turn.exhausted:
            return
        if place.live:
            over = done(scene, place)
            scene.desire(place, [t for t in place.live if over or scene.stale(t)], TaskState.SHUTDOWN)
        if place.fallen:
            scene.desire(place, [t for t in place.fallen if scene.stale(t)], TaskState.SHUTDOWN)


@dataclass(slots=True)
class _Slots:
    """The slots of a replicated job: those worked on, and how many more may be."""

    busy: list[Place]
    done: set[int]
    room: int


def _work_on_slots(scene: Scene) -> None:
    """Go on with the slots that are worked on, then begin with the lowest others, as far as there is room."""
    total, at_once = extent(scene.revision.spec.mode)
    for place in [place for place in scene.places.values() if place.key[0] >= total]:
        if scene.turn.exhausted:
            return
        scene.remove(place)
    slots = _Slots([], set(), at_once)
    for place in scene.places.values():
        if done(scene, place):
            slots.done.add(place.key[0])
            slots.room -= _still_stops(scene, place)
        elif place.live or place.fallen:
            slots.busy.append(place)
        else:
            slots.room -= _still_stops(scene, place)
    busy = {place.key[0] for place in slots.busy}
    for place in slots.busy:
        slots.room -= _fill(scene, place)
    for slot in range(total):
        if slots.room <= 0 or scene.turn.exhausted:
            return
        if slot in slots.done or slot in busy:
            continue
        key = (slot, "")
        place = scene.places.get(key) or Place(key)
        scene.places[key] = place
        stops = _still_stops(scene, place)  # what follows it in its place waits for it there
        slots.room -= _fill(scene, place) - stops


def _fill(scene: Scene, place: Place) -> int:
    """Put a task into a place if one belongs there; count it."""
    restart.fill(scene, [place])
    return int(bool(place.live or place.fallen))


def _still_stops(scene: Scene, place: Place) -> int:
    """Count a place in which a task has yet to end: the job must not run more at a time than it may.

    But not for longer than a task may take to stop, as everywhere.
    """
    turn, since = scene.turn, scene.memory.waiting_ms
    for task in place.tasks:
        if not stops_yet(scene, task):
            continue
        until_ms = since.setdefault(task.id, turn.now_ms) + patience_ms(scene, task)
        if until_ms > turn.now_ms:
            turn.wake_at(until_ms)
            return 1
    return 0
