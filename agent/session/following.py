"""Seeing to it that coveyd follows what the managers say this node is to be."""

from collections.abc import Sequence
from dataclasses import dataclass

from covey import limits

from .events import Follow
from .messages import Membership


@dataclass(slots=True)
class Following:
    """What coveyd knows (`followed`), what it is to know, and when to tell it (again).

    One telling is under way at a time; coveyd may refuse for a while (it is just joining or leaving), so it
    is told again until it has followed.
    """

    followed: Membership
    wanted: Membership | None = None
    under_way: Membership | None = None
    due_ms: int | None = None
    pause_ms: int = limits.follow_retry_ms_min

    def told(self, membership: Membership) -> Sequence[Follow]:
        """Hear from a manager."""
        self.wanted = _sorted(membership)
        self.pause_ms = limits.follow_retry_ms_min
        return self._go()

    def done(self, ok: bool, now_ms: int) -> Sequence[Follow]:
        """Hear from coveyd."""
        asked, self.under_way = self.under_way, None
        if ok and asked is not None:
            self.followed = asked
            return self._go()
        self.due_ms = now_ms + self.pause_ms
        self.pause_ms = min(2 * self.pause_ms, limits.follow_retry_ms_max)
        return ()

    def tick(self, now_ms: int) -> Sequence[Follow]:
        """Tell it again when it is time."""
        return self._go() if self.due_ms is not None and now_ms >= self.due_ms else ()

    def _go(self) -> Sequence[Follow]:
        if self.under_way is not None:
            return ()
        self.due_ms = None
        if self.wanted is None or self.wanted == self.followed:
            return ()
        self.under_way = self.wanted
        return (Follow(self.wanted),)


def following(known: Membership) -> Following:
    """Begin with what coveyd told this process."""
    return Following(_sorted(known))


def _sorted(membership: Membership) -> Membership:
    return Membership(membership.role, tuple(sorted(membership.managers)))
