"""Virtual time: what happens when, in an order that depends on the seed alone."""

import heapq
from collections.abc import Callable
from itertools import count

_AT_ONCE_MAX = (
    20_000  # things that happen at practically the same time: more, and nothing will ever stop that
)
_SOON_MS = 0.001


class Clock:
    """A queue of things to come. `now_ms` moves only in `run`; what falls together happens as it was asked for."""

    def __init__(self) -> None:
        self.now_ms = 0.0
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self.after_each: Callable[[], None] = lambda: None
        self._at_once = 0

    def after(self, delay_ms: float, what: Callable[[], None]) -> None:
        """Have something happen later."""
        heapq.heappush(self._queue, (self.now_ms + delay_ms, next(self._numbers), what))

    def run(self, until_ms: float) -> None:
        """Let everything happen that is due until then."""
        queue = self._queue
        while queue and queue[0][0] <= until_ms:
            before_ms = self.now_ms
            self.now_ms, _, what = heapq.heappop(queue)
            self._at_once = self._at_once + 1 if self.now_ms - before_ms < _SOON_MS else 0
            assert self._at_once < _AT_ONCE_MAX, (
                f"no rest: {what.__qualname__} and others follow each other at once"
            )
            what()
            self.after_each()
        self.now_ms = until_ms
