"""Stopped services: their tasks stop and nothing follows them, until people start the service again."""

from covey.model.states import TaskState

from .places import Scene


def hold(scene: Scene) -> None:
    """Have every task told to stop; places, and what ran in them, stay as they are.

    A rollout that was under way stands still with its service. Once that is started its places are filled
    as they were, and it goes on from there, as it does under a new leader. If there was none, an update made
    meanwhile replaces nothing that runs: places are filled with what is current.
    """
    scene.memory.stood_still = True
    for place in scene.places.values():
        if scene.turn.exhausted:
            return
        scene.desire(place, (*place.live, *place.fallen), TaskState.SHUTDOWN)
    scene.memory.rollout = None
