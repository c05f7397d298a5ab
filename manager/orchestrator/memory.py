"""What the orchestrator knows that is not in the store: timers, and what a rollout has seen so far.

All of it may be lost at any moment. A new leader starts with none, waits delays anew, and carries on.
"""

from collections.abc import Callable, Container
from dataclasses import dataclass, field

Key = tuple[int, str]
"""Of a place: see `places`."""


@dataclass(slots=True)
class RolloutMemory:
    """A rollout. Times are monotonic milliseconds.

    `identity` is the restart generation it goes to, and whether it is a rollback.
    `active` names, for each place being changed, the task that is to come up there, and `since_ms` since
    when it is waited for, but in places `held_up` by a predecessor with much time to stop; `cooling` is the
    moment until which a changed place still holds its worker. `running_ms` says when each task of the
    rollout was first seen running, None of those that were not yet. `failed` are those that failed, each
    with why. `tries` counts how often a place was begun in vain, and `retry_ms` says when it may be begun
    again.
    """

    identity: tuple[int, bool]
    total: int
    last_ms: int
    active: dict[Key, str] = field(default_factory=dict[Key, str])
    since_ms: dict[Key, int] = field(default_factory=dict[Key, int])
    held_up: set[Key] = field(default_factory=set[Key])
    cooling: dict[Key, int] = field(default_factory=dict[Key, int])
    running_ms: dict[str, int | None] = field(default_factory=dict[str, int | None])
    failed: dict[str, str] = field(default_factory=dict[str, str])
    tries: dict[Key, int] = field(default_factory=dict[Key, int])
    retry_ms: dict[Key, int] = field(default_factory=dict[Key, int])

    def begin(self, place: Key, task_id: str, now_ms: int) -> None:
        """Give a place a worker, which waits for a task to come up there."""
        self.active[place] = task_id
        self.since_ms[place] = now_ms
        self.held_up.discard(place)
        self.running_ms.setdefault(task_id, None)


@dataclass(slots=True)
class Move:
    """A task on its way off a drained node: who is to follow it, how often that was in vain, and the next try."""

    follower_id: str
    tries: int = 0
    retry_ms: int | None = None


@dataclass(slots=True)
class Memory:
    """What is remembered of one service.

    `not_before_ms` holds back replacements, by their task id, until a restart's delay is over.
    `waiting_ms` says since when a task waits for its predecessors to end. `restarts_ms` are the moments of
    restarts by place and by the task that ended, for policies that bound restarts within a window; of one
    restart generation, the last. `stable` are ended tasks that had run for a while.
    `tended` is set once this leader has looked at the service: what it has not seen begin, began before.
    `moves` are places that are to be left because their node is drained.
    `stood_still` is set while the service is stopped, and until its places are filled again.
    """

    not_before_ms: dict[str, int] = field(default_factory=dict[str, int])
    waiting_ms: dict[str, int] = field(default_factory=dict[str, int])
    restarts_ms: dict[tuple[int, str], tuple[int, dict[str, int]]] = field(
        default_factory=dict[tuple[int, str], tuple[int, dict[str, int]]]
    )
    stable: set[str] = field(default_factory=set[str])
    stood_still: bool = False
    tended: bool = False
    rollout: RolloutMemory | None = None
    moves: dict[Key, Move] = field(default_factory=dict[Key, Move])

    def note_restart(self, place: tuple[int, str], generation: int, task_id: str, now_ms: int) -> None:
        """Remember that a task of a restart generation was followed by another."""
        known = self.restarts_ms.get(place)
        if known is None or known[0] != generation:
            known = self.restarts_ms[place] = (generation, {})
        known[1][task_id] = now_ms

    def restarts_since(self, place: tuple[int, str], generation: int, since_ms: int) -> int:
        """Count the restarts of a generation in a place after a moment; earlier ones are dropped."""
        known = self.restarts_ms.get(place)
        if known is None or known[0] != generation:
            return 0
        recent = {id: ms for id, ms in known[1].items() if ms > since_ms}
        self.restarts_ms[place] = (generation, recent)
        return len(recent)

    def forget(self, gone: Callable[[str], bool], places: Container[Key]) -> None:
        """Drop the timers of tasks that are no more, and the restarts of places other than these."""
        for place in [place for place in self.restarts_ms if place not in places]:
            del self.restarts_ms[place]
        for timers in (self.not_before_ms, self.waiting_ms):
            for id in [id for id in timers if gone(id)]:
                del timers[id]
        self.stable -= {id for id in self.stable if gone(id)}
