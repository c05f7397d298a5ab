"""What is true of a network now: what its nodes follow, and where its services' connections go. Pure."""

from collections import defaultdict
from collections.abc import Callable

from covey.client.views import NetworkBackend, NetworkFollower, NetworkService, NetworkTruth
from covey.errors import Unavailable
from covey.model.objects import ClusterVersion, Endpoint, Network, Node
from covey.model.tables import EndpointRow
from manager.dispatcher.followed import Followed
from manager.dispatcher.tables import network_table
from manager.store.view import BY_NETWORK, View

from .changes import waits_for


def truth(
    view: View, network: Network, followed: Followed, given_up: Callable[[], bool] = lambda: False
) -> NetworkTruth:
    """Put together what the store has and what nodes have said. Raises `Unavailable` once it is given up."""
    newest = followed.newest or ClusterVersion()
    rows = network_table(view, network, newest)
    backends: defaultdict[str, list[NetworkBackend]] = defaultdict(list)
    for row in rows.endpoints:
        if given_up():
            raise Unavailable(f"looking at network {network.spec.name} takes too long; ask again later")
        if row.task_id:
            backends[row.service_id].append(_backend(view, row))
    services = tuple(
        NetworkService(
            service_id=row.service_id,
            name=row.name,
            aliases=row.aliases,
            mode=row.mode,
            virtual_ips=row.virtual_ips,
            ports=row.ports,
            affinity=row.affinity,
            backends=tuple(sorted(backends[row.service_id], key=lambda backend: backend.task_name)),
        )
        for row in rows.services
    )
    return NetworkTruth(
        version=newest,
        nodes=_followers(view, network, followed),
        services=services,
        removal=waits_for(view, network) if network.pending_delete else "",
    )


def _followers(view: View, network: Network, followed: Followed) -> tuple[NetworkFollower, ...]:
    """List the nodes with a place on a network, by name."""
    places: defaultdict[str, list[Endpoint]] = defaultdict(list)
    for endpoint in view.find(Endpoint, BY_NETWORK, network.id):
        if endpoint.node_id:
            places[endpoint.node_id].append(endpoint)
    nodes = [
        NetworkFollower(
            node_id=node_id,
            node_name=_name(view, node_id),
            connected=node_id in followed.connected,
            applied=followed.applied.get(node_id, ClusterVersion()),
            behind_entries=_behind(followed.newest, followed.applied.get(node_id)),
            endpoints=tuple(endpoints),
        )
        for node_id, endpoints in places.items()
    ]
    return tuple(sorted(nodes, key=lambda node: (node.node_name, node.node_id)))


def _behind(newest: ClusterVersion | None, applied: ClusterVersion | None) -> int:
    if newest is None or applied is None or applied.epoch != newest.epoch:
        return -1
    return max(newest.index - applied.index, 0)


def _backend(view: View, row: EndpointRow) -> NetworkBackend:
    return NetworkBackend(
        task_id=row.task_id,
        task_name=row.task_name,
        node_id=row.node_id,
        node_name=_name(view, row.node_id),
        addresses=row.addresses,
        state=row.state,
    )


def _name(view: View, node_id: str) -> str:
    node = view.get(Node, node_id)
    return node.description.hostname if node is not None else ""
