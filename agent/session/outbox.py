"""Statuses on their way to the managers: coalesced per task, numbered, kept until acknowledged."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from covey import limits
from covey.model.assignments import TaskReport

from .messages import StatusReport


@dataclass(slots=True)
class Outbox:
    """What the managers do not know yet.

    A report waits at most `limits.status_batch_ms`, so that many tasks' news travel together. Only so
    many reports are under way at a time; while they are, news of one task replace each other.
    """

    waiting: dict[str, TaskReport] = field(default_factory=dict[str, TaskReport])
    sent: dict[int, tuple[TaskReport, ...]] = field(default_factory=dict[int, tuple[TaskReport, ...]])
    sequence: int = 0
    first_at_ms: int = 0

    @property
    def empty(self) -> bool:
        """Tell whether the managers know everything."""
        return not self.waiting and not self.sent

    @property
    def due_ms(self) -> int | None:
        """When the next report should go; None while nothing waits or too much is under way."""
        if not self.waiting or len(self.sent) >= limits.status_reports_in_flight_max:
            return None
        return self.first_at_ms + limits.status_batch_ms

    def put(self, report: TaskReport, now_ms: int) -> None:
        """Take a task's newest status; it replaces an older one that has not left yet."""
        if not self.waiting:
            self.first_at_ms = now_ms
        self.waiting[report.task_id] = report

    def take(self, now_ms: int) -> StatusReport | None:
        """The report that is due at `now_ms`, if any; from then on it waits to be acknowledged."""
        due_ms = self.due_ms
        if due_ms is None or due_ms > now_ms:
            return None
        chosen = tuple(self.waiting.values())[: limits.status_report_tasks_max]
        for report in chosen:
            del self.waiting[report.task_id]
        self.sequence += 1
        self.sent[self.sequence] = chosen
        return StatusReport(self.sequence, chosen)

    def acknowledged(self, sequence: int) -> None:
        """Every report up to `sequence` is committed."""
        for number in [n for n in self.sent if n <= sequence]:
            del self.sent[number]

    def session_ended(self) -> None:
        """Nobody will acknowledge what was sent: it waits again, unless there is newer news of the task."""
        again = {report.task_id: report for reports in self.sent.values() for report in reports}
        self.sent.clear()
        self.waiting = {**again, **self.waiting}
        self.sequence = 0

    def forget(self, task_ids: Iterable[str]) -> None:
        """The managers have dropped these tasks: their last words interest nobody."""
        for task_id in task_ids:
            self.waiting.pop(task_id, None)
