"""Lists as they are sent: in pages, which no message limit cuts off."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from covey import limits

T = TypeVar("T")


def pages(items: Sequence[T]) -> Iterable[Sequence[T]]:
    """Cut a list into pages; an empty one is one empty page."""
    for start in range(0, max(len(items), 1), limits.page_items_max):
        yield items[start : start + limits.page_items_max]
