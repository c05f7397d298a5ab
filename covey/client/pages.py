"""What is true of a network, cut into pages for the wire and joined again.

Pages hold so many endpoints and backends, since one node or service may have thousands. One that does not fit comes
again in the next page with the rest.
"""

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from .views import NetworkBackend, NetworkFollower, NetworkService, NetworkTruth


def paged(truth: NetworkTruth, items_max: int) -> Iterator[NetworkTruth]:
    """Cut into pages of about `items_max` nodes, services, endpoints and backends."""
    page = replace(truth, nodes=(), services=())
    nodes, services, room = list[NetworkFollower](), list[NetworkService](), items_max
    for part in _parts(truth, items_max):
        size = 1 + len(part.endpoints if isinstance(part, NetworkFollower) else part.backends)
        if size > room and (nodes or services):
            yield replace(page, nodes=tuple(nodes), services=tuple(services))
            page, nodes, services, room = NetworkTruth(), [], [], items_max
        if isinstance(part, NetworkFollower):
            nodes.append(part)
        else:
            services.append(part)
        room -= size
    yield replace(page, nodes=tuple(nodes), services=tuple(services))


def _parts(truth: NetworkTruth, items_max: int) -> Iterator[NetworkFollower | NetworkService]:
    for node in truth.nodes:
        for start in range(0, max(len(node.endpoints), 1), items_max):
            yield replace(node, endpoints=node.endpoints[start : start + items_max])
    for service in truth.services:
        for start in range(0, max(len(service.backends), 1), items_max):
            yield replace(service, backends=service.backends[start : start + items_max])


def joined(pages: Sequence[NetworkTruth]) -> NetworkTruth:
    """Join what `paged` has cut."""
    nodes, services = dict[str, list[NetworkFollower]](), dict[str, list[NetworkService]]()
    for page in pages:
        for node in page.nodes:
            nodes.setdefault(node.node_id, []).append(node)
        for service in page.services:
            services.setdefault(service.service_id, []).append(service)
    return replace(
        pages[0],
        nodes=tuple(
            replace(parts[0], endpoints=tuple(each for part in parts for each in part.endpoints))
            for parts in nodes.values()
        ),
        services=tuple(replace(parts[0], backends=_backends(parts)) for parts in services.values()),
    )


def _backends(parts: Sequence[NetworkService]) -> tuple[NetworkBackend, ...]:
    return tuple(each for part in parts for each in part.backends)
