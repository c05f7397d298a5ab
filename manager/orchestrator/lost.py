"""Lost tasks: another task takes their place at once.

Their node is down, removed or drained; what a drained one may keep for a while is left alone (`drained`). A
paused node keeps what it has.
"""

from covey.model.states import TaskState

from . import drained
from .places import Scene


def leave_lost_nodes(scene: Scene) -> None:
    """Have every live task on a lost node told to stop; what fills its place is decided later.

    A node that is down hears of it when it comes back. Of a node that was removed, or has been down for a
    day, nothing will ever be heard: its tasks are orphaned.
    """
    turn = scene.turn
    for number, task in enumerate(scene.leaving):
        if turn.ownerless(task):
            scene.leaving[number] = turn.orphan(task)
    known = turn.lost_nodes  # asked first: there are thousands of tasks on nodes that are well
    for place in scene.places.values():
        if turn.exhausted:
            return
        for task in place.tasks:
            if known.get(task.node_id) is False or task.status.state >= TaskState.COMPLETE:
                continue
            if not turn.left(task.node_id) or drained.leaves(scene, task):
                continue
            if task.desired_state.wants_up:
                task = turn.desire(task, TaskState.SHUTDOWN)
            if turn.ownerless(task):
                task = turn.orphan(task)
            place.put(task)
