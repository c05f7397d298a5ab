"""Global services: one task on every node that can have one."""

from covey.model.objects import Node, Revision
from covey.model.states import Availability, NodeState, TaskState

from . import drained
from .places import Place, Scene, fits, runs_on


def shape(scene: Scene) -> list[Place]:
    """Stop tasks on nodes that may not have one; return the places to keep filled, with new ones.

    A node that is paused, or of which nothing is known for the moment, keeps what it has and gets nothing.
    """
    turn = scene.turn
    filled: list[Place] = []
    nodes = {node.id: node for node in turn.draft.all(Node) if turn.node(node.id) is not None}
    for place in list(scene.places.values()):
        if turn.exhausted:
            break
        node = nodes.get(place.key[1])
        if node is None or not _may_keep(scene, node):
            gone = [task for task in place.live if not drained.leaves(scene, task)]
            scene.desire(place, gone, TaskState.SHUTDOWN)
            if node is None and all(task.status.state.terminal for task in place.tasks):
                scene.remove(place)
    for node in nodes.values():
        if _may_have(node, scene.revision):
            key = (0, node.id)
            place = scene.places.get(key) or Place(key)
            scene.places[key] = place
            filled.append(place)
    return filled


def _may_keep(scene: Scene, node: Node) -> bool:
    if node.status.state is NodeState.DOWN:
        return False
    match node.spec.availability:
        case Availability.DRAIN:
            return scene.job and fits(node, scene.revision)  # it may run on to its end, see `lost`
        case Availability.PAUSE:
            return True
        case _:
            return fits(node, scene.revision)


def _may_have(node: Node, revision: Revision) -> bool:
    return (
        node.status.state is NodeState.READY
        and node.spec.availability is Availability.ACTIVE
        and fits(node, revision)
        and runs_on(node, revision)  # others have no place for it, so they stay without
    )
