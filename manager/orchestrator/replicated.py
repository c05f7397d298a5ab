"""Replicated services: as many slots as there are replicas."""

from collections import Counter

from covey.model.states import TaskState

from .places import Place, Scene


def shape(scene: Scene) -> list[Place]:
    """End the slots that are too many, open those that are missing; return the slots to keep filled."""
    wanted = scene.revision.spec.mode.replicas
    surplus = len(scene.places) - wanted
    if surplus > 0:
        for place in _least_worth_keeping(scene)[:surplus]:
            if scene.turn.exhausted:
                break
            scene.remove(place)
    elif surplus < 0:
        _open(scene, -surplus)
    return list(scene.places.values())


def _least_worth_keeping(scene: Scene) -> list[Place]:
    """Order slots by who goes first: off drained and off the fullest nodes, those not running, the highest."""
    places = list(scene.places.values())
    copies: Counter[str] = Counter()
    ranked: list[tuple[int, bool, int, Place]] = []
    running = {place.key: _running_on(place) for place in places}
    for place in sorted(places, key=lambda p: (not running[p.key], p.key)):
        node_id = running[place.key] or next((task.node_id for task in place.live if task.node_id), "")
        rank = len(places)  # what stands nowhere, or has to leave, goes before anything that may stay
        if node_id and node_id not in scene.turn.draining:
            copies[node_id] += 1
            rank = copies[node_id]
        ranked.append((rank, not running[place.key], place.key[0], place))
    ranked.sort(key=lambda entry: entry[:3], reverse=True)
    return [entry[3] for entry in ranked]


def _running_on(place: Place) -> str:
    """The node on which a task of this place runs."""
    return next((task.node_id for task in place.live if task.status.state is TaskState.RUNNING), "")


def _open(scene: Scene, missing: int) -> None:
    """Open new slots, with the lowest numbers at which nothing stands or is still stopping."""
    taken = {key[0] for key in scene.places}
    taken.update(task.slot for task in scene.leaving if not task.status.state.terminal)
    slot = 0
    for _ in range(missing):
        if scene.turn.exhausted:
            return
        slot += 1
        while slot in taken:
            slot += 1
        place = scene.places[slot, ""] = Place((slot, ""))
        scene.create(place, scene.revision, TaskState.RUNNING)
