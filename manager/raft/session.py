"""One stream between this member and another, as far as it can be known without waiting."""

import asyncio
from collections.abc import Iterable

from .messages import AnyMessage
from .sending import Sending


class Session:
    """What goes out on one stream, and when something last came in. Closed by either side, once."""

    def __init__(self, peer: int, life: int, now: float) -> None:
        self.peer = peer
        self.life = life  # the other side's; 0 until it has said so
        self.heard = now  # when something last came in
        self.said = now  # when something last went out
        self.closed = False
        self.greeting_due = False  # nothing was said for a while
        self.news = asyncio.Event()
        self.reader: asyncio.Task[None] | None = None
        self._sending = Sending()

    def send(self, messages: Iterable[AnyMessage]) -> None:
        """Let messages go out next."""
        self._sending.put(messages)
        self.news.set()

    def greet(self) -> None:
        """Let a sign of life go out."""
        self.greeting_due = True
        self.news.set()

    @property
    def waiting(self) -> bool:
        """Whether messages have not left yet."""
        return self._sending.waiting

    def take(self, now: float) -> bytes | None:
        """Take what goes out next: messages, or nothing as a sign of life; None if there is nothing to say."""
        data = self._sending.take()
        if data is None and self.greeting_due:
            data = b""
        if data is not None:
            self.said, self.greeting_due = now, False
        return data

    def close(self) -> None:
        """End the stream from this side."""
        self.closed = True
        self.news.set()
        if self.reader is not None:
            self.reader.cancel()
