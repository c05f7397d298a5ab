"""Lost tasks: another task takes their place at once.

Their node is down, drained or removed, or it does not satisfy their constraints any more: people have taken
a label off it. A paused node keeps what it has.
"""

from covey.model.objects import Task
from covey.model.states import Availability, TaskState

from .places import Scene, fits


def leave_lost_nodes(scene: Scene) -> None:
    """Have every live task on a lost node told to stop; what fills its place is decided later.

    A node that is down hears of it when it comes back. Of a node that was removed, or has been down for a
    day, nothing will ever be heard: its tasks are orphaned.
    """
    turn = scene.turn
    for number, task in enumerate(scene.leaving):
        if _ownerless(scene, task):
            scene.leaving[number] = turn.orphan(task)
    for place in scene.places.values():
        if turn.exhausted:
            return
        for task in place.tasks:
            if task.status.state >= TaskState.COMPLETE:
                continue
            if not turn.left(task.node_id) and not _out_of_place(scene, task):
                continue
            if task.desired_state.wants_up:
                task = turn.desire(task, TaskState.SHUTDOWN)
            if _ownerless(scene, task):
                task = turn.orphan(task)
            place.put(task)


def _out_of_place(scene: Scene, task: Task) -> bool:
    """Tell whether a task stands where its service may not (any more).

    Where a newer revision has other constraints than the task's own, the rollout sees to it.
    """
    wanted = scene.revision.spec.task.placement.constraints
    if not wanted or not task.node_id or scene.everywhere:
        return False
    if wanted != scene.turn.revision(task.revision_id).spec.task.placement.constraints:
        return False
    node = scene.turn.node(task.node_id)
    return (
        node is not None and node.spec.availability is Availability.ACTIVE and not fits(node, scene.revision)
    )


def _ownerless(scene: Scene, task: Task) -> bool:
    state = task.status.state
    return state >= TaskState.ASSIGNED and not state.terminal and scene.turn.node(task.node_id) is None
