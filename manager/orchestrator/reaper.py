"""What is forgotten: tasks that were to be removed, old ended tasks, old revisions."""

import sys

from covey import limits
from covey.model.objects import Revision, Task
from covey.model.states import TaskState
from manager.store.view import BY_SERVICE

from . import jobs, restart, revisions
from .places import Place, Scene, age


def reap(scene: Scene) -> None:
    """Delete what nobody needs any more of one service."""
    for task in scene.leaving:
        if not scene.turn.exhausted and removable(task):
            scene.turn.forget(task)
    kept = _kept_per_place(scene)
    large_job = scene.job and len(scene.places) > limits.job_history_places_max
    for place in scene.places.values():
        most = 1 if large_job and jobs.done(scene, place) else kept
        if len(place.tasks) > most:
            _thin(scene, place, most)
    _prune_revisions(scene)


def removable(task: Task) -> bool:
    """Tell whether a task that is to be removed can go: it has ended, or never had an agent."""
    return task.status.state.terminal or task.status.state < TaskState.ASSIGNED


def _kept_per_place(scene: Scene) -> int:
    """How many tasks a place shows; more if restarts are counted, because they are counted on these.

    A negative history limit keeps all of them.
    """
    if scene.turn.history_per_place < 0:
        return sys.maxsize
    attempts = scene.revision.spec.task.restart.max_attempts
    return max(scene.turn.history_per_place, attempts + 1 if attempts else 0, 1)


def _thin(scene: Scene, place: Place, kept: int) -> None:
    last = place.newest  # it says why a spent place stays empty
    assert last is not None, "a place with too many tasks has some"
    bounded = scene.revision.spec.task.restart.max_attempts > 0
    counted = {task.id for task in restart.attempts(scene, place, last)} if bounded else set[str]()
    excess = len(place.tasks) - kept
    for task in sorted(place.tasks, key=lambda t: (t.id in counted, age(t))):
        if excess <= 0 or scene.turn.exhausted:
            return
        if task.status.state.terminal and task.id != last.id and not jobs.counts(scene, task):
            scene.turn.forget(task)
            place.drop(task)
            excess -= 1


def _prune_revisions(scene: Scene) -> None:
    """Forget revisions past the newest few that nothing refers to."""
    history = list(scene.turn.draft.find(Revision, BY_SERVICE, scene.service.id))
    if len(history) <= limits.revisions_kept_per_service:
        return
    in_use = {task.revision_id for place in scene.places.values() for task in place.tasks}
    in_use.update(task.revision_id for task in scene.leaving)
    for revision in revisions.prunable(scene.service, history, in_use):
        scene.turn.draft.delete(Revision, revision.id)
