"""The table of a network."""

from collections.abc import Iterable

from covey.errors import InvalidArgument
from covey.model import network_options
from covey.model.addressing import is_ipv6
from covey.model.expansion import hostname_of
from covey.model.names import task_name
from covey.model.objects import Cluster, ClusterVersion, Endpoint, Network, Node, Revision, Service, Task
from covey.model.specs import PortConfig, ServiceSpec
from covey.model.states import EndpointMode, PublishMode
from covey.model.tables import EndpointRow, NetworkTable, PeerRow, ServiceRow
from covey.model.tunnels import tunnel_address
from manager.store.view import BY_NETWORK, View


def network_table(view: View, network: Network, version: ClusterVersion) -> NetworkTable:
    """Build the whole table of one network from what is committed."""
    endpoints, specs = [], dict[str, ServiceSpec]()
    encrypted = network_options.encrypted(network.spec.options)
    cluster = next(iter(view.all(Cluster)), None) if encrypted else None
    cluster_id = cluster.id if cluster is not None else ""
    for endpoint in view.find(Endpoint, BY_NETWORK, network.id):
        row = _endpoint_row(view, endpoint, cluster_id)
        if row is not None:
            endpoints.append(row)
    for service in _services_on(view, network):
        revision = view.get(Revision, service.revision_id)
        assert revision is not None, f"service {service.id} has no revision {service.revision_id}"
        specs[service.id] = revision.spec
    return NetworkTable(
        network_id=network.id,
        version=version,
        endpoints=tuple(endpoints),
        services=tuple(_service_row(view, id, spec, network) for id, spec in specs.items()),
        peers=_peers(view, endpoints, cluster) if cluster is not None else (),
    )


def _peers(view: View, endpoints: Iterable[EndpointRow], cluster: Cluster) -> tuple[PeerRow, ...]:
    """Describe the tunnels of the nodes with an endpoint on an encrypted network, ordered by node."""
    addresses = {row.node_id: row.vtep for row in endpoints}
    return tuple(
        PeerRow(
            node_id=node_id,
            data_address=node.description.data_address,
            tunnel_address=address,
            keys=node.description.networking.tunnel_keys,
            generation=cluster.tunnels.generation,
        )
        for node_id, address in sorted(addresses.items())
        if (node := view.get(Node, node_id)) is not None
    )


def _endpoint_row(view: View, endpoint: Endpoint, tunnels_of: str) -> EndpointRow | None:
    """Describe one endpoint, or None while it is on no node that packets could be sent to.

    `tunnels_of` is the cluster if the network is encrypted: packets are sent to the node's tunnel then, or nowhere.
    """
    node = view.get(Node, endpoint.node_id) if endpoint.node_id else None
    if node is None or not node.description.data_address:
        return None
    name = hostname = ""
    if endpoint.task_id:
        task = view.get(Task, endpoint.task_id)
        revision = view.get(Revision, task.revision_id) if task is not None else None
        if task is None or revision is None:
            return None
        name = task_name(revision.spec, task)
        hostname = _hostname(revision.spec, task, node)
    return EndpointRow(
        endpoint_id=endpoint.id,
        number=endpoint.number,
        addresses=_reached(endpoint, node),
        node_id=endpoint.node_id,
        vtep=tunnel_address(tunnels_of, node.id) if tunnels_of else node.description.data_address,
        state=endpoint.state,
        task_id=endpoint.task_id,
        task_name=name,
        hostname=hostname,
        service_id=endpoint.service_id,
        keeps_client_address=node.description.networking.keeps_client_address,
    )


def _reached(endpoint: Endpoint, node: Node) -> tuple[str, ...]:
    """Give the addresses at which an endpoint is reached: a host without IPv6 gives its tasks none of those."""
    if not node.description.networking.without_ipv6:
        return endpoint.addresses
    return tuple(each for each in endpoint.addresses if not is_ipv6(each))


def _hostname(spec: ServiceSpec, task: Task, node: Node) -> str:
    """Give the host name its agent gives the container: of one whose name cannot be had, nothing runs."""
    try:
        return hostname_of(spec, task, node)
    except InvalidArgument:
        return ""


def _services_on(view: View, network: Network) -> list[Service]:
    """List the services that are reached through this network, ordered by id.

    One that is being removed is reached no more: its name and ports may be another's already.
    """
    if network.spec.ingress:
        found = [s for s in view.all(Service) if any(p.publish_mode is PublishMode.INGRESS for p in s.ports)]
    else:
        revisions = view.find(Revision, BY_NETWORK, network.id)
        at = {revision.id: view.get(Service, revision.service_id) for revision in revisions}
        found = [s for id, s in at.items() if s is not None and s.revision_id == id]
    return sorted((s for s in found if not s.pending_delete), key=lambda service: service.id)


def _service_row(view: View, service_id: str, spec: ServiceSpec, network: Network) -> ServiceRow:
    service = view.get(Service, service_id)
    assert service is not None
    virtual_ips = tuple(each.address for each in service.virtual_ips if each.network_id == network.id)
    aliases = [
        a for attachment in spec.task.networks if attachment.target == network.id for a in attachment.aliases
    ]
    return ServiceRow(
        service_id=service_id,
        name=service.name,
        aliases=tuple(aliases),
        mode=spec.endpoint.mode if virtual_ips else EndpointMode.DNSRR,
        virtual_ips=virtual_ips,
        ports=_ports(service, network),
        affinity=spec.endpoint.affinity,
    )


def _ports(service: Service, network: Network) -> tuple[PortConfig, ...]:
    """The ports a node needs to know: those the mesh answers; elsewhere those that can be asked for by name."""
    if network.spec.ingress:
        return tuple(port for port in service.ports if port.publish_mode is PublishMode.INGRESS)
    return tuple(port for port in service.ports if port.name)
