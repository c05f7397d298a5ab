"""What waits to be sent to one peer: bounded, the small and pressing before the large."""

from collections import deque
from collections.abc import Iterable

from covey import limits

from . import messages
from .log import ENTRY_OVERHEAD_BYTES
from .messages import AnyMessage, Append

MESSAGE_BYTES = 64  # about what a message takes beside its entries


class Sending:
    """Messages to one peer, until its stream takes them. Where there are too many, new ones are dropped.

    The core takes a dropped message as a lost one. Those without entries overtake those with: a heartbeat
    must not wait behind megabytes.
    """

    def __init__(self) -> None:
        self._small: list[AnyMessage] = []
        self._large: deque[tuple[int, Append]] = deque()
        self._bytes = 0
        self.dropped = 0

    @property
    def waiting(self) -> bool:
        """Whether anything waits."""
        return bool(self._small or self._large)

    def put(self, new: Iterable[AnyMessage]) -> None:
        """Add messages, as far as there is room."""
        for message in new:
            entries = message.entries if isinstance(message, Append) else ()
            size = MESSAGE_BYTES + sum(len(entry.data) + ENTRY_OVERHEAD_BYTES for entry in entries)
            if self._bytes and self._bytes + size > limits.raft_outbox_bytes_max:
                self.dropped += 1
                continue
            self._bytes += size
            if entries and isinstance(message, Append):
                self._large.append((size, message))
            else:
                self._small.append(message)

    def take(self) -> bytes | None:
        """Take what travels together next, encoded; None if nothing waits."""
        if not self.waiting:
            return None
        taken, self._small = self._small, []
        size = MESSAGE_BYTES * len(taken)
        while self._large and (not taken or size + self._large[0][0] <= limits.raft_frame_bytes_max):
            more, message = self._large.popleft()
            size += more
            taken.append(message)
        self._bytes -= size
        return messages.encode(taken)
