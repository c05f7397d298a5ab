"""How far a member is, as its leader sees it, and how much may be under way to it.

probe       one message, then wait: where its log agrees with ours is not known
replicate   the normal state: message after message without waiting (thesis 10.2.1), within the window
snapshot    it needs entries we no longer have; nothing is sent but heartbeats until the snapshot is there
"""

from collections import deque
from enum import Enum

from covey import limits

from .entry import Member


class Pace(Enum):
    """How a member is fed."""

    PROBE = "probe"
    REPLICATE = "replicate"
    SNAPSHOT = "snapshot"


class Progress:
    """One member: `match` and `next` are figure 2's matchIndex and nextIndex."""

    __slots__ = (
        "_sizes",
        "asked",
        "bytes_under_way",
        "id",
        "match",
        "match_before",
        "next",
        "pace",
        "paused",
        "read",
        "rest_ticks",
        "silent_ticks",
        "snapshot_index",
        "told_commit",
        "under_way",
    )

    def __init__(self, member: Member, next: int) -> None:
        self.id = member.id
        self.match = 0
        self.next = next
        self.pace = Pace.PROBE
        self.paused = False  # a probe is under way, or the member is not to be bothered before it speaks
        self.asked = False  # a probe with entries was sent; if it has to be repeated, without them
        self.silent_ticks = 0
        self.told_commit = 0
        self.read = 0  # the latest read round it has confirmed
        self.snapshot_index = 0  # of the snapshot under way
        self.rest_ticks = 0  # after a snapshot that did not arrive: whatever prevented it may go on
        self.match_before = 0  # at its last heartbeat
        self.under_way: deque[int] = deque()  # last index of each message not acknowledged
        self._sizes: deque[int] = deque()
        self.bytes_under_way = 0

    @property
    def full(self) -> bool:
        """Whether no more entries may be sent before some are acknowledged."""
        return (
            len(self.under_way) >= limits.raft_inflight_messages_max
            or self.bytes_under_way >= limits.raft_inflight_bytes_max
        )

    # --- what is sent ---

    def sent(self, last_index: int, size: int) -> None:
        """Note a message of entries up to `last_index`."""
        if self.pace is Pace.PROBE:
            self.paused = self.asked = True
            return
        self.next = last_index + 1
        self.under_way.append(last_index)
        self._sizes.append(size)
        self.bytes_under_way += size

    def probe(self, paused: bool = False) -> None:
        """Go back to one message at a time, from what is known for sure.

        After a snapshot that is from behind it, wherever that ended.
        """
        after = self.match
        if self.pace is Pace.SNAPSHOT:
            after = max(after, self.snapshot_index)
        self._change(Pace.PROBE, after + 1, paused)

    def replicate(self) -> None:
        """Go on without waiting."""
        self._change(Pace.REPLICATE, self.match + 1, paused=False)

    def await_snapshot(self, index: int) -> None:
        """Send nothing until a snapshot of `index` is there, or has failed."""
        self._change(Pace.SNAPSHOT, self.next, paused=True)
        self.snapshot_index = index

    def snapshot_failed(self) -> None:
        """Forget the snapshot, and try again when the member speaks, after a while."""
        self.snapshot_index = 0
        self.rest_ticks = limits.raft_election_ticks
        self.probe(paused=True)

    def _change(self, pace: Pace, next: int, paused: bool) -> None:
        self.pace = pace
        self.next = next
        self.paused = paused
        self.asked = False
        self.snapshot_index = 0
        self.under_way.clear()
        self._sizes.clear()
        self.bytes_under_way = 0

    # --- what is heard ---

    def acknowledged(self, index: int) -> bool:
        """Take a positive answer; False if it is an old one that says nothing new."""
        under_way = self.under_way
        while under_way and under_way[0] <= index:
            under_way.popleft()
            self.bytes_under_way -= self._sizes.popleft()
        if index > self.match:
            self.match = index
            self.next = max(self.next, index + 1)
            return True
        return index == self.match and self.pace is Pace.PROBE

    def rejected(self, index: int, agrees_at: int) -> bool:
        """Take a refusal of a message whose `previous_index` was `index`; False if it is an old one.

        `agrees_at` is the last place where the logs can agree.
        """
        if index <= self.match or self.pace is Pace.SNAPSHOT:
            return False
        if self.pace is Pace.REPLICATE:
            self.probe()
            return True
        if index != self.next - 1:
            return False
        self.next = max(min(index, agrees_at + 1), self.match + 1)
        self.paused = self.asked = False
        return True

    def stuck(self) -> bool:
        """At a heartbeat's answer: whether nothing was acknowledged since the one before (messages get lost)."""
        stuck = self.match == self.match_before and self.pace is Pace.REPLICATE and bool(self.under_way)
        self.match_before = self.match
        return stuck
