"""What changed between two versions of a table: what travels on the feed, and what a zone looks at."""

from collections.abc import Iterable
from typing import TypeVar

from covey.model.tables import EndpointRow, NetworkTable, NetworkTableDelta, PeerRow, ServiceRow

Row = TypeVar("Row", EndpointRow, ServiceRow, PeerRow)


def delta(old: NetworkTable, new: NetworkTable) -> NetworkTableDelta:
    """Return what turns `old` into `new`; without rows if only the version differs."""
    endpoints, endpoints_removed = _changes(_by_endpoint(old.endpoints), _by_endpoint(new.endpoints))
    services, services_removed = _changes(_by_service(old.services), _by_service(new.services))
    peers, peers_removed = _changes(_by_node(old.peers), _by_node(new.peers))
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


def _by_endpoint(rows: Iterable[EndpointRow]) -> dict[str, EndpointRow]:
    return {row.endpoint_id: row for row in rows}


def _by_service(rows: Iterable[ServiceRow]) -> dict[str, ServiceRow]:
    return {row.service_id: row for row in rows}


def _by_node(rows: Iterable[PeerRow]) -> dict[str, PeerRow]:
    return {row.node_id: row for row in rows}


def _changes(old: dict[str, Row], new: dict[str, Row]) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    # Most rows of a new table are the very objects of the old one.
    changed = tuple(
        row
        for id, row in new.items()
        if (known := old.get(id)) is not row and (known is None or known != row)
    )
    return changed, tuple(sorted(old.keys() - new.keys()))
