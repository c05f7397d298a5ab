"""The table of a network."""

from covey.errors import InvalidArgument
from covey.model.expansion import hostname_of
from covey.model.names import task_name
from covey.model.objects import ClusterVersion, Endpoint, Network, Node, Revision, Service, Task
from covey.model.specs import PortConfig, ServiceSpec
from covey.model.states import EndpointMode, PublishMode
from covey.model.tables import EndpointRow, NetworkTable, ServiceRow
from manager.store.view import BY_NETWORK, View


def network_table(view: View, network: Network, version: ClusterVersion) -> NetworkTable:
    """Build the whole table of one network from what is committed."""
    endpoints, specs = [], dict[str, ServiceSpec]()
    for endpoint in view.find(Endpoint, BY_NETWORK, network.id):
        row = _endpoint_row(view, endpoint)
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
    )


def _endpoint_row(view: View, endpoint: Endpoint) -> EndpointRow | None:
    """Describe one endpoint, or None while it is on no node that packets could be sent to."""
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
        addresses=endpoint.addresses,
        node_id=endpoint.node_id,
        vtep=node.description.data_address,
        state=endpoint.state,
        task_id=endpoint.task_id,
        task_name=name,
        hostname=hostname,
        service_id=endpoint.service_id,
        keeps_client_address=node.description.networking.keeps_client_address,
    )


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
