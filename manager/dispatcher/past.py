"""The last changes of each table, for agents whose streams broke: they have a table, and lack what came since."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from covey import limits
from covey.model.objects import ClusterVersion
from covey.model.tables import NetworkTable, NetworkTableDelta


@dataclass(slots=True)
class Past:
    """A bounded number of changes, by network, each following the one before."""

    changes: dict[str, deque[NetworkTableDelta]] = field(default_factory=dict[str, deque[NetworkTableDelta]])

    def note(self, change: NetworkTableDelta) -> None:
        """Remember the newest change of a table."""
        known = self.changes.setdefault(change.network_id, deque(maxlen=limits.table_changes_kept))
        known.append(change)

    def forget(self, network_id: str) -> None:
        """The network is gone."""
        self.changes.pop(network_id, None)

    def rest(
        self, table: NetworkTable, held: ClusterVersion | None
    ) -> Sequence[NetworkTable | NetworkTableDelta]:
        """What an agent that holds version `held` lacks of `table`: changes, or all if those are not remembered.

        A table of one version is the same whichever leader built it, for it is built from the same objects.
        """
        if held == table.version:
            return ()
        rest: list[NetworkTable | NetworkTableDelta] = []
        for change in reversed(self.changes.get(table.network_id, ())):
            rest.append(change)
            if change.applies_to == held:
                return rest[::-1]
        return (table,)
