"""Network tables on disk: each whole, and after it the changes that came since.

To write a table of ten thousand rows for each row that changes would be megabytes a second. So changes are kept
beside it, until they are a good part of it; then it is written whole, and they go, in one transaction.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from agent.session.tables import apply_delta
from covey import limits
from covey.errors import PeerFault
from covey.model.tables import NetworkTable, NetworkTableDelta

log = logging.getLogger(__name__)

TABLE, CHANGE = "table", "change"


class Rows(Protocol):
    """Where rows are put (`db.Database`)."""

    def put(self, kind: str, id: str, value: msgspec.Struct | None) -> None:
        """The row is `value` from now on, or gone."""
        ...


@dataclass(slots=True)
class _Kept:
    """The changes of one network that are on disk: their ids, and how many rows they have."""

    ids: list[str] = field(default_factory=list[str])
    rows: int = 0


class TableJournal:
    """Decides, for each table that comes, whether it or its change is written. `changes` are those on disk."""

    def __init__(self, rows: Rows, changes: Iterable[str] = ()) -> None:
        self._rows = rows
        self._kept: dict[str, _Kept] = {}
        for id in sorted(changes):
            kept = self._kept.setdefault(id.partition(" ")[0], _Kept())
            kept.ids.append(id)
            kept.rows = limits.table_journal_rows_min  # nobody counted them: the next is whole
        self._whole: set[str] = set()  # networks whose table on disk is known to be what the changes follow

    def use(self, table: NetworkTable, change: NetworkTableDelta | None) -> None:
        """Have `table` found after a restart; it came whole, or is what `change` made of the one before."""
        kept = self._kept.setdefault(table.network_id, _Kept())
        most = max(limits.table_journal_rows_min, len(table.endpoints) // 4)
        kept.rows += _size(change) if change is not None else 0
        if change is None or table.network_id not in self._whole or kept.rows >= most:
            self._forget_changes(table.network_id)
            self._rows.put(TABLE, table.network_id, table)
            self._whole.add(table.network_id)
            return
        version = change.version
        id = f"{table.network_id} {version.epoch:020d}.{version.index:020d}"
        kept.ids.append(id)
        self._rows.put(CHANGE, id, change)

    def drop(self, network_id: str) -> None:
        """Have the network's table found no more."""
        self._forget_changes(network_id)
        self._kept.pop(network_id, None)
        self._whole.discard(network_id)
        self._rows.put(TABLE, network_id, None)

    def _forget_changes(self, network_id: str) -> None:
        kept = self._kept.get(network_id, _Kept())
        for id in kept.ids:
            self._rows.put(CHANGE, id, None)
        self._kept[network_id] = _Kept()


def put_together(
    tables: Mapping[str, NetworkTable], changes: Mapping[str, NetworkTableDelta]
) -> dict[str, NetworkTable]:
    """The tables as they were last, from what is on disk."""
    found = dict(tables)
    for id in sorted(changes):
        change = changes[id]
        table = found.get(change.network_id)
        try:
            found[change.network_id] = apply_delta(table, change)
        except PeerFault as error:  # the managers send the table anew as soon as there is one
            log.warning("a change of a network's table on disk is left out: %s", error)
    return found


def _size(change: NetworkTableDelta) -> int:
    changed = len(change.endpoints) + len(change.services) + len(change.peers)
    removed = len(change.endpoints_removed) + len(change.services_removed) + len(change.peers_removed)
    return changed + removed
