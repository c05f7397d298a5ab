"""What a member has to say, sorted by what must be on disk first."""

from collections.abc import Iterable

from .messages import AnyMessage, AppendReply
from .ready import ReadAnswer


class Outbox:
    """Collects until somebody takes it. See `Ready` for the meaning of each part."""

    __slots__ = ("messages", "reads", "replies")

    def __init__(self) -> None:
        self.messages: list[AnyMessage] = []
        self.replies: list[AnyMessage] = []
        self.reads: list[ReadAnswer] = []

    def send(self, message: AnyMessage) -> None:
        """Say what rests on nothing that is not on disk."""
        self.messages.append(message)

    def promise(self, message: AnyMessage) -> None:
        """Say what is true once everything known now is on disk.

        Of acknowledgements to one leader only the furthest goes out: it says what the others say.
        """
        if isinstance(message, AppendReply) and not message.rejected and self.replies:
            last = self.replies[-1]
            same = (last.to, last.term) == (message.to, message.term)
            if same and isinstance(last, AppendReply) and not last.rejected:
                self.replies[-1] = message if message.index > last.index else last
                return
        self.replies.append(message)

    def answer(self, keys: Iterable[int], index: int | None) -> None:
        """Answer reads of our own."""
        self.reads.extend(ReadAnswer(key, index) for key in keys)

    def take_messages(self) -> tuple[AnyMessage, ...]:
        """Take what may be sent at once."""
        if not self.messages:
            return ()
        taken, self.messages = self.messages, []
        return tuple(taken)

    def take_replies(self) -> tuple[AnyMessage, ...]:
        """Take what may be sent after the next write."""
        if not self.replies:
            return ()
        taken, self.replies = self.replies, []
        return tuple(taken)

    def take_reads(self) -> tuple[ReadAnswer, ...]:
        """Take the answers to reads."""
        if not self.reads:
            return ()
        taken, self.reads = self.reads, []
        return tuple(taken)
