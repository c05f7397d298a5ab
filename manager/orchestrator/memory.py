"""What the orchestrator knows that is not in the store: timers, and what a rollout has seen so far.

All of it may be lost at any moment. A new leader starts with none, waits delays anew, and carries on.
"""

from dataclasses import dataclass, field


@dataclass(slots=True)
class RolloutMemory:
    """A rollout to one restart generation. Times are monotonic milliseconds.

    `active` names, for each place being changed, the task that is to come up there; `cooling` the moment
    until which a changed place still holds its worker; `running_ms` when a new task was first seen running.
    """

    generation: int
    total: int
    last_ms: int
    active: dict[tuple[int, str], str] = field(default_factory=dict[tuple[int, str], str])
    cooling: dict[tuple[int, str], int] = field(default_factory=dict[tuple[int, str], int])
    running_ms: dict[str, int] = field(default_factory=dict[str, int])
    failed: set[str] = field(default_factory=set[str])


@dataclass(slots=True)
class Memory:
    """What is remembered of one service.

    `not_before_ms` holds back replacements, by their task id, until a restart's delay is over.
    `waiting_ms` says since when a task waits for its predecessors to end. `restarts_ms` are the moments of
    restarts by place and by the task that ended, for policies that bound restarts within a window.
    """

    not_before_ms: dict[str, int] = field(default_factory=dict[str, int])
    waiting_ms: dict[str, int] = field(default_factory=dict[str, int])
    restarts_ms: dict[tuple[int, str], dict[str, int]] = field(
        default_factory=dict[tuple[int, str], dict[str, int]]
    )
    rollout: RolloutMemory | None = None

    def forget_all_but(self, task_ids: set[str]) -> None:
        """Drop the timers of tasks that are no more."""
        for timers in (self.not_before_ms, self.waiting_ms):
            for id in [id for id in timers if id not in task_ids]:
                del timers[id]
