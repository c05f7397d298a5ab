"""Drained nodes: what runs there goes on until another task is ready to take over, or time is up.

A node that people drain keeps its running tasks for a while. Each task of a replicated service gets a
follower on another node. With stop-first the old one is told to stop once the follower is prepared (its
image is there), with start-first once the follower runs. The last one that serves waits until one of the
followers does. As long as the follower finds no node, or fails, the old task runs on. Tasks of jobs go on to
their end if they can. All others stop at once: those of global services, whose place is the node, and those
that do not run yet.

What has not left when the node's drain deadline is over is told to stop all the same; so is everything if the
deadline is 0, or once the node is down. The deadline is counted from when this leader first saw the node
drained: nobody's clock is compared with another's, and a new leader counts anew.

A node that people use again before that keeps what still runs there; followers that are too many go.
"""

from collections.abc import Mapping

from covey import limits
from covey.model.objects import Node, Task
from covey.model.states import Availability, HealthState, NodeState, TaskState, UpdateOrder

from . import backoff
from .memory import Move
from .places import Place, Scene, age


class Deadlines:
    """Until when drained nodes may keep what runs there."""

    def __init__(self) -> None:
        self._since_ms: dict[str, int | None] = {}  # None until a pass has put a time on it
        self._allowed_ms: dict[str, int] = {}

    def observe(self, id: str, node: Node | None) -> None:
        """Take up a node as it is now."""
        if (
            node is not None
            and node.spec.availability is Availability.DRAIN
            and node.status.state is not NodeState.DOWN
            and node.spec.drain_deadline_ns > 0
        ):
            self._since_ms.setdefault(id, None)
            self._allowed_ms[id] = node.spec.drain_deadline_ns // 1_000_000
        else:
            self._since_ms.pop(id, None)
            self._allowed_ms.pop(id, None)

    def at(self, now_ms: int) -> Mapping[str, int]:
        """Give, for each node that is being drained, the moment at which its time is up."""
        deadlines: dict[str, int] = {}
        for id, since_ms in self._since_ms.items():
            if since_ms is None:
                since_ms = self._since_ms[id] = now_ms
            deadlines[id] = since_ms + self._allowed_ms[id]
        return deadlines


def stays(scene: Scene, task: Task) -> bool:
    """Tell whether a task on a drained node may run on for now."""
    until_ms = scene.turn.draining.get(task.node_id)
    if until_ms is None or until_ms <= scene.turn.now_ms or task.status.state is not TaskState.RUNNING:
        return False
    scene.turn.wake_at(until_ms)
    return scene.job or not scene.everywhere


def move(scene: Scene) -> bool:
    """Have every task that is to leave a drained node followed; tells whether there is one."""
    moves = scene.memory.moves
    if not scene.turn.draining or scene.job or scene.everywhere:
        moves.clear()
        return False
    moving = False
    for place in scene.places.values():
        leaving = [task for task in place.live if leaves(scene, task)]
        if not leaving:
            moves.pop(place.key, None)
            continue
        moving = True
        if not scene.turn.exhausted:
            _hand_over(scene, place, leaving)
    return moving


def leaves(scene: Scene, task: Task) -> bool:
    """Tell whether a task is on a drained node, and runs there still."""
    return task.node_id in scene.turn.draining and stays(scene, task)


def _hand_over(scene: Scene, place: Place, leaving: list[Task]) -> None:
    """See to it that somebody follows, and have the old ones stop when that is ready."""
    followers = [task for task in place.live if task not in leaving]
    if not followers:
        _bring_follower(scene, place, max(leaving, key=age))
        return
    if not all(follows(scene, other, task) for task in leaving for other in followers):
        return  # a rollout has come to this place: it decides when the old one goes
    follower = max(followers, key=lambda task: task.status.state)
    if ready(scene, follower) and (_starts_first(scene, follower) or not _last_to_serve(scene, place)):
        scene.desire(place, leaving, TaskState.SHUTDOWN)


def _last_to_serve(scene: Scene, place: Place) -> bool:
    """Tell whether nobody would serve for a while once this place hands over, but others soon will."""
    others = False
    for other in scene.places.values():
        for task in other.live if other is not place else ():
            if serves(task):
                return False
            others = True
    return others


def serves(task: Task) -> bool:
    """Tell whether a task may have traffic sent to it."""
    return task.status.state is TaskState.RUNNING and task.status.health is not HealthState.UNHEALTHY


def follows(scene: Scene, follower: Task, leaving: Task) -> bool:
    """Tell whether one is there because the other leaves, rather than because a rollout replaces it.

    Of the same revision, it may be stale where the other is not: on a node that other constraints exclude.
    """
    return follower.revision_id == leaving.revision_id or scene.stale(follower) == scene.stale(leaving)


def ready(scene: Scene, follower: Task) -> bool:
    """Tell whether a follower has come so far that the one before it may stop."""
    if _starts_first(scene, follower):
        return serves(follower)
    return follower.status.state >= TaskState.READY


def _bring_follower(scene: Scene, place: Place, leaving: Task) -> None:
    """Put another task into a place; after one that failed, only after a while."""
    turn, moves = scene.turn, scene.memory.moves
    known = moves.get(place.key)
    tries = 0
    if known is not None:
        tries = known.tries + 1
        if known.retry_ms is None:
            known.retry_ms = turn.now_ms + _pause_ms(scene, place, known.follower_id, tries)
        if known.retry_ms > turn.now_ms:
            turn.wake_at(known.retry_ms)
            return
    stale = scene.stale(leaving)  # a rollout has yet to come to this place
    revision = turn.revision(leaving.revision_id) if stale else scene.revision
    starts_first = revision.spec.update.order is UpdateOrder.START_FIRST
    task = scene.create(place, revision, TaskState.RUNNING if starts_first else TaskState.READY)
    scene.memory.not_before_ms[task.id] = turn.now_ms
    moves[place.key] = Move(task.id, tries)


def _pause_ms(scene: Scene, place: Place, follower_id: str, tries: int) -> int:
    """How long to wait after a follower that is gone: as after a restart if it ended by itself.

    One that had to leave its own node is followed at once, but not for ever.
    """
    ended = (TaskState.FAILED, TaskState.REJECTED, TaskState.COMPLETE)
    failed = any(task.id == follower_id and task.status.state in ended for task in place.tasks)
    return backoff.delay_ms(scene, tries) if failed or tries > limits.restart_backoff_failures else 0


def _starts_first(scene: Scene, task: Task) -> bool:
    return scene.turn.revision(task.revision_id).spec.update.order is UpdateOrder.START_FIRST
