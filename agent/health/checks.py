"""All checked containers of a node: which is asked next, so that not too many are at once."""

import heapq
from collections import deque
from dataclasses import dataclass, field
from zlib import crc32

from agent.runtime.seam import ExecResult
from covey import limits
from covey.model.states import HealthState

from .check import Check
from .monitor import Monitor


@dataclass(frozen=True, slots=True)
class Probe:
    """Run the check in the task's container. It is answered by one Probed."""

    task_id: str
    argv: tuple[str, ...]
    timeout_ms: int


@dataclass(frozen=True, slots=True)
class Probed:
    """A check has ended: with a result, or, for `trouble`, without saying anything of the container."""

    task_id: str
    result: ExecResult | None
    trouble: str = ""


@dataclass(slots=True)
class Checks:
    """Monitors by task id. Those that are due wait in line for one of a bounded number of places."""

    monitors: dict[str, Monitor] = field(default_factory=dict[str, Monitor])
    under_way: set[str] = field(default_factory=set[str])
    _line: deque[str] = field(default_factory=deque[str])
    _due: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])

    @property
    def wake_ms(self) -> int | None:
        """When the next check is due; None if only an event can change anything."""
        return self._due[0][0] if self._due else None

    def begin(self, task_id: str, check: Check, now_ms: int) -> None:
        """Check the task's container, which has just been started, from now on."""
        monitor = self.monitors[task_id] = Monitor(check, now_ms)
        self._later(task_id, now_ms + monitor.pause_ms(now_ms))

    def take_over(self, task_id: str, check: Check, state: HealthState, now_ms: int) -> None:
        """Go on checking a container that a former agent began with. Its start period begins anew."""
        monitor = self.monitors[task_id] = Monitor(check, now_ms, state)
        self._later(task_id, now_ms + int(monitor.pause_ms(now_ms) * _part(task_id)))

    def end(self, task_id: str) -> None:
        """Check the container no more. What is under way still takes its place until it is answered."""
        self.monitors.pop(task_id, None)

    def probes(self, now_ms: int) -> list[Probe]:
        """The checks to be run now: those that are due, in that order, as far as there are places."""
        while self._due and self._due[0][0] <= now_ms:
            self._line.append(heapq.heappop(self._due)[1])
        out = []
        while self._line and len(self.under_way) < limits.health_probes_at_once:
            task_id = self._line.popleft()
            monitor = self.monitors.get(task_id)
            if monitor is not None:
                assert task_id not in self.under_way, f"{task_id} is asked twice at once"
                self.under_way.add(task_id)
                monitor.asked(now_ms)
                out.append(Probe(task_id, monitor.check.argv, monitor.check.timeout_ms))
        return out

    def answered(self, event: Probed, now_ms: int) -> Monitor | None:
        """A check has ended. Returns its monitor, as it is now, unless nobody wants to know any more."""
        self.under_way.remove(event.task_id)
        monitor = self.monitors.get(event.task_id)
        if monitor is None:
            return None
        if event.result is not None:
            monitor.answered(event.result)
        else:
            monitor.untried += 1
        self._later(event.task_id, now_ms + monitor.pause_ms(now_ms))
        return monitor

    def _later(self, task_id: str, at_ms: int) -> None:
        heapq.heappush(self._due, (at_ms, task_id))


def _part(task_id: str) -> float:
    """A number from 0 to 1 that is the task's own."""
    return crc32(task_id.encode()) / (1 << 32)
