"""What nodes have said of a network: who has a session, and which version of its table is in force there."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from covey.model.objects import ClusterVersion
from manager.dispatcher.sessions import Sessions


@dataclass(frozen=True, slots=True)
class Followed:
    """`newest` is the version of the table that nodes were told of last, None if none was told of any."""

    newest: ClusterVersion | None = None
    applied: Mapping[str, ClusterVersion] = field(default_factory=dict[str, ClusterVersion])
    connected: frozenset[str] = frozenset()


def followed(sessions: Sessions, network_id: str) -> Followed:
    """Tell what the dispatcher's machine has heard."""
    table = sessions.tables.get(network_id)
    connected = frozenset(node_id for node_id in sessions.by_node if sessions.session_of(node_id))
    newest = table.version if table is not None else None
    return Followed(newest, sessions.applied(network_id), connected)
