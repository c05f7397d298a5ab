"""Global services: one task on every node that can have one."""

from covey.model.objects import Node, Revision
from covey.model.states import Availability, NodeState

from .places import Place, Scene, fits, runs_on


def shape(scene: Scene) -> list[Place]:
    """Forget the places on nodes that are gone; return the places to keep filled, with new ones.

    A node that is paused, or of which nothing is known for the moment, keeps what it has and gets nothing.
    What may not stay has been told to stop already, as with all services: see `lost` and `eviction`.
    """
    turn = scene.turn
    filled: list[Place] = []
    nodes = {node.id: node for node in turn.draft.all(Node) if turn.node(node.id) is not None}
    for place in list(scene.places.values()):
        if turn.exhausted:
            break
        if place.key[1] not in nodes and all(task.status.state.terminal for task in place.tasks):
            scene.remove(place)
    for node in nodes.values():
        if _may_have(node, scene.revision):
            key = (0, node.id)
            place = scene.places.get(key) or Place(key)
            scene.places[key] = place
            filled.append(place)
    return filled


def _may_have(node: Node, revision: Revision) -> bool:
    return (
        node.status.state is NodeState.READY
        and node.spec.availability is Availability.ACTIVE
        and fits(node, revision)
        and runs_on(node, revision)  # others have no place for it, so they stay without
    )
