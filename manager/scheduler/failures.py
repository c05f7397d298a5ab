"""Recent failures: on which nodes the tasks of a revision keep failing, so that others are asked first.

Memory only: a new leader begins with none. Nothing is refused for it; where no other node has room, a failing
one still gets the task.
"""

from collections import defaultdict, deque

from covey import limits
from covey.model.objects import Task
from covey.model.states import TaskState

_FAILED = (TaskState.FAILED, TaskState.REJECTED)


class Failures:
    """When tasks of each revision last failed on each node."""

    def __init__(self) -> None:
        self._fresh: list[tuple[str, str]] = []  # no time is on them yet: whoever observes has no clock
        self._at_ms: defaultdict[str, dict[str, deque[int]]] = defaultdict(dict)

    def observe(self, before: object, after: object) -> None:
        """Take note of a task that has failed though it was meant to run."""
        if not isinstance(before, Task) or not isinstance(after, Task):
            return
        failed = after.status.state in _FAILED and before.status.state < TaskState.COMPLETE
        if failed and before.desired_state.wants_up and after.node_id:
            self._fresh.append((after.revision_id, after.node_id))

    def tell(self, now_ms: int) -> None:
        """Put the time on what was observed since it was last told."""
        for revision_id, node_id in self._fresh:
            times = self._at_ms[revision_id].setdefault(node_id, deque(maxlen=limits.scheduler_failures_max))
            times.append(now_ms)
        self._fresh.clear()

    def forget(self, revision_id: str) -> None:
        """A revision is no more."""
        self._at_ms.pop(revision_id, None)

    def failing(self, revision_id: str, now_ms: int) -> frozenset[str]:
        """The nodes on which so many tasks of a revision have failed of late that others go first."""
        since_ms = now_ms - limits.scheduler_failure_window_ms
        return frozenset(
            node_id
            for node_id, times in self._at_ms.get(revision_id, {}).items()
            if len(times) == times.maxlen and times[0] > since_ms
        )
