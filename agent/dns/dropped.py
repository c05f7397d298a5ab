"""What containers sent to their name servers that nobody sends who means well, in words for people. Pure.

Each container is named for a while after the last of it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from covey import limits
from covey.model.quantity import rounded


@dataclass(slots=True)
class Dropped:
    """The last tally, by container and reason, and when each container's grew."""

    counted: Mapping[str, Mapping[str, int]] = field(default_factory=dict[str, Mapping[str, int]])
    grew_ms: dict[str, int] = field(default_factory=dict[str, int])

    def note(self, tally: Mapping[str, Mapping[str, int]], now_ms: int) -> None:
        """Take up what the server has counted since it began to serve each container."""
        self.grew_ms = {
            task_id: now_ms if counts != self.counted.get(task_id) else self.grew_ms[task_id]
            for task_id, counts in tally.items()
        }
        self.counted = tally

    def remarks(self, now_ms: int) -> Iterator[str]:
        """One that names the worst, or none. Numbers are rounded, so that it is not said of each packet."""
        lately = limits.dropped_named_s * 1000
        total = {
            task_id: sum(counts.values())
            for task_id, counts in self.counted.items()
            if now_ms - self.grew_ms[task_id] < lately
        }
        worst = sorted(total, key=lambda each: (-total[each], each))[: limits.dns_dropped_named_max]
        if worst:
            others = len(total) - len(worst)
            said = [f"{each} ({self._why(each)})" for each in worst] + (
                [f"{others} others"] if others else []
            )
            what = "what is no question to a name server, or too much, was dropped of task"
            yield f"warning (names): {what} {'; '.join(said)}"

    def _why(self, task_id: str) -> str:
        reasons = sorted(self.counted[task_id].items(), key=lambda each: (-each[1], each[0]))
        return ", ".join(f"{rounded(number):,} or more: {reason}" for reason, number in reasons[:2])
