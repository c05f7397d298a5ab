"""How long a request waits for somebody to lead."""

from dataclasses import dataclass, field

from covey import limits
from covey.errors import Unavailable

NOBODY = (
    "no manager leads at the moment, so nothing can be changed; `covey cluster status` says which managers are missing, "
    "and with --stale lists show what this one knows"
)


@dataclass(slots=True)
class Patience:
    """A deadline, and the last reason to wait. `now_s` is a monotonic clock's."""

    now_s: float
    waits_s: float = field(default_factory=lambda: limits.forward_wait_s)
    reason: str = NOBODY
    until_s: float = field(init=False)

    def __post_init__(self) -> None:
        self.until_s = self.now_s + self.waits_s

    def left_s(self, now_s: float) -> float:
        """How much longer to wait; raises `Unavailable` with the reason once that is over."""
        if now_s >= self.until_s:
            raise Unavailable(self.reason)
        return self.until_s - now_s
