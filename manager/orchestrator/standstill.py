"""Stopped services: their tasks stop and nothing follows them, until people start the service again."""

from covey.model.states import TaskState

from .places import Place, Scene


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


def end(scene: Scene, places: list[Place]) -> None:
    """Note that a service that was started again is filled: once that is seen, for a plan may be refused."""
    if not scene.memory.stood_still:
        return
    if all(place.live or place.fallen for place in places):
        scene.memory.stood_still = False
    else:
        scene.turn.wake_at(scene.turn.now_ms)
