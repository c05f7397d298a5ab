"""What changed between two lists of things that have ids, and so between two versions of a network's table."""

from collections.abc import Callable, Iterable, Sequence
from operator import is_not
from typing import Any, TypeVar

from covey.model.tables import NetworkTable, NetworkTableDelta

T = TypeVar("T")


def _itself(item: Any) -> Any:
    return item


def changes(
    old: Iterable[T], new: Iterable[T], id_of: Callable[[T], str], essence: Callable[[T], T] = _itself
) -> tuple[tuple[T, ...], tuple[str, ...]]:
    """Return the items of `new` that `old` has otherwise or not at all, and the ids that only `old` has.

    Two items are the same if their `essence` is; most of the time they are one object, and most changes are of few
    that lie together: what both begin and end with is left out first.
    """
    old, new = _middle(tuple(old), tuple(new))
    before = {id_of(item): item for item in old}
    changed = []
    for item in new:
        known = before.pop(id_of(item), None)
        if known is not item and (known is None or essence(known) != essence(item)):
            changed.append(item)
    return tuple(changed), tuple(sorted(before))


def _middle(old: Sequence[T], new: Sequence[T]) -> tuple[Sequence[T], Sequence[T]]:
    """Both without the objects that they begin and end with alike."""
    first = _alike(old, new)
    old, new = old[first:], new[first:]
    last = _alike(old[::-1], new[::-1])
    return old[: len(old) - last], new[: len(new) - last]


def _alike(old: Sequence[T], new: Sequence[T]) -> int:
    shorter = min(len(old), len(new))
    return next((place for place, other in enumerate(map(is_not, old, new)) if other), shorter)


def table_delta(old: NetworkTable, new: NetworkTable) -> NetworkTableDelta:
    """Return what turns `old` into `new`; without rows if only the version differs."""
    endpoints, endpoints_removed = changes(old.endpoints, new.endpoints, lambda row: row.endpoint_id)
    services, services_removed = changes(old.services, new.services, lambda row: row.service_id)
    peers, peers_removed = changes(old.peers, new.peers, lambda row: row.node_id)
    return NetworkTableDelta(
        network_id=new.network_id,
        applies_to=old.version,
        version=new.version,
        endpoints=endpoints,
        endpoints_removed=endpoints_removed,
        services=services,
        services_removed=services_removed,
        peers=peers,
        peers_removed=peers_removed,
    )
