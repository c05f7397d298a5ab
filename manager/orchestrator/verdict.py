"""How a rollout begins, ends, pauses or turns back, and the words in which the service says so.

What is remembered of a rollout outlives its verdict until that is seen to hold: it may be refused.
"""

from msgspec.structs import replace

from covey.model.history import AUTOMATIC
from covey.model.objects import Revision, UpdateStatus
from covey.model.states import FailureAction, UpdateState
from manager.store.view import BY_SERVICE

from . import revisions
from .memory import RolloutMemory
from .places import Scene

ROLLBACK = (UpdateState.ROLLBACK_STARTED, UpdateState.ROLLBACK_PAUSED, UpdateState.ROLLBACK_COMPLETED)


def begin(scene: Scene) -> None:
    """Say that a rollout has begun."""
    _put(scene, UpdateStatus(UpdateState.UPDATING, scene.turn.now_ns, 0, "update in progress"))


def complete(scene: Scene) -> None:
    """Say that a rollout is through."""
    back = going_back(scene)
    state = UpdateState.ROLLBACK_COMPLETED if back else UpdateState.COMPLETED
    started_ns = scene.service.update_status.started_at_ns
    message = "rollback completed" if back else "update completed"
    _put(scene, UpdateStatus(state, started_ns, scene.turn.now_ns, message))


def too_many_failures(scene: Scene, memory: RolloutMemory) -> bool:
    """Act on failures past the ratio that is borne; tells whether the rollout goes no further this way."""
    if not memory.failed:
        return False
    back = going_back(scene)
    spec = scene.revision.spec
    config = spec.rollback if back else spec.update
    borne = len(memory.failed) / memory.total <= config.max_failure_ratio
    noun = "rollback" if back else "update"
    task_id, why = list(memory.failed.items())[-1]
    if borne or config.failure_action is FailureAction.CONTINUE:
        count = f"{len(memory.failed)} failure{'s' if len(memory.failed) > 1 else ''} so far"
        message = f"{noun} in progress, {count}, last task {task_id}{_because(why)}"
        if scene.service.update_status.message != message:
            _put(scene, replace(scene.service.update_status, message=message))
        return False
    if config.failure_action is FailureAction.ROLLBACK and not back and _roll_back(scene, task_id, why):
        return True
    state = UpdateState.ROLLBACK_PAUSED if back else UpdateState.PAUSED
    started_ns = scene.service.update_status.started_at_ns
    name = scene.service.name
    message = (
        f"{noun} paused due to failure or early termination of task {task_id}{_because(why)}; "
        f"`covey service update {name}` lets it go on"
    )
    if not back:
        message += f", `covey service rollback {name}` goes back"
    _put(scene, UpdateStatus(state, started_ns, 0, message))
    scene.turn.wake_at(scene.turn.now_ms)  # half done places are put in order
    return True


def _because(why: str) -> str:
    return f" ({why})" if why else ""


def _roll_back(scene: Scene, task_id: str, why: str) -> bool:
    """Make the revision before the current one current again; false if there is none."""
    turn = scene.turn
    history = list(turn.draft.find(Revision, BY_SERVICE, scene.service.id))
    to = revisions.before(scene.revision, history)
    if to is None:
        return False
    back = revisions.rolled_back(scene.service, scene.revision, to, turn.dice, author=AUTOMATIC)
    turn.draft.put(back)
    message = f"rolling back update due to failure or early termination of task {task_id}{_because(why)}"
    scene.service = revisions.rolling_back(scene.service, scene.revision, back, turn.now_ns, message)
    turn.draft.put(scene.service)
    turn.wake_at(turn.now_ms)
    return True


def going_back(scene: Scene) -> bool:
    """Tell whether the newest rollout is a rollback, with rules of its own."""
    return scene.service.update_status.state in ROLLBACK


def _put(scene: Scene, status: UpdateStatus) -> None:
    scene.service = replace(scene.service, update_status=status)
    scene.turn.draft.put(scene.service)
