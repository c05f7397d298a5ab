"""Who waits to be told an index to read at. All who ask before the question leaves share it, and nobody after.

For the answer tells what was committed when the question arrived, no more: who asks later may have seen
something newer be acknowledged.
"""

import asyncio
import itertools

from covey.errors import CoveyError

Answer = asyncio.Future[int | None]


class Questions:
    """Reads under way, by the key the core knows them under."""

    def __init__(self) -> None:
        self._keys = itertools.count(1)
        self._asked: dict[int, Answer] = {}
        self._open: Answer | None = None

    def join(self) -> tuple[Answer, int | None]:
        """Share the question that has not left yet, or begin one: then its key is given, to be asked under."""
        if self._open is not None:
            return self._open, None
        self._open = asyncio.get_running_loop().create_future()
        key = next(self._keys)
        self._asked[key] = self._open
        return self._open, key

    def leave(self) -> None:
        """Note that the core's messages are about to be sent."""
        self._open = None

    def answer(self, key: int, index: int | None) -> None:
        """Tell those who share a question."""
        asked = self._asked.pop(key, None)
        if asked is not None and not asked.done():
            asked.set_result(index)

    def end(self, error: CoveyError) -> None:
        """Tell all why there will be no answer."""
        for asked in self._asked.values():
            if not asked.done():
                asked.set_exception(error)
                asked.exception()  # asked for here: whoever waited may have given up
        self._asked.clear()
        self._open = None
