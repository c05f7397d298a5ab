"""What one agent has been told, and what it has said of that."""

from dataclasses import dataclass, field

from covey.model.assignments import AssignmentSet
from covey.model.objects import ClusterVersion

_NEVER = ClusterVersion()
_NOTHING = AssignmentSet()


@dataclass(slots=True)
class Session:
    """One agent's stream. `tables` are those it was sent, `applied` those in force there."""

    id: str
    node_id: str
    last_seen: ClusterVersion
    started: bool = False
    told_ms: int = 0
    version: ClusterVersion = _NEVER
    assigned: AssignmentSet = _NOTHING
    tables: dict[str, ClusterVersion] = field(default_factory=dict[str, ClusterVersion])
    applied: dict[str, ClusterVersion] = field(default_factory=dict[str, ClusterVersion])
    held: dict[str, ClusterVersion] = field(default_factory=dict[str, ClusterVersion])  # until it has started
    unacknowledged: list[int] = field(default_factory=list[int])

    @property
    def networks(self) -> set[str]:
        """The networks the node is on."""
        return {network.id for network in self.assigned.networks}

    def follows(self, network_id: str) -> ClusterVersion:
        """The version of a network's table that is in force there."""
        return self.applied.get(network_id, _NEVER)

    def assign(self, assigned: AssignmentSet) -> None:
        """Take note of what the node is told to run; of networks it leaves it needs no table any more."""
        self.assigned = assigned
        for network_id in self.tables.keys() - self.networks:
            del self.tables[network_id]
            self.applied.pop(network_id, None)
