"""What changed between two lists of things that have ids."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


def _itself(item: Any) -> Any:
    return item


def changes(
    old: Iterable[T], new: Iterable[T], id_of: Callable[[T], str], essence: Callable[[T], T] = _itself
) -> tuple[tuple[T, ...], tuple[str, ...]]:
    """Return the items of `new` that `old` has otherwise or not at all, and the ids that only `old` has.

    Two items are the same if their `essence` is.
    """
    before = {id_of(item): item for item in old}
    changed = []
    for item in new:
        known = before.pop(id_of(item), None)
        if known is None or essence(known) != essence(item):
            changed.append(item)
    return tuple(changed), tuple(sorted(before))
