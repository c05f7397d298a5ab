"""Whether the host's clock was set back: then others take no new session from its tunnels. Pure.

Who calls says the time of day, encrypted with the call, and a peer takes only calls that are newer than the last one
it took with the same key (https://www.wireguard.com/papers/wireguard.pdf, 5.1): so that nobody can repeat them. Sessions
last some minutes. A node whose clock was set back by hours would be heard by nobody for hours, unless it has new keys.
"""

from dataclasses import dataclass

from covey import limits

_MOST_MS = int(limits.tunnel_clock_back_s * 1000)


@dataclass(slots=True)
class Clock:
    """How far the time of day was ahead of a clock that is never set, at most, since somebody was told."""

    ahead_ms: int | None = None

    def was_set_back(self, day_ms: int, steady_ms: int) -> bool:
        """Tell, once, whether that has become less by more than sessions make up for."""
        ahead = day_ms - steady_ms
        back = self.ahead_ms is not None and self.ahead_ms - ahead > _MOST_MS
        if back or self.ahead_ms is None or ahead > self.ahead_ms:
            self.ahead_ms = ahead
        return back

    @staticmethod
    def is_before(day_ms: int, made_ms: int) -> bool:
        """Tell whether the time of day is one at which what is here was not made yet."""
        return made_ms - day_ms > _MOST_MS
