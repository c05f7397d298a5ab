"""The read side of the store: what planners and servers see, and the indexes they can ask by.

A new index is one constant here and one line per kind in `KEYS`.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from covey.model.objects import Endpoint, Network, Node, Object, Revision, Service, Task

from .kinds import Kind, T


class Index:
    """A way to find objects other than by id. An object may stand under several values, or none."""

    __slots__ = ("folded", "name", "unique")

    def __init__(self, name: str, *, folded: bool = False, unique: frozenset[Kind] = frozenset()) -> None:
        self.name = name
        self.folded = folded  # without regard to case
        self.unique = unique  # the kinds of which no two objects may share a value

    def value(self, asked: Hashable) -> Hashable:
        """Bring a value to the form under which it is filed."""
        return asked.casefold() if self.folded and isinstance(asked, str) else asked

    def __repr__(self) -> str:
        return f"BY_{self.name.upper()}"


BY_NAME = Index("name", folded=True, unique=frozenset({Service, Network}))
BY_SERVICE = Index("service")
BY_REVISION = Index("revision")
BY_NODE = Index("node")  # "" finds the tasks that have no node yet
BY_NETWORK = Index("network")
BY_TASK = Index("task")
BY_STATE = Index("state")
BY_DESIRED_STATE = Index("desired_state")

Keys = Callable[[Any], Iterable[Hashable]]

KEYS: Mapping[Kind, Mapping[Index, Keys]] = {
    Node: {
        BY_NAME: lambda node: (node.description.hostname,),  # not unique: two hosts may be called the same
        BY_STATE: lambda node: (node.status.state,),
    },
    Service: {
        BY_NAME: lambda service: () if service.pending_delete else (service.name,),
        BY_NETWORK: lambda service: {vip.network_id for vip in service.virtual_ips},
    },
    Revision: {
        BY_SERVICE: lambda revision: (revision.service_id,),
        BY_NETWORK: lambda revision: {network.target for network in revision.spec.task.networks},
    },
    Task: {
        BY_SERVICE: lambda task: (task.service_id,),
        BY_REVISION: lambda task: (task.revision_id,),
        BY_NODE: lambda task: (task.node_id,),
        BY_STATE: lambda task: (task.status.state,),
        BY_DESIRED_STATE: lambda task: (task.desired_state,),
    },
    Network: {
        BY_NAME: lambda network: () if network.pending_delete else (network.spec.name,),
    },
    Endpoint: {
        BY_NETWORK: lambda endpoint: (endpoint.network_id,),
        BY_NODE: lambda endpoint: (endpoint.node_id,),
        BY_TASK: lambda endpoint: (endpoint.task_id,),
        BY_SERVICE: lambda endpoint: (endpoint.service_id,),
    },
}


def keys(by: Index, of: Keys, obj: Object) -> frozenset[Hashable]:
    """Say under which values `obj` is filed."""
    return frozenset(by.value(key) for key in of(obj))


class View(Protocol):
    """A consistent state of the cluster, as long as the reader does not await."""

    @property
    def index(self) -> int:
        """The log index of the last entry applied."""
        ...

    def get(self, kind: type[T], id: str) -> T | None:
        """Find one object by id."""
        ...

    def all(self, kind: type[T]) -> Iterable[T]:
        """Give all objects of a kind, ordered by id."""
        ...

    def find(self, kind: type[T], by: Index, value: Hashable) -> Sequence[T]:
        """Give the objects filed under `value`, ordered by id; `by` is an index of that kind (`KEYS`)."""
        ...
