"""Network tables as an agent holds them: applying a difference, pure."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import TypeVar

from covey.errors import PeerFault
from covey.model.tables import EndpointRow, NetworkTable, NetworkTableDelta, PeerRow, ServiceRow

Row = TypeVar("Row", EndpointRow, ServiceRow, PeerRow)


def apply_delta(table: NetworkTable | None, delta: NetworkTableDelta) -> NetworkTable:
    """The table after `delta`; `PeerFault` if it does not apply to the one held."""
    if table is None or table.version != delta.applies_to:
        held = "none" if table is None else f"{table.version.epoch}.{table.version.index}"
        raise PeerFault(
            f"a change of network {delta.network_id}'s table applies to version "
            f"{delta.applies_to.epoch}.{delta.applies_to.index}, but the one held is {held}"
        )
    return NetworkTable(
        network_id=table.network_id,
        version=delta.version,
        endpoints=_merged(table.endpoints, delta.endpoints, delta.endpoints_removed),
        services=_merged(table.services, delta.services, delta.services_removed),
        peers=_merged(table.peers, delta.peers, delta.peers_removed),
    )


def _merged(old: Sequence[Row], changed: Sequence[Row], removed: Iterable[str]) -> tuple[Row, ...]:
    """The rows, which are ordered by id, after a change: each is found by bisection, and nothing sorted anew."""
    rows = list(old)
    for gone in removed:
        place = bisect_left(rows, gone, key=_id_of)
        if place < len(rows) and _id_of(rows[place]) == gone:
            del rows[place]
    for row in changed:
        place = bisect_left(rows, _id_of(row), key=_id_of)
        if place < len(rows) and _id_of(rows[place]) == _id_of(row):
            rows[place] = row
        else:
            rows.insert(place, row)
    return tuple(rows)


def _id_of(row: EndpointRow | ServiceRow | PeerRow) -> str:
    match row:
        case EndpointRow():
            return row.endpoint_id
        case ServiceRow():
            return row.service_id
        case PeerRow():
            return row.node_id
