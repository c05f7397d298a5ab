"""A token bucket for every address that asks, and one for all of them together."""

from collections import OrderedDict
from dataclasses import dataclass, field


@dataclass(slots=True)
class Bucket:
    """Lets `burst` through at once and `per_s` from then on."""

    burst: float
    per_s: float
    level: float = field(init=False)
    at_ms: int | None = None

    def __post_init__(self) -> None:
        self.level = self.burst

    def fill(self, now_ms: int) -> None:
        """Let time pass."""
        if self.at_ms is not None:
            assert now_ms >= self.at_ms, "time runs forward"
            self.level = min(self.burst, self.level + (now_ms - self.at_ms) * self.per_s / 1000)
        self.at_ms = now_ms


@dataclass(slots=True)
class RateLimit:
    """Says whether an address may ask now. Remembers at most `hosts_max` addresses, the latest ones."""

    host_burst: float
    host_per_s: float
    total_burst: float
    total_per_s: float
    hosts_max: int
    _hosts: OrderedDict[str, Bucket] = field(default_factory=OrderedDict)
    _total: Bucket = field(init=False)

    def __post_init__(self) -> None:
        self._total = Bucket(self.total_burst, self.total_per_s)

    def admits(self, host: str, now_ms: int) -> bool:
        """Count one request from `host`. An address that asks too much uses nothing of what all share."""
        bucket = self._hosts.setdefault(host, Bucket(self.host_burst, self.host_per_s))
        self._hosts.move_to_end(host)
        if len(self._hosts) > self.hosts_max:
            self._hosts.popitem(last=False)
        for each in (bucket, self._total):
            each.fill(now_ms)
        if bucket.level < 1 or self._total.level < 1:
            return False
        bucket.level -= 1
        self._total.level -= 1
        return True
