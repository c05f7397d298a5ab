"""The kinds of objects the store keeps, and the number each has on disk."""

from typing import Any, TypeVar

from covey.model.objects import Cluster, Endpoint, Network, Node, Object, Revision, Service, Task

T = TypeVar("T", bound=Object)
Kind = type[Any]  # the class of an object, where which one does not matter

# Numbers are for ever: they stand in logs and snapshots. A new kind takes the next one.
TAGS: dict[Kind, int] = {
    Cluster: 1,
    Node: 2,
    Service: 3,
    Revision: 4,
    Task: 5,
    Network: 6,
    Endpoint: 7,
}
KIND_OF_TAG: dict[int, Kind] = {tag: kind for kind, tag in TAGS.items()}


def noun(kind: Kind) -> str:
    """Name a kind as people call it: `service`."""
    return kind.__name__.lower()
