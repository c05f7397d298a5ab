"""How many actions may be under way at once, and which waits the shortest."""

from collections import deque
from dataclasses import dataclass, field

from covey import limits

from .lifecycle import Act

# In this order: a container that only needs starting goes before one that needs everything.
_RUNTIME = (Act.START, Act.DISCARD, Act.CREATE)
_NETWORK = (Act.RELEASE, Act.ATTACH)


@dataclass(slots=True)
class Slots:
    """Two pools, one per part of the host that parallel work gets in its own way.

    Acts of neither pool (pulls, which the image store bounds itself, and signals) never wait.
    """

    free: dict[tuple[Act, ...], int] = field(
        default_factory=lambda: {
            _RUNTIME: limits.task_runtime_actions_at_once,
            _NETWORK: limits.task_network_actions_at_once,
        }
    )
    queues: dict[Act, deque[str]] = field(default_factory=lambda: {a: deque() for a in _RUNTIME + _NETWORK})

    def take(self, act: Act) -> bool:
        """Take a place for `act`; False if none is free."""
        pool = _pool(act)
        if pool is None:
            return True
        if self.free[pool] == 0:
            return False
        self.free[pool] -= 1
        return True

    def queue(self, act: Act, task_id: str) -> None:
        """Let the task wait for a place for `act`."""
        self.queues[act].append(task_id)

    def give_back(self, act: Act) -> None:
        """The action has ended."""
        pool = _pool(act)
        if pool is not None:
            self.free[pool] += 1

    def next(self) -> str | None:
        """A waiting task for which there is a place now, taken out of the queue."""
        for pool, free in self.free.items():
            if free:
                for act in pool:
                    if self.queues[act]:
                        return self.queues[act].popleft()
        return None


def _pool(act: Act) -> tuple[Act, ...] | None:
    return _RUNTIME if act in _RUNTIME else _NETWORK if act in _NETWORK else None
