"""How late time came: a loop that is held up hears nobody, and may lose an election over it."""

from collections import deque

from covey import limits


class Stalls:
    """The lateness of ticks: the worst of late, the worst ever, and how often it was worth a line."""

    def __init__(self) -> None:
        self.worst_ms = 0
        self.count = 0
        self._recent: deque[int] = deque(maxlen=60_000 // limits.raft_tick_ms)

    def note(self, late_ms: int) -> bool:
        """Take how late a tick was; True if it is worth a line."""
        self._recent.append(late_ms)
        self.worst_ms = max(self.worst_ms, late_ms)
        worth = late_ms >= limits.raft_stall_log_ms
        self.count += worth
        return worth

    @property
    def recent_worst_ms(self) -> int:
        """The worst of about the last minute."""
        return max(self._recent, default=0)
